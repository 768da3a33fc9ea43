import Execution
import TestSupport
import Testing
import TransportConformance

@Suite(.serialized, .enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)))
struct ConformanceTests {
  @Test(arguments: [1, 2, 4, 8])
  func `Open MPI keeps every promise of a transport and adds up to the bits of the loopback`(ranks: Int) throws {
    let run = try MPIRun.run(ranks: ranks, "transport-check", ["conformance"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.isEmpty)
    let digests = try LoopbackWorld.run(ranks: ranks) { try Conformance.run(on: $0) }
    let expected = digests.enumerated().map { "\($0) \($1)" }
    #expect(run.output.split(separator: "\n").map(String.init).sorted() == expected)
  }

  @Test func `the ranks of a machine know which cores they share`() throws {
    let run = try MPIRun.run(ranks: 4, "transport-check", ["cores"])
    #expect(run.status == 0)
    #expect(run.output.hasPrefix("4 ranks "), "\(run.output)")
    #expect(run.output.contains("core"))
  }
}
