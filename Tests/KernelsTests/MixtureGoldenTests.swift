import Tensors
import TestSupport
import Testing

@testable import Kernels

/// A layer run on golden inputs, with everything it made.
struct GoldenRun {
  var layer: GoldenLayer
  var mixture: MixtureLayer
  var y, dx, routerGradient: [Float]
  /// Gate, up and down of all experts, and of the shared one.
  var gradients, sharedGradients: [[Float]]
  /// Gate, up and activations of the rows, before the backward pass turned gate and up into gradients.
  var forwardSaved: [[Float]]
  var forwardRows: [Float]
  var routed: [Float]

  init(
    _ layer: GoldenLayer, precision: ExpertsBlock.Precision = .float32, _ input: (String) throws -> [Float]
  ) throws {
    self.layer = layer
    let hidden = try #require(layer.hidden)
    let intermediate = try #require(layer.intermediate)
    let shared = (layer.sharedExperts ?? 0) * intermediate
    let mixture = MixtureLayer(
      router: layer.router, hidden: hidden, intermediate: intermediate, sharedIntermediate: shared,
      tokens: layer.tokens, precision: precision)
    self.mixture = mixture
    let x = try input("x")
    let dy = try input("dy")
    let router = try input("wg")
    let experts = try input("wgate") + input("wup") + input("wdown")
    let sharedWeights =
      shared > 0 ? try input("shared_wgate") + input("shared_wup") + input("shared_wdown") : [0]
    let bias = try input("bias")
    // Gradients are added: what is there before must still be there.
    let before: Float = 0.5
    var y = [Float](repeating: .nan, count: x.count)
    var dx = y
    var routerGradient = [Float](repeating: 0, count: router.count)
    var expertGradient = [Float](repeating: before, count: experts.count)
    var sharedGradient = [Float](repeating: 0, count: sharedWeights.count)
    let rowCount = layer.tokens * layer.topK
    var forwardSaved: [Float] = []
    var forwardRows: [Float] = []
    var routed = y
    router.withUnsafeBufferPointer { router in
      experts.withUnsafeBufferPointer { experts in
        sharedWeights.withUnsafeBufferPointer { shared in
          let parameters = MixtureLayer.Parameters(
            router: router.baseAddress!, experts: experts.baseAddress!, shared: shared.baseAddress!)
          mixture.forward(input: x, parameters: parameters, bias: bias, output: &y)
          forwardSaved = Array(UnsafeBufferPointer(start: mixture.saved, count: 3 * rowCount * intermediate))
          // The layer's own rows hold the shared expert's output by now.
          mixture.experts.forward(
            rows: mixture.received.expertRows, input: x, parameters: experts.baseAddress!,
            saved: mixture.saved,
            scratch: mixture.scratch, output: mixture.rows)
          forwardRows = Array(UnsafeBufferPointer(start: mixture.rows, count: rowCount * hidden))
          mixture.received.combine(forwardRows, width: hidden, into: &routed)
          mixture.inputGradient(outputGradient: dy, parameters: parameters, inputGradient: &dx)
        }
      }
    }
    routerGradient.withUnsafeMutableBufferPointer { router in
      expertGradient.withUnsafeMutableBufferPointer { experts in
        sharedGradient.withUnsafeMutableBufferPointer { shared in
          mixture.weightGradient(
            input: x, outputGradient: dy,
            gradients: .init(
              router: router.baseAddress!, experts: experts.baseAddress!, shared: shared.baseAddress!))
        }
      }
    }
    self.y = y
    self.dx = dx
    self.routerGradient = routerGradient
    self.routed = routed
    self.forwardRows = forwardRows
    self.forwardSaved = Self.thirds(forwardSaved)
    gradients = Self.thirds(expertGradient.map { $0 - before })
    sharedGradients = shared > 0 ? Self.thirds(sharedGradient) : []
  }

  private static func thirds(_ values: [Float]) -> [[Float]] {
    let count = values.count / 3
    return (0..<3).map { Array(values[$0 * count..<($0 + 1) * count]) }
  }

  var indices: [Int32] {
    Array(UnsafeBufferPointer(start: mixture.indices, count: layer.tokens * layer.topK))
  }
  var weights: [Float] {
    Array(UnsafeBufferPointer(start: mixture.weights, count: layer.tokens * layer.topK))
  }
  var weightGradients: [Float] {
    Array(UnsafeBufferPointer(start: mixture.weightGradients, count: layer.tokens * layer.topK))
  }
  var offsets: [Int32] {
    Array(UnsafeBufferPointer(start: mixture.received.offsets, count: layer.experts + 1))
  }
  var counts: [Int32] { zip(offsets.dropFirst(), offsets).map { $0 - $1 } }

  /// The tensors that every golden layer names.
  var named: [String: [Float]] {
    var named = [
      "y": y, "dx": dx, "dwg": routerGradient, "topk_weights": weights, "dtopk_weights": weightGradients,
      "dwgate": gradients[0], "dwup": gradients[1], "dwdown": gradients[2], "y_routed": routed,
    ]
    for (name, values) in zip(["shared_dwgate", "shared_dwup", "shared_dwdown"], sharedGradients) {
      named[name] = values
    }
    return named
  }
}

@Suite struct MixtureGoldenTests {
  @Test func `the small layer agrees in every intermediate`() throws {
    let file = try goldenFile("moe_small")
    let run = try GoldenRun(file.described("config")) { try file.floats($0) }
    let mixture = run.mixture
    let rows = mixture.received.rows
    func floats(_ base: UnsafeMutablePointer<Float>, _ count: Int) -> [Float] {
      Array(UnsafeBufferPointer(start: base, count: count))
    }
    let inner = rows * mixture.experts.intermediate
    let named = run.named.merging([
      "p_gate": run.forwardSaved[0], "p_up": run.forwardSaved[1], "p_h": run.forwardSaved[2],
      "p_out": run.forwardRows, "p_dgate": floats(mixture.saved, inner),
      "p_dup": floats(mixture.saved + inner, inner),
      "dlogits": floats(mixture.logitGradients, run.layer.tokens * run.layer.experts),
      "y_shared": zip(run.y, run.routed).map { $0 - $1 },
    ]) { $1 }
    for (name, values) in named.sorted(by: { $0.key < $1.key }) {
      #expect(try relativeError(values, file.floats(name)) <= goldenTolerance, "\(name)")
    }
    #expect(try run.indices == file.int32s("topk_idx"))
    #expect(try run.counts == file.int32s("counts"))
    #expect(try run.offsets == file.int32s("offsets"))
    let slots = UnsafeBufferPointer(start: mixture.received.slots, count: rows)
    let sources = UnsafeBufferPointer(start: mixture.received.sources, count: rows)
    #expect(try Array(sources) == file.int32s("perm_token"))
    #expect(try slots.map { $0 % Int32(run.layer.topK) } == file.int32s("perm_slot"))
  }

  @Test func `the small layer's gradient parts agree`() throws {
    let file = try goldenFile("moe_small")
    let layer: GoldenLayer = try file.described("config")
    let hidden = try #require(layer.hidden)
    let run = try GoldenRun(layer) { try file.floats($0) }
    let mixture = run.mixture
    let received = mixture.received
    let dy = try file.floats("dy")
    // Again row by row from the outputs, as a rank does that keeps them.
    var rowGradients = [Float](repeating: .nan, count: received.rows * hidden)
    var weightGradients = [Float](repeating: .nan, count: layer.tokens * layer.topK)
    received.combineGradient(
      dy, outputs: run.forwardRows, width: hidden, rowGradients: &rowGradients,
      weightGradients: &weightGradients)
    #expect(try relativeError(weightGradients, file.floats("dtopk_weights")) <= goldenTolerance)
    let block = mixture.experts
    var saved = run.forwardSaved.flatMap { $0 }
    var scratch = [Float](repeating: .nan, count: block.scratchCount(rows: received.rows))
    var dxRows = rowGradients
    block.inputGradient(
      rows: ExpertRows(offsets: received.offsets), outputGradient: rowGradients,
      parameters: try file.floats("wgate") + file.floats("wup") + file.floats("wdown"), saved: &saved,
      scratch: &scratch, weightGradients: nil, inputGradient: &dxRows)
    let inner = received.rows * block.intermediate
    #expect(try relativeError(Array(saved[..<inner]), file.floats("p_dgate")) <= goldenTolerance)
    #expect(try relativeError(Array(saved[inner..<2 * inner]), file.floats("p_dup")) <= goldenTolerance)
    var dx = [Float](repeating: .nan, count: dy.count)
    received.sum(dxRows, width: hidden, into: &dx)
    #expect(try relativeError(dx, file.floats("dx_experts")) <= goldenTolerance)
    // p_dh, from the definition.
    var dh = [Float](repeating: .nan, count: inner)
    let down = try file.floats("wdown")
    for expert in 0..<layer.experts {
      let range = Int(received.offsets[expert])..<Int(received.offsets[expert + 1])
      var part = [Float](repeating: .nan, count: range.count * block.intermediate)
      MatrixProduct.multiply(
        Array(rowGradients[range.lowerBound * hidden..<range.upperBound * hidden]),
        Array(down[expert * hidden * block.intermediate..<(expert + 1) * hidden * block.intermediate]),
        into: &part,
        rows: range.count, columns: block.intermediate, depth: hidden)
      dh.replaceSubrange(
        range.lowerBound * block.intermediate..<range.upperBound * block.intermediate, with: part)
    }
    #expect(try relativeError(dh, file.floats("p_dh")) <= goldenTolerance)
    var dxRouter = dx
    MatrixProduct.multiply(
      mixture.logitGradients, try file.floats("wg"), into: &dxRouter, rows: layer.tokens, columns: hidden,
      depth: layer.experts)
    #expect(try relativeError(dxRouter, file.floats("dx_router")) <= goldenTolerance)
    let dxShared = zip(run.dx, zip(dx, dxRouter)).map { $0 - $1.0 - $1.1 }
    #expect(try relativeError(dxShared, file.floats("dx_shared")) <= goldenTolerance)
  }

  @Test func `the medium layer agrees in heads, probes and norms`() throws {
    let file = try goldenFile("moe_medium")
    let inputs: [String: HashedTensor] = try file.described("hash")
    let run = try GoldenRun(file.described("config")) { try #require(inputs[$0]).values }
    #expect(try run.indices == file.int32s("topk_idx"))
    #expect(try run.counts == file.int32s("counts"))
    let probes = try Probes(file)
    for (name, values) in run.named.sorted(by: { $0.key < $1.key }) {
      if file.contains(name) {
        #expect(try relativeError(values, file.floats(name)) <= goldenTolerance, "\(name)")
      }
      if file.contains("\(name)_head") {
        let head = try file.floats("\(name)_head")
        #expect(relativeError(Array(values[..<head.count]), head) <= goldenTolerance, "\(name)")
      }
      guard file.contains("\(name).pr") else { continue }
      let found = try probes.of(values, like: name)
      #expect(try relativeError(found.fromRight, file.floats("\(name).pr")) <= goldenTolerance, "\(name)")
      #expect(try relativeError(found.fromLeft, file.floats("\(name).pl")) <= goldenTolerance, "\(name)")
      for (norm, expected) in zip(found.norms, try file.floats("\(name).fro")) {
        #expect(relativeError([norm], [expected]) <= goldenTolerance, "\(name)")
      }
    }
  }

  /// The cases of `moe_edge` that are layers of their own.
  private func edgeCases() throws -> [(String, GoldenLayer)] {
    struct Case: Decodable {
      var layer: GoldenLayer?
      init(from decoder: any Decoder) { layer = try? GoldenLayer(from: decoder) }
    }
    let cases: [String: Case] = try goldenFile("moe_edge").described("config")
    return cases.sorted { $0.key < $1.key }.compactMap { name, item in item.layer.map { (name, $0) } }
  }

  @Test func `one token, idle experts, one busy expert and odd dimensions agree`() throws {
    let file = try goldenFile("moe_edge")
    let cases = try edgeCases()
    #expect(cases.count >= 4)
    for (name, layer) in cases {
      let run = try GoldenRun(layer) { try file.floats("\(name)/\($0)") }
      #expect(try run.indices == file.int32s("\(name)/topk_idx"), "\(name)")
      #expect(try run.counts == file.int32s("\(name)/counts"))
      #expect(try run.offsets == file.int32s("\(name)/offsets"))
      for (tensor, values) in run.named where file.contains("\(name)/\(tensor)") {
        #expect(
          try relativeError(values, file.floats("\(name)/\(tensor)")) <= goldenTolerance, "\(name) \(tensor)")
      }
    }
  }

  @Test func `a broken token spoils its own row and the experts it chose, nothing else`() throws {
    let file = try goldenFile("moe_edge")
    struct Broken: Decodable {
      var weightsOf: String?

      private enum CodingKeys: String, CodingKey { case weightsOf = "uses_weights_of" }
    }
    let base = try #require(file.described("config", as: [String: Broken].self)["nonfinite"]?.weightsOf)
    let layer = try #require(try edgeCases().first { $0.0 == base }).1
    let run = try GoldenRun(layer) {
      try file.floats(file.contains("nonfinite/\($0)") ? "nonfinite/\($0)" : "\(base)/\($0)")
    }
    let hidden = try #require(layer.hidden)
    let clean = try file.uint8s("nonfinite/clean")
    let (y, dx) = (try file.floats("nonfinite/y_clean"), try file.floats("nonfinite/dx_clean"))
    var spoiled = Set<Int32>()
    for token in 0..<layer.tokens {
      let row = token * hidden..<(token + 1) * hidden
      if clean[token] == 1 {
        #expect(relativeError(Array(run.y[row]), Array(y[row])) <= goldenTolerance)
        #expect(relativeError(Array(run.dx[row]), Array(dx[row])) <= goldenTolerance)
      } else {
        #expect(run.y[row].allSatisfy { !$0.isFinite }, "\(token)")
        #expect(run.dx[row].allSatisfy { !$0.isFinite }, "\(token)")
        spoiled.formUnion(run.indices[token * layer.topK..<(token + 1) * layer.topK])
      }
    }
    #expect(spoiled.count < layer.experts)
    for (index, name) in ["dwgate_clean", "dwup_clean", "dwdown_clean"].enumerated() {
      let expected = try file.floats("nonfinite/\(name)")
      let each = expected.count / layer.experts
      for expert in 0..<layer.experts where !spoiled.contains(Int32(expert)) {
        let part = expert * each..<(expert + 1) * each
        #expect(relativeError(Array(run.gradients[index][part]), Array(expected[part])) <= goldenTolerance)
      }
    }
  }
}

@Suite struct Float8LayerGoldenTests {
  /// One last bit of an activation may fall to the other side of a code: the norm of the difference counts.
  private let tolerance = 1e-3

  @Test func `a layer of eight-bit experts agrees in everything the golden file holds`() throws {
    let file = try goldenFile("fp8_moe")
    let inputs: [String: HashedTensor] = try file.described("hash")
    let run = try GoldenRun(file.described("config"), precision: .float8) { try #require(inputs[$0]).values }
    let received = run.mixture.received
    #expect(try run.indices == file.int32s("topk_idx"))
    #expect(try run.offsets == file.int32s("offs"))
    #expect(
      try Array(UnsafeBufferPointer(start: received.sources, count: received.rows)) == file.int32s("tok"))
    var left = Set(file.names).subtracting(["topk_idx", "offs", "tok"])
    let probes = try Probes(file)
    func expect(_ found: [Float], _ name: String) throws {
      guard left.remove(name) != nil else { return }
      #expect(try frobeniusError(found, file.floats(name)) <= tolerance, "\(name)")
    }
    for (name, values) in run.named.merging(
      ["gate": run.forwardSaved[0], "h": run.forwardSaved[2]], uniquingKeysWith: { $1 })
    {
      try expect(values, name)
      guard file.contains("\(name).pr") else { continue }
      let found = try probes.of(values, like: name)
      try expect(found.fromRight, "\(name).pr")
      try expect(found.fromLeft, "\(name).pl")
      try expect(found.norms, "\(name).fro")
    }
    #expect(left.isEmpty, "not compared: \(left.sorted())")
  }
}
