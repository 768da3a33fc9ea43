import Execution
import Foundation
import MPITransport
import TransportConformance

// What the tests of transports run under `mpirun`.
//   transport-check conformance     every property on MPI; prints a digest of the reductions for each rank
//   transport-check cores           prints how many ranks share how many cores, from rank 0
//   transport-check refuse          every rank finds the same error before MPI has been started
//   transport-check limits          checks what MPI's own types cannot hold; prints the refusals of rank 0
//   transport-check measure <s>     prints ping-pongs and all-to-alls, so many seconds for each figure
//   transport-check wait            prints what ranks that wait cost the two that work
//   transport-check failure <how>   rank 1 fails in the middle of all-to-alls; see Failure.swift

func complain(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

func words(_ error: any Error) -> String { (error as? TransportError)?.description ?? "\(error)" }

let arguments = Array(CommandLine.arguments.dropFirst())
guard let world = try World(environment: ProcessInfo.processInfo.environment) else {
  complain("transport-check runs under mpirun")
  exit(2)
}
if arguments == ["refuse"] { world.fail(status: 4) { complain("transport-check: refused") } }
let transport = try MPITransport(world: world)
do {
  switch (arguments.first, arguments.dropFirst().first) {
  case ("conformance", nil):
    let digest = try Conformance.run(on: transport)
    print("\(transport.rank) \(digest)")
  case ("cores", nil):
    if transport.rank == 0 { print(transport.share) }
  case ("measure", let each): try measure(transport, secondsEach: each.flatMap(Double.init) ?? 0.1)
  case ("wait", nil): try measureWaiting(transport)
  case ("limits", nil):
    let refusals = try limits(transport)
    if transport.rank == 0 { print(refusals.joined(separator: "\n")) }
  // Further arguments tell this run from others.
  case ("failure", let how?):
    try failInTheMiddle(how, on: transport)
  default: throw TransportError("what is \(arguments)?")
  }
  try transport.finalize()
} catch {
  transport.fail(status: 3) { _ in complain("transport-check: \(words(error))") }
}
