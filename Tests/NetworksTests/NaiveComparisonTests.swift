import Networks
import TestSupport
import Testing
import Units

@Suite struct `The engine against progressive filling` {
  @Test(arguments: 0..<10) func `ends the flows of random networks at the same times`(hundred: Int) throws {
    var random = SeededGenerator(seed: UInt64(9000 + hundred))
    for draw in 0..<100 {
      let drawn = try Drawn(&random)
      let expected = NaiveNetwork.run(
        drawn.transfers, on: drawn.links, drawn.routes, overhead: Span(microseconds: 3))
      let times = try drawn.transfers.run(
        on: drawn.links, drawn.routes, accuracy: .exact, overhead: Span(microseconds: 3))
      let worst = difference(times.ended, expected)
      #expect(worst <= 1e-9, "network \(draw) of seed \(9000 + hundred)")
    }
  }
}
