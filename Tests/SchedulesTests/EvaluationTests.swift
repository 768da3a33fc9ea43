import Documents
import Schedules
import TestSupport
import Testing
import Units

@Suite struct `Bubbles with fixed chunk times` {
  @Test func `1f1b idles (p-1)(F+B) on every draw`() throws {
    var random = SeededGenerator(seed: 11)
    for _ in 0..<1000 {
      let times = drawTimes(&random)
      let ranks = Int.random(in: 1...10, using: &random)
      let order = try PipelineOrder.oneForwardOneBackward(
        ranks: ranks, microBatches: ranks + .random(in: 0...12, using: &random))
      let expected = ClosedForm.oneForwardOneBackward(ranks: ranks, times)
      #expect(try order.evaluate(times: times.chunkTimes).idle.allSatisfy { $0 == expected })
    }
  }

  @Test func `interleaving divides that by the stages of a rank on every draw`() throws {
    var random = SeededGenerator(seed: 12)
    for _ in 0..<500 {
      let times = drawTimes(&random)
      let ranks = Int.random(in: 1...6, using: &random)
      let order = try PipelineOrder.interleavedOneForwardOneBackward(
        ranks: ranks, virtualStages: .random(in: 2...4, using: &random),
        microBatches: ranks * .random(in: 1...4, using: &random))
      let expected = ClosedForm.interleaved(ranks: ranks, times)
      #expect(try order.evaluate(times: times.chunkTimes).idle.allSatisfy { $0 == expected })
    }
  }

  @Test func `zb-h1 idles (p-1)(F+B-2W) on every draw whose W is the shortest`() throws {
    var random = SeededGenerator(seed: 13)
    for _ in 0..<1000 {
      var times = drawTimes(&random)
      let shortest = min(times.forward, times.backwardInput)
      times.backwardWeight = picoseconds(.random(in: 1...Int(shortest.picoseconds), using: &random))
      let ranks = Int.random(in: 1...10, using: &random)
      let microBatches = ranks + Int.random(in: 0...12, using: &random)
      let expected = ClosedForm.zeroBubbleH1(ranks: ranks, times)
      for order in [
        try PipelineOrder.zeroBubbleH1(ranks: ranks, microBatches: microBatches),
        try PipelineOrder.zeroBubbleH1QuickStart(ranks: ranks, microBatches: microBatches),
      ] {
        #expect(try order.evaluate(times: times.chunkTimes).idle.allSatisfy { $0 == expected })
      }
    }
  }

  @Test func `zb-h1 hides no more than the shortest chunk on every draw`() throws {
    var random = SeededGenerator(seed: 14)
    for _ in 0..<1000 {
      let times = drawTimes(&random)
      let ranks = Int.random(in: 1...10, using: &random)
      let microBatches = ranks + Int.random(in: 0...12, using: &random)
      let expected = ClosedForm.zeroBubbleH1Idle(ranks: ranks, times)
      for order in [
        try PipelineOrder.zeroBubbleH1(ranks: ranks, microBatches: microBatches),
        try PipelineOrder.zeroBubbleH1QuickStart(ranks: ranks, microBatches: microBatches),
      ] {
        #expect(
          try order.evaluate(times: times.chunkTimes).idle.allSatisfy { $0 == expected }, "\(order.schedule)")
      }
    }
  }

  @Test func `dualpipe follows its exact closed form on 1,000 draws`() throws {
    var random = SeededGenerator(seed: 15)
    for _ in 0..<1000 {
      let times = drawTimes(&random)
      let ranks = 2 * Int.random(in: 1...8, using: &random)
      let microBatches = 2 * ranks + 2 * Int.random(in: 0...10, using: &random)
      let timing = try PipelineOrder.dualPipe(ranks: ranks, microBatches: microBatches)
        .evaluate(times: times.chunkTimes)
      #expect(timing.idle[ranks / 2 - 1] == ClosedForm.dualPipeIdle(stages: ranks, times))
      #expect(timing.idle[ranks / 2] == ClosedForm.dualPipeIdle(stages: ranks, times))
      #expect(
        timing.makespan == ClosedForm.dualPipeMakespan(stages: ranks, microBatches: microBatches, times))
    }
  }

  @Test func `dualpipev follows the same closed form on 1,000 draws`() throws {
    var random = SeededGenerator(seed: 16)
    for _ in 0..<1000 {
      let times = drawTimes(&random)
      let ranks = Int.random(in: 1...8, using: &random)
      let microBatches = 2 * ranks + Int.random(in: 0...10, using: &random)
      let timing = try PipelineOrder.dualPipeV(ranks: ranks, microBatches: microBatches)
        .evaluate(times: times.chunkTimes)
      #expect(timing.idle[ranks - 1] == ClosedForm.dualPipeIdle(stages: 2 * ranks, times))
      #expect(
        timing.makespan
          == ClosedForm.dualPipeMakespan(stages: 2 * ranks, microBatches: 2 * microBatches, times))
    }
  }

  @Test func `the published dualpipe form holds when F equals b and W is not longer`() {
    let times = UniformTimes(
      forward: picoseconds(10), backwardInput: picoseconds(10), backwardWeight: picoseconds(7),
      overlapped: picoseconds(25))
    #expect(ClosedForm.dualPipeIdle(stages: 8, times) == ClosedForm.dualPipe(stages: 8, times))
  }
}

/// F = 1, B = 2, W = 1, F&B = 3: the times of the papers' pictures.
@Suite struct `Textbook times` {
  private func makespan(_ order: PipelineOrder, latency: Double = 0) throws -> Double {
    try order.evaluate(times: .textbook(), latency: Span(milliseconds: latency)).makespan.milliseconds
  }

  @Test(arguments: [(8, 20, 66), (4, 8, 26), (16, 32, 110), (16, 64, 206), (8, 24, 78)])
  func `dualpipe takes as long as its authors' code`(ranks: Int, microBatches: Int, expected: Double) throws {
    #expect(try makespan(.dualPipe(ranks: ranks, microBatches: microBatches)) == expected)
  }

  @Test func `half a unit of latency makes 78 units 93.5`() throws {
    #expect(try makespan(.dualPipe(ranks: 8, microBatches: 24), latency: 0.5) == 93.5)
  }

  @Test(arguments: [(4, 9, 3, 2), (8, 21, 7, 6), (16, 45, 15, 14)])
  func `bubbles shrink from 1f1b to zb-h1 to dualpipe`(
    ranks: Int, plain: Double, zeroBubble: Double, dualPipe: Double
  ) throws {
    let microBatches = 2 * ranks
    #expect(
      try makespan(.oneForwardOneBackward(ranks: ranks, microBatches: microBatches)) == plain
        + 3 * Double(microBatches))
    #expect(
      try makespan(.zeroBubbleH1(ranks: ranks, microBatches: microBatches)) == zeroBubble
        + 3 * Double(microBatches))
    #expect(
      try makespan(.dualPipe(ranks: ranks, microBatches: microBatches)) == dualPipe + 3 * Double(microBatches)
    )
  }

  @Test func `each schedule holds the activations it is known for`() throws {
    let ranks = 8
    let dual = try PipelineOrder.dualPipe(ranks: ranks, microBatches: 24)
    #expect(dual.activationPeaks(until: .weightGradient) == Array(repeating: ranks + 1, count: ranks))
    let plain = try PipelineOrder.oneForwardOneBackward(ranks: ranks, microBatches: 24)
    #expect(plain.activationPeaks(until: .inputGradient) == (0..<ranks).map { ranks - $0 })
    let zero = try PipelineOrder.zeroBubbleH1(ranks: ranks, microBatches: 24)
    #expect(zero.activationPeaks(until: .weightGradient) == Array(repeating: ranks, count: ranks))
    // In chunks of half a rank: 11.5 ranks.
    let interleaved = try PipelineOrder.interleavedOneForwardOneBackward(
      ranks: ranks, virtualStages: 2, microBatches: 24)
    #expect(interleaved.activationPeaks(until: .inputGradient)[0] == 23)
    let gpipe = try PipelineOrder.gpipe(ranks: ranks, microBatches: 24)
    #expect(gpipe.activationPeaks(until: .inputGradient) == Array(repeating: 24, count: ranks))
  }
}

@Suite struct `Evaluation` {
  @Test func `slots agree with a naive fixed point`() throws {
    var random = SeededGenerator(seed: 21)
    for _ in 0..<20 {
      for order in try drawOrders(&random) {
        let scale = Int.random(in: 1...9, using: &random)
        let times = ChunkTimes(
          forward: { picoseconds(3 + $0 * scale) }, backwardInput: { picoseconds(5 + $0) },
          backwardWeight: { picoseconds(2 + $0 % 3) }, overlapped: { picoseconds(9 + $0 + 2 * $1) })
        let latency = picoseconds(.random(in: 0...4, using: &random))
        let timing = try order.evaluate(times: times, latency: latency)
        #expect(timing.intervals == naiveIntervals(order, times, latency))
      }
    }
  }

  @Test func `a rank that waits for itself is named with its slot`() throws {
    // Each rank wants the other's result first.
    let order = try PipelineOrder(
      text: """
        order schedule=crossed placement=straight ranks=2 parts=1 micro-batches=2
        0: F0.0 B0.0 F0.1 B0.1
        1: F0.0 F0.1 B0.0 B0.1
        """)
    let diagnostic = try #require(refusal { try order.validate() })
    #expect(diagnostic.problem == "the order cannot run to its end")
    #expect(diagnostic.path == "ranks 0, 1")
    #expect(
      diagnostic.found
        == "rank 0 at slot 1, B0.0 waits for B0.0 of rank 1; rank 1 at slot 1, F0.1 waits for F0.1 of rank 0")
  }

  @Test func `latency counts between ranks and not at the turn of the V`() throws {
    let order = try PipelineOrder.dualPipeV(ranks: 1, microBatches: 4)
    let times = ChunkTimes.textbook()
    #expect(
      try order.evaluate(times: times, latency: Span(milliseconds: 9)).makespan
        == order.evaluate(times: times).makespan)
  }

  /// Sweeps all slots until nothing changes: starts at the latest of the rank's previous end and the
  /// inputs' arrival.
  private func naiveIntervals(
    _ order: PipelineOrder, _ times: ChunkTimes, _ latency: Span
  ) -> [[OrderTiming.Interval]] {
    struct Key: Hashable {
      var rank, part, microBatch: Int
      var isForward: Bool
    }
    var ends: [Key: Instant] = [:]
    var intervals = order.slots.map { $0.map { _ in OrderTiming.Interval(start: .start, end: .start) } }
    var changed = true
    while changed {
      changed = false
      for rank in 0..<order.ranks {
        var free = Instant.start
        for (index, slot) in order.slots[rank].enumerated() {
          var start = free
          var stages: [(ChunkPass, Int)] = []
          slot.forEachChunk { chunk in
            stages.append((chunk.pass, order.stage(rank: rank, part: chunk.part)))
            guard let place = order.producer(for: chunk, rank: rank) else { return }
            let key = Key(
              rank: place.rank, part: place.part, microBatch: chunk.microBatch,
              isForward: chunk.pass == .forward)
            start = max(start, (ends[key] ?? .start) + (place.rank == rank ? .zero : latency))
          }
          let length =
            stages.count == 2
            ? times.overlapped(stages[0].1, stages[1].1) : times.time(of: stages[0].0, stage: stages[0].1)
          let interval = OrderTiming.Interval(start: start, end: start + length)
          if intervals[rank][index] != interval {
            intervals[rank][index] = interval
            changed = true
          }
          free = interval.end
          slot.forEachChunk { chunk in
            guard chunk.pass != .backwardWeight else { return }
            ends[
              Key(
                rank: rank, part: chunk.part, microBatch: chunk.microBatch, isForward: chunk.pass == .forward)
            ] = free
          }
        }
      }
    }
    return intervals
  }
}
