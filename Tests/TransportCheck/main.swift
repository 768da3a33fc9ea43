import Execution
import Foundation
import MPITransport
import TransportConformance

// What the tests of transports run under `mpirun`.
//   transport-check conformance     every property on MPI; prints a digest of the reductions for each rank

func complain(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

let arguments = Array(CommandLine.arguments.dropFirst())
guard let world = try World(environment: ProcessInfo.processInfo.environment) else {
  complain("transport-check runs under mpirun")
  exit(2)
}
let transport = try MPITransport(world: world)
do {
  switch arguments.first {
  case "conformance":
    let digest = try Conformance.run(on: transport)
    print("\(transport.rank) \(digest)")
  default: throw TransportError("what is \(arguments)?")
  }
  try transport.finalize()
} catch {
  complain("rank \(world.rank): \((error as? TransportError)?.description ?? "\(error)")")
  transport.abort(status: 3)
}
