import Execution
import TestSupport
import Testing
import TransportConformance

@Suite(.serialized, .enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)))
struct ConformanceTests {
  @Test(arguments: [1, 2, 4, 8])
  func `Open MPI keeps every promise of a transport and adds up to the bits of the loopback`(ranks: Int)
    throws
  {
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

  @Test func `what MPI's counts and tags cannot hold is refused in words`() throws {
    let run = try MPIRun.run(ranks: 2, "transport-check", ["limits"])
    #expect(run.status == 0, "\(run.errors)")
    let limit = "2147483648 bytes are more than MPI's counts hold, 2147483647"
    #expect(
      run.output.split(separator: "\n") == [
        "rank 0 sends 2147483648 bytes to rank 1 with tag 0: \(limit)",
        "rank 0 receives 2147483648 bytes from rank 1 with tag 0: \(limit)",
        "rank 0: the tag 2147483648 is not in 0...2147483647",
        "rank 0 is in all-to-all 1 on channel 0 of ranks 0, 1: \(limit)",
      ])
  }
}
