import Foundation
import Tensors
import TestSupport
import Testing

@testable import Kernels

private struct Dimensions: Decodable {
  var tokens: Int
  var hidden: Int
  var moeInter: Int
  var nExperts: Int
  var topK: Int
  var routedScalingFactor: Float

  enum CodingKeys: String, CodingKey {
    case tokens, hidden
    case moeInter = "moe_inter"
    case nExperts = "n_experts"
    case topK = "top_k"
    case routedScalingFactor = "routed_scaling_factor"
  }
}

private func sigmoid(_ x: Float) -> Float { 1 / (1 + exp(-x)) }

@Suite struct Float8ExpertsTests {
  /// The rows that one expert sees, all its products in E4M3; SwiGLU, weights and sums in float32.
  private struct Expert {
    var gate, up, hidden, output: [Float]
    var outputGradient, gateGradient, upGradient, rowsGradient: [Float]
    var gateWeightGradient, upWeightGradient, downWeightGradient: [Float]

    init(
      rows: [Float], gradients: [Float], weights: [Float], gateWeight: [Float], upWeight: [Float],
      downWeight: [Float], hidden width: Int, inner: Int
    ) {
      let count = weights.count
      let inward = Float8Product(inputs: width, outputs: inner)
      let outward = Float8Product(inputs: inner, outputs: width)
      var scratch = [Float](
        repeating: .nan, count: max(inward.scratchCount(rows: count), outward.scratchCount(rows: count)))
      func zeros(_ columns: Int) -> [Float] { Array(repeating: 0, count: count * columns) }
      (gate, up, output) = (zeros(inner), zeros(inner), zeros(width))
      inward.forward(rows, weight: gateWeight, rows: count, into: &gate, scratch: &scratch)
      inward.forward(rows, weight: upWeight, rows: count, into: &up, scratch: &scratch)
      hidden = zip(gate, up).map { $0 * sigmoid($0) * $1 }
      outward.forward(hidden, weight: downWeight, rows: count, into: &output, scratch: &scratch)

      outputGradient = gradients.indices.map { gradients[$0] * weights[$0 / width] }
      var hiddenGradient = zeros(inner)
      outward.inputGradient(
        outputGradient, weight: downWeight, rows: count, into: &hiddenGradient, scratch: &scratch)
      (gateGradient, upGradient, rowsGradient) = (zeros(inner), zeros(inner), zeros(width))
      for index in hiddenGradient.indices {
        let s = sigmoid(gate[index])
        gateGradient[index] = hiddenGradient[index] * up[index] * s * (1 + gate[index] * (1 - s))
        upGradient[index] = hiddenGradient[index] * gate[index] * s
      }
      inward.inputGradient(
        gateGradient, weight: gateWeight, rows: count, into: &rowsGradient, scratch: &scratch)
      inward.inputGradient(
        upGradient, weight: upWeight, rows: count, into: &rowsGradient, accumulate: true, scratch: &scratch)
      gateWeightGradient = Array(repeating: 0, count: width * inner)
      (upWeightGradient, downWeightGradient) = (gateWeightGradient, gateWeightGradient)
      inward.weightGradient(gateGradient, rows, rows: count, into: &gateWeightGradient, scratch: &scratch)
      inward.weightGradient(upGradient, rows, rows: count, into: &upWeightGradient, scratch: &scratch)
      outward.weightGradient(
        outputGradient, hidden, rows: count, into: &downWeightGradient, scratch: &scratch)
    }
  }

  @Test func `an expert layer in E4M3 has the golden results`() throws {
    let file = try goldenFile("fp8_moe")
    let size: Dimensions = try file.described("config")
    let (width, inner, topK) = (size.hidden, size.moeInter, size.topK)
    let inputs = try file.described("hash", as: [String: HashedTensor].self)
    func input(_ name: String) throws -> [Float] { try #require(inputs[name]).values }
    let (x, dy) = (try input("x"), try input("dy"))
    let chosen = try file.int32s("topk_idx")
    let weights = try file.floats("topk_weights")
    let offsets = try file.int32s("offs").map(Int.init)
    let tokens = try file.int32s("tok").map(Int.init)
    let (gateWeights, upWeights, downWeights) = (try input("wgate"), try input("wup"), try input("wdown"))

    var y = [Float](repeating: 0, count: size.tokens * width)
    var dx = y
    var weightsGradient = [Float](repeating: 0, count: size.tokens * topK)
    var experts: [Expert] = []
    for number in 0..<size.nExperts {
      let mine = Array(tokens[offsets[number]..<offsets[number + 1]])
      let slots = mine.map { token in
        chosen[token * topK..<(token + 1) * topK].firstIndex(of: Int32(number)) ?? 0
      }
      func rows(_ all: [Float]) -> [Float] { mine.flatMap { all[$0 * width..<($0 + 1) * width] } }
      func weight(_ all: [Float]) -> [Float] {
        Array(all[number * width * inner..<(number + 1) * width * inner])
      }
      let expert = Expert(
        rows: rows(x), gradients: rows(dy), weights: slots.map { weights[$0] },
        gateWeight: weight(gateWeights),
        upWeight: weight(upWeights), downWeight: weight(downWeights), hidden: width, inner: inner)
      for (row, token) in mine.enumerated() {
        for column in 0..<width {
          let (from, to) = (row * width + column, token * width + column)
          y[to] += expert.output[from] * weights[slots[row]]
          dx[to] += expert.rowsGradient[from]
          weightsGradient[slots[row]] += expert.output[from] * dy[to]
        }
      }
      experts.append(expert)
    }
    addRouterGradient(
      to: &dx, x: x, router: try input("wg"), chosen: chosen, weightsGradient: weightsGradient, size: size)

    #expect(try frobeniusError(experts.flatMap(\.gate), file.floats("gate")) <= 1e-3)
    #expect(try frobeniusError(experts.flatMap(\.hidden), file.floats("h")) <= 1e-3)
    #expect(try frobeniusError(y, file.floats("y")) <= 1e-3)
    #expect(try frobeniusError(weightsGradient, file.floats("dtopk_weights")) <= 1e-3)
    #expect(try frobeniusError(dx, file.floats("dx")) <= 1e-3)
    let probes = try Probes(file)
    for (name, gradients) in [
      ("dwgate", experts.map(\.gateWeightGradient)), ("dwup", experts.map(\.upWeightGradient)),
      ("dwdown", experts.map(\.downWeightGradient)),
    ] {
      let found = try probes.of(gradients.flatMap { $0 }, like: name)
      #expect(try frobeniusError(found.norms, file.floats("\(name).fro")) <= 1e-3)
      #expect(try frobeniusError(found.fromRight, file.floats("\(name).pr")) <= 1e-3)
      #expect(try frobeniusError(found.fromLeft, file.floats("\(name).pl")) <= 1e-3)
    }
  }

  /// The path through a sigmoid router with normalised weights.
  private func addRouterGradient(
    to dx: inout [Float], x: [Float], router: [Float], chosen: [Int32], weightsGradient: [Float],
    size: Dimensions
  ) {
    let logits = Matrix(size.tokens, size.hidden, x)
      .timesTransposed(Matrix(size.nExperts, size.hidden, router))
    for token in 0..<size.tokens {
      let slots = token * size.topK..<(token + 1) * size.topK
      let scores = slots.map { sigmoid(logits[token, Int(chosen[$0])]) }
      let sum = scores.reduce(0, +) + 1e-20
      let mean = zip(slots, scores).reduce(0) { $0 + weightsGradient[$1.0] * $1.1 } / (sum * sum)
      for (slot, score) in zip(slots, scores) {
        let gradient =
          size.routedScalingFactor * (weightsGradient[slot] / sum - mean) * score * (1 - score)
        for column in 0..<size.hidden {
          dx[token * size.hidden + column] += gradient * router[Int(chosen[slot]) * size.hidden + column]
        }
      }
    }
  }
}
