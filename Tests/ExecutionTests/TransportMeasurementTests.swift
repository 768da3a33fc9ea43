import Execution
import Testing

@Suite struct TransportMeasurementTests {
  @Test func `ping-pongs are measured between two ranks while the others wait`() throws {
    let results = try LoopbackWorld.run(ranks: 3) { transport in
      try TransportBenchmark(transport, groupSizes: [], secondsEach: 0.01).pingPong(bytes: 4096)
    }
    let first = try #require(results[0])
    #expect(results[1]?.time.minimum == first.time.minimum)
    #expect(results[2] == nil)
    #expect(first.bytes == 4096 && first.time.repetitions >= 5)
    #expect(first.time.minimum > 0 && first.time.minimum <= first.time.median)
    #expect(first.bytesPerSecond == 4096 / first.time.minimum)
  }

  @Test(arguments: [0, 1000])
  func `all-to-alls are measured among the first ranks of a world`(bytes: Int) throws {
    let results = try LoopbackWorld.run(ranks: 4) { transport in
      let benchmark = try TransportBenchmark(transport, groupSizes: [1, 2, 4, 8], secondsEach: 0.01)
      return try [1, 2, 4].map { try benchmark.allToAll(ranks: $0, bytesPerPair: bytes) }
    }
    for (rank, times) in results.enumerated() {
      #expect(times.map { $0 != nil } == [rank < 1, rank < 2, true])
    }
    let all = try #require(results[0][2])
    #expect(all.ranks == 4 && all.time.threadCPU >= 0)
    #expect(all.bytesPerSecond == Double(12 * bytes) / all.time.median)
  }

  @Test func `reductions are measured among the first ranks of a world`() throws {
    let results = try LoopbackWorld.run(ranks: 3) { transport in
      try TransportBenchmark(transport, groupSizes: [2], secondsEach: 0.01)
        .reduction(.allReduce, ranks: 2, elements: 1001)
    }
    #expect(results.map { $0 != nil } == [true, true, false])
    #expect(results[0]?.time.median == results[1]?.time.median)
  }

  @Test func `a world of one has nobody to play with`() throws {
    #expect(
      try LoopbackWorld.run(ranks: 1) {
        try TransportBenchmark($0, groupSizes: [1]).pingPong(bytes: 1) == nil
      } == [true])
  }
}
