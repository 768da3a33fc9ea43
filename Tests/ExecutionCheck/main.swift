import Execution
import ExecutionSupport
import Foundation
import MPITransport
import Plans

// What the tests of execution run under `mpirun`:
//   execution-check FILE LOSS SCHEDULE PP EP     one step of the golden model; prints how far it is from the file

func complain(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

let arguments = Array(CommandLine.arguments.dropFirst())
guard let world = try World(environment: ProcessInfo.processInfo.environment), arguments.count == 5,
  let loss = GoldenModel.Loss(rawValue: arguments[1]), let schedule = ScheduleName(rawValue: arguments[2]),
  let pipeline = Int(arguments[3]), let expert = Int(arguments[4])
else {
  complain("execution-check FILE LOSS SCHEDULE PP EP runs under mpirun")
  exit(2)
}
let transport = try MPITransport(world: world)
do {
  let spread = Spread(schedule: schedule, pipeline: pipeline, expert: expert)
  let outcome = try GoldenModel(arguments[0]).run(loss, spread, on: transport)
  if transport.rank == 0 {
    for complaint in outcome.complaints { print(complaint) }
    print("compared \(outcome.compared) losses \(outcome.worstLoss) gradients \(outcome.worstGradient)")
  }
  try transport.finalize()
} catch {
  complain("rank \(world.rank): \(error)")
  transport.abort(status: 3)
}
