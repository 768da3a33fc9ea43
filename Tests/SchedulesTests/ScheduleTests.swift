import Documents
import Schedules
import TestSupport
import Testing
import Units

@Suite struct `Schedules as papers draw them` {
  @Test func `gpipe runs all forwards before any backward`() throws {
    let expected = """
      F0.0 F0.1 F0.2 B0.0 B0.1 B0.2
      F0.0 F0.1 F0.2 B0.0 B0.1 B0.2
      """
    #expect(diagram(try .gpipe(ranks: 2, microBatches: 3)) == expected)
  }

  @Test func `1f1b takes turns once the stages that follow are fed`() throws {
    let expected = """
      F0.0 F0.1 F0.2 B0.0 F0.3 B0.1 B0.2 B0.3
      F0.0 F0.1 B0.0 F0.2 B0.1 F0.3 B0.2 B0.3
      F0.0 B0.0 F0.1 B0.1 F0.2 B0.2 F0.3 B0.3
      """
    #expect(diagram(try .oneForwardOneBackward(ranks: 3, microBatches: 4)) == expected)
  }

  @Test func `interleaving sends groups of micro-batches round the ranks`() throws {
    let expected = """
      F0.0 F0.1 F1.0 F1.1 B1.0 B1.1 B0.0 B0.1
      F0.0 F0.1 F1.0 B1.0 F1.1 B1.1 B0.0 B0.1
      """
    #expect(
      diagram(try .interleavedOneForwardOneBackward(ranks: 2, virtualStages: 2, microBatches: 2)) == expected)
  }

  @Test func `zb-h1 keeps back as many weight gradients as ranks precede`() throws {
    let expected = """
      F0.0 F0.1 F0.2 b0.0 w0.0 b0.1 w0.1 b0.2 w0.2
      F0.0 F0.1 b0.0 F0.2 b0.1 w0.0 b0.2 w0.1 w0.2
      F0.0 b0.0 F0.1 b0.1 F0.2 b0.2 w0.0 w0.1 w0.2
      """
    #expect(diagram(try .zeroBubbleH1(ranks: 3, microBatches: 3)) == expected)
  }

  @Test func `dualpipe on two ranks overlaps everything but the ends`() throws {
    let expected = """
      F0.0 F1.0 F0.1 B1.0 F1.1&B0.0 B1.1 b0.1 w0.1
      F1.0 F0.0 F1.1 B0.0 F0.1&B1.0 B0.1 b1.1 w1.1
      """
    #expect(diagram(try .dualPipe(ranks: 2, microBatches: 4)) == expected)
  }

  @Test func `dualpipev is the first half of dualpipe`() throws {
    for ranks in 1...8 {
      for microBatches in 2 * ranks...2 * ranks + 5 {
        let folded = try PipelineOrder.dualPipeV(ranks: ranks, microBatches: microBatches)
        let whole = try PipelineOrder.dualPipe(ranks: 2 * ranks, microBatches: 2 * microBatches)
        #expect(folded.slots == Array(whole.slots.prefix(ranks)))
      }
    }
  }

  @Test func `dualpipe looks the same from both ends`() throws {
    let order = try PipelineOrder.dualPipe(ranks: 8, microBatches: 26)
    func mirrored(_ chunk: Chunk) -> Chunk {
      Chunk(chunk.pass, part: 1 - chunk.part, microBatch: chunk.microBatch)
    }
    for rank in 0..<4 {
      let mirror = order.slots[rank].map { slot in
        switch slot {
        case .chunk(let chunk): Slot.chunk(mirrored(chunk))
        case .overlapped(let forward, let backward):
          Slot.overlapped(forward: mirrored(forward), backward: mirrored(backward))
        }
      }
      #expect(order.slots[7 - rank] == mirror)
    }
  }

  @Test func `every legal size gives a valid order`() throws {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<200 {
      for order in try drawOrders(&random) {
        #expect(throws: Never.self, "\(order.schedule) \(order.ranks) \(order.microBatches)") {
          try order.validate()
        }
      }
    }
  }
}

@Suite struct `Where stages lie` {
  @Test func `a place and its stage name each other`() throws {
    var random = SeededGenerator(seed: 2)
    for order in try drawOrders(&random) {
      var seen = Set<Int>()
      for rank in 0..<order.ranks {
        for part in 0..<order.parts {
          let stage = order.stage(rank: rank, part: part)
          seen.insert(stage)
          #expect(order.place(ofStage: stage, part: part) == StagePlace(rank: rank, part: part))
        }
      }
      #expect(seen == Set(0..<order.stages))
    }
  }

  @Test func `a consumer's producer is the chunk itself`() throws {
    var random = SeededGenerator(seed: 3)
    for order in try drawOrders(&random) {
      for rank in 0..<order.ranks {
        for part in 0..<order.parts {
          for pass in ChunkPass.allCases {
            let chunk = Chunk(pass, part: part, microBatch: 0)
            guard let next = order.consumer(of: chunk, rank: rank) else { continue }
            let there = Chunk(pass, part: next.part, microBatch: 0)
            #expect(order.producer(for: there, rank: next.rank) == StagePlace(rank: rank, part: part))
          }
        }
      }
    }
  }

  @Test func `the V turns within the last rank and interleaving wraps to the first`() throws {
    let folded = try PipelineOrder.dualPipeV(ranks: 4, microBatches: 8)
    #expect(
      folded.producer(for: Chunk(.forward, part: 1, microBatch: 0), rank: 3) == StagePlace(rank: 3, part: 0))
    let wrapped = try PipelineOrder.interleavedOneForwardOneBackward(
      ranks: 4, virtualStages: 2, microBatches: 4)
    #expect(
      wrapped.producer(for: Chunk(.forward, part: 1, microBatch: 0), rank: 0) == StagePlace(rank: 3, part: 0))
    #expect(
      wrapped.producer(for: Chunk(.backward, part: 0, microBatch: 0), rank: 3) == StagePlace(rank: 0, part: 1)
    )
    #expect(wrapped.producer(for: Chunk(.backward, part: 1, microBatch: 0), rank: 3) == nil)
  }
}

@Suite struct `Sizes a schedule cannot have` {
  @Test(
    arguments: [
      ("dualpipe", 3, 12, nil, "--pp"),
      ("dualpipe", 4, 9, nil, "--micro-batches"),
      ("dualpipe", 16, 20, nil, "--micro-batches"),
      ("dualpipev", 4, 7, nil, "--micro-batches"),
      ("interleaved-1f1b", 4, 6, 2, "--micro-batches"),
      ("interleaved-1f1b", 4, 8, 1, "--vpp"),
      ("interleaved-1f1b", 4, 8, nil, "--vpp"),
      ("1f1b", 4, 8, 2, "--vpp"),
      ("1f1b", 0, 8, nil, "--pp"),
      ("gpipe", 4, 0, nil, "--micro-batches"),
      ("zb-h1", -1, 8, nil, "--pp"),
      ("zb-h1", 4, Int.max, nil, "--micro-batches"),
      ("1f1b", 60_000, 1_000_000, nil, "--micro-batches"),
      ("interleaved-1f1b", 4, 8, Int.max, "--vpp"),
      ("dualpipes", 4, 8, nil, "--schedule"),
    ] as [(String, Int, Int, Int?, String)])
  func `are refused as usage errors that name the flag`(
    name: String, ranks: Int, microBatches: Int, virtualStages: Int?, flag: String
  ) {
    let diagnostic = refusal {
      _ = try PipelineOrder.published(
        name, ranks: ranks, microBatches: microBatches, virtualStages: virtualStages)
    }
    #expect(diagnostic?.status == .usage)
    #expect(diagnostic?.path == flag)
  }
}
