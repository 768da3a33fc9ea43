import Clusters
import Plans
import Models
import Programs
import Schedules
import Simulation
import Timing
import Timelines
import Units
import Foundation

let model = try resolveModel("deepseek-v3").model
let cluster = try resolveCluster(CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "h800-2048").cluster
let plan = try shippedPlan(named: "deepseek-v3").plan
let valid = try validate(plan, model: model, cluster: cluster)
print(valid.ranks, valid.microBatches, valid.layout.text)
func clock() -> Double { Double(clock_gettime_nsec_np()) * 1e-9 }
func clock_gettime_nsec_np() -> UInt64 { var t = timespec(); clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec) }
var t0 = clock()
func lap(_ s: String) { let t = clock(); print(s, t - t0); t0 = t }
let order = try PipelineOrder.published(plan.schedule.rawValue, ranks: plan.pipeline, microBatches: valid.microBatches, virtualStages: plan.virtualStages == 1 ? nil : plan.virtualStages)
lap("order")
let program = lower(valid, order: order, seed: 1)
lap("lower \(program.codes.map(\.count).reduce(0, +))")
let verified = try VerifiedProgram(program)
lap("verify \(verified.roles.count)")
let costs = try ProgramCosts(verified, on: cluster, reservedMultiprocessors: plan.communicationSMs)
lap("costs")
let timeline = Simulator.run(verified, costs: costs)
lap("simulate")
let parts = timeline.meanParts()
print("step", timeline.makespan.seconds, "vs 19.926")
print("1F", parts.forward.seconds, 1.13, "1B", parts.backwardInput.seconds, 1.99, "1W", parts.backwardWeight.seconds, 0.48, "1F1B", parts.overlapped.seconds, 13.95, "bubble", parts.bubble.seconds, 2.06, "opt", parts.optimizer.seconds, 0.29)
for role in 0..<verified.roles.count {
  let p = timeline.parts(ofRole: role)
  print(role, [p.forward, p.backwardInput, p.backwardWeight, p.overlapped, p.bubble, p.optimizer].map { String(format: "%.3f", $0.seconds) })
}
for c in timeline.communicationTimes() { print(c.kind, c.transfer.seconds, c.exposed.seconds) }
lap("analyse")
for (code, c) in program.codes.enumerated() where code == 0 || code == 7 {
  var seen = Set<String>()
  for task in 0..<c.count where c.slots[Int(c.slot[task])].phase == .overlapped || c.slots[Int(c.slot[task])].phase == .optimizer {
    let name = c.kind[task] == .compute ? program.works[Int(c.work[task])].name : c.kind[task].name + " \(c.tag[task] % 2) \(c.communicator[task]) \(c.bytes[task])"
    if seen.insert(name + "\(c.slots[Int(c.slot[task])].phase)").inserted, !c.lane[task].isPipeline || seen.count < 30 { print(code, name, costs.cost(code: code, task: task).alone.milliseconds) }
  }
}
