import Execution
import Testing
import TransportConformance

@Suite struct LoopbackTests {
  @Test(arguments: [1, 2, 3, 4, 8])
  func `a world of threads keeps every promise of a transport`(ranks: Int) throws {
    _ = try LoopbackWorld.run(ranks: ranks) { try Conformance.run(on: $0) }
  }
}
