import CKernels
import Foundation
import Kernels
import Models
import Operators
import Programs

typealias Floats = UnsafeMutablePointer<Float>

/// The blocks of a model on buffers of their own, to be run one at a time.
final class MeasuredBlocks {
  private let model: Model
  private let tokens: Int
  private let sequences: Int
  private let length: Int
  private let rotary: RotaryTable
  private let buffers: [Floats]
  /// As many layers' parameters and gradients as make each cold when its turn comes again.
  private let pool: Floats
  private let poolCount = 48 << 20
  private let ids: UnsafeMutablePointer<Int32>

  init(_ model: Model, sequences: Int, length: Int) {
    self.model = model
    self.sequences = sequences
    self.length = length
    tokens = sequences * length
    func floats(_ count: Int) -> Floats {
      let result = Floats.allocate(capacity: count)
      for index in 0..<count { result[index] = (Float((index &* 2_654_435_761) & 0xffff) / 32768 - 1) * 0.05 }
      return result
    }
    buffers = (0..<6).map { _ in floats(24 << 20) }
    pool = floats(poolCount)
    ids = UnsafeMutablePointer<Int32>.allocate(capacity: 1 << 20)
    for index in 0..<1 << 20 { ids[index] = Int32((index &* 7919) % model.vocabulary) }
    rotary =
      switch model.attention {
      case .latent(let shape):
        RotaryTable(dimension: shape.rotaryDimension, length: length, theta: 10_000, pairing: .interleaved)
      case .grouped(let shape):
        RotaryTable(dimension: shape.headDimension, length: length, theta: 10_000, pairing: .halves)
      }
  }

  private func cold(_ count: Int, _ call: Int) -> Floats { pool + call % (poolCount / count) * count }

  /// Processor microseconds of one run of a work's section and pass; nil where this has no block for it.
  func microseconds(_ work: Work) -> Double? {
    switch work.section {
    case .attention where work.kernels.count > 0: attention(work)
    case .feedForward:
      layer(
        FeedForwardBlock(
          hidden: model.hidden, intermediate: model.feedForward.intermediate, tokens: tokens, epsilon: 1e-6),
        work.pass)
    case .sharedExperts: shared(work.pass)
    case .experts: experts(work.pass)
    case .head: head(work.pass)
    default: nil
    }
  }

  private func timed(_ prepare: () -> Void = {}, _ body: (Int) -> Void) -> Double {
    var times: [Double] = []
    var call = 0
    let begin = processorSeconds()
    while times.count < 7 || (processorSeconds() - begin < 0.15 && times.count < 200) {
      prepare()
      let start = processorSeconds()
      body(call)
      times.append(processorSeconds() - start)
      call += 1
    }
    times.removeFirst(2)
    return times.sorted()[times.count / 2] * 1e6
  }

  private func processorSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
  }

  private func layer(_ block: some LayerBlock, _ pass: Pass) -> Double {
    let (input, output, saved, scratch) = (buffers[0], buffers[1], buffers[2], buffers[3])
    let count = block.parameters.count
    func forward() {
      block.forward(input: input, parameters: pool, saved: saved, scratch: scratch, output: output)
    }
    func backward() {
      block.inputGradient(
        outputGradient: buffers[4], parameters: pool, saved: saved, scratch: scratch, inputGradient: output)
    }
    switch pass {
    case .forward:
      return timed { call in
        block.forward(
          input: input, parameters: cold(count, call), saved: saved, scratch: scratch, output: output)
      }
    case .inputGradient:
      return timed(forward) { call in
        block.inputGradient(
          outputGradient: buffers[4], parameters: cold(count, call), saved: saved, scratch: scratch,
          inputGradient: output)
      }
    case .weightGradient:
      forward()
      backward()
      return timed { call in
        block.weightGradient(
          parameters: buffers[5], saved: saved, scratch: scratch, gradients: cold(count, call))
      }
    }
  }

  private func attention(_ work: Work) -> Double {
    let shape: AttentionConfiguration =
      switch model.attention {
      case .latent(let latent):
        .latent(
          heads: latent.heads, queryRank: latent.queryRank, keyValueRank: latent.keyValueRank,
          contentDimension: latent.contentDimension, rotaryDimension: latent.rotaryDimension,
          valueDimension: latent.valueDimension)
      case .grouped(let grouped):
        .grouped(
          queryHeads: grouped.queryHeads, keyValueHeads: grouped.keyValueHeads,
          headDimension: grouped.headDimension, hasProjectionBias: grouped.hasProjectionBias,
          hasOutputBias: grouped.hasOutputBias, normalizesQueryKey: grouped.normalizesQueryKey)
      }
    let block = AttentionBlock(
      shape, hidden: model.hidden, sequences: sequences, length: length, epsilon: 1e-6, rotary: rotary)
    var total = layer(block, work.pass)
    // A layer with a router has its product among the kernels.
    let experts = model.mixture?.routedExperts ?? 0
    let hasRouter = work.kernels.contains { kernel in
      guard case .matrixProduct(let product) = kernel else { return false }
      return work.pass == .forward
        ? product.columns == experts
        : work.pass == .inputGradient
          ? product.depth == Double(experts) : product.rows == Double(experts)
    }
    if let mixture = model.mixture, hasRouter { total += router(mixture, work.pass) }
    return total
  }

  private func router(_ mixture: Mixture, _ pass: Pass) -> Double {
    let block = RouterBlock(
      router: Router(
        experts: mixture.routedExperts, topK: mixture.topK, groups: mixture.groups,
        limitedGroups: mixture.limitedGroups),
      balance: BalanceLoss(coefficient: 1e-4), hidden: model.hidden, sequences: sequences, length: length,
      epsilon: 1e-6)
    let (saved, scratch, weights) = (buffers[2], buffers[3], buffers[5])
    let count = block.parameters.count
    let indices = UnsafeMutablePointer<Int32>.allocate(capacity: tokens * mixture.topK)
    defer { indices.deallocate() }
    func forward(_ call: Int) {
      block.forward(
        input: buffers[0], parameters: cold(count, call), bias: nil, saved: saved, scratch: scratch,
        indices: indices, weights: weights)
    }
    func backward(_ call: Int) {
      block.inputGradient(
        normedGradient: buffers[1], weightGradients: weights, indices: indices, residualGradient: buffers[4],
        balanceScale: 1, parameters: cold(count, call), saved: saved, scratch: scratch,
        inputGradient: buffers[4])
    }
    forward(0)
    switch pass {
    case .forward: return timed({}, forward)
    case .inputGradient: return timed({}, backward)
    case .weightGradient:
      backward(0)
      return timed { block.weightGradient(saved: saved, gradients: cold(count, $0)) }
    }
  }

  private func shared(_ pass: Pass) -> Double? {
    guard let mixture = model.mixture else { return nil }
    let block = SharedExpertBlock(
      hidden: model.hidden, intermediate: mixture.sharedIntermediate, tokens: tokens)
    let (saved, scratch, count) = (buffers[2], buffers[3], block.parameters.count)
    func forward(_ call: Int) {
      block.forward(input: buffers[0], parameters: cold(count, call), saved: saved, output: buffers[1])
    }
    forward(0)
    switch pass {
    case .forward: return timed({}, forward)
    case .inputGradient:
      func backward(_ call: Int) {
        block.inputGradient(
          outputGradient: buffers[4], parameters: cold(count, call), saved: saved, scratch: scratch,
          inputGradient: buffers[1])
      }
      return timed({ forward(0) }, backward)
    case .weightGradient:
      return timed {
        block.weightGradient(
          input: buffers[0], outputGradient: buffers[4], saved: saved, gradients: cold(count, $0))
      }
    }
  }

  /// All experts of the model on one rank, with what a rank does around them.
  private func experts(_ pass: Pass) -> Double? {
    guard let mixture = model.mixture else { return nil }
    let block = ExpertsBlock(
      experts: mixture.routedExperts, hidden: model.hidden, intermediate: mixture.expertIntermediate)
    let received = ReceivedTokens(
      firstExpert: 0, experts: mixture.routedExperts, topK: mixture.topK, capacity: tokens)
    let choices = UnsafeMutablePointer<Int32>.allocate(capacity: tokens * mixture.topK)
    defer { choices.deallocate() }
    var generator = SystemRandomNumberGenerator()
    for token in 0..<tokens {
      let drawn = (0..<Int32(mixture.routedExperts)).shuffled(using: &generator).prefix(mixture.topK)
      for (slot, expert) in drawn.enumerated() { choices[token * mixture.topK + slot] = expert }
    }
    let weights = buffers[5]
    received.arrange(choices: choices, weights: weights, tokens: tokens)
    let (saved, scratch, count) = (buffers[2], buffers[3], block.parameters.count)
    let rows = buffers[1]
    func forward(_ call: Int) {
      received.arrange(choices: choices, weights: weights, tokens: tokens)
      block.forward(
        rows: received.expertRows, input: buffers[0], parameters: cold(count, call), saved: saved,
        scratch: scratch, output: rows)
      received.combine(rows, width: model.hidden, into: buffers[4])
    }
    func backward(_ call: Int) {
      block.inputGradient(
        rows: received.expertRows, outputGradient: buffers[0], parameters: cold(count, call), saved: saved,
        scratch: scratch, weightGradients: buffers[5] + (1 << 22), inputGradient: rows)
      received.sum(rows, width: model.hidden, into: buffers[4])
      received.scatter(buffers[5] + (1 << 22), into: buffers[5] + (2 << 22))
    }
    forward(0)
    switch pass {
    case .forward: return timed({}, forward)
    case .inputGradient: return timed({ forward(0) }, backward)
    case .weightGradient:
      backward(0)
      return timed { call in
        block.weightGradient(
          rows: received.expertRows, input: buffers[0], outputGradient: buffers[0], saved: saved,
          scratch: scratch, gradients: cold(count, call))
      }
    }
  }

  private func head(_ pass: Pass) -> Double {
    let block = HeadBlock(
      hidden: model.hidden, vocabulary: model.vocabulary, tokens: tokens, epsilon: 1e-6)
    let (saved, scratch, count) = (buffers[2], buffers[3], model.vocabulary * model.hidden)
    func forward(_ call: Int) {
      _ = block.forward(
        input: buffers[0], labels: ids, scale: 1, norm: buffers[5], projection: cold(count, call),
        saved: saved,
        scratch: scratch)
    }
    forward(0)
    switch pass {
    case .forward: return timed({}, forward)
    case .inputGradient:
      return timed { call in
        block.inputGradient(
          norm: buffers[5], projection: cold(count, call), saved: saved, scratch: scratch,
          inputGradient: buffers[1])
      }
    case .weightGradient:
      return timed { call in
        block.weightGradient(
          saved: saved, scratch: scratch, normGradient: buffers[1], projectionGradient: cold(count, call))
      }
    }
  }
}
