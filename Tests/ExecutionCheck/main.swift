import Documents
import Execution
import ExecutionSupport
import Foundation
import MPITransport
import Plans

// What the tests of execution run under `mpirun`:
//   execution-check FILE LOSS SCHEDULE PP EP     one step of the golden model; prints how far it is from the file
//   execution-check full-disk FILE FOLDER        a checkpoint where files may hold 100 kB

func complain(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

let arguments = Array(CommandLine.arguments.dropFirst())

/// Trains a step and saves it where files may not grow; says on rank 0 what came of it.
func fillDisk(_ path: String, _ folder: String, _ world: World) throws -> Int32 {
  let transport = try MPITransport(world: world)
  let golden = try GoldenModel(path)
  let plan = try golden.plan(.total, .oneForwardOneBackward, pipeline: world.size, expert: 1)
  let training = try RankTraining(
    plan, program: plan.verified(), transport: transport, tokens: golden.tokens())
  _ = try training.runStep()
  signal(SIGXFSZ, SIG_IGN)
  var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
  setrlimit(Int32(RLIMIT_FSIZE.rawValue), &limit)
  var status: Int32 = 0
  do {
    try training.save(to: CheckpointFolder(folder))
  } catch let error as Diagnostic {
    if world.rank == 0 { complain(error.description) }
    status = error.status.rawValue
  }
  try transport.finalize()
  return status
}

if arguments.first == "full-disk", arguments.count == 3,
  let world = try World(environment: ProcessInfo.processInfo.environment)
{
  exit(try fillDisk(arguments[1], arguments[2], world))
}
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
