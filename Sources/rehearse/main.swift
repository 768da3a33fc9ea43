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

func go() throws {
let model = try resolveModel("deepseek-v3").model
let cluster = try resolveCluster(CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "h800-2048").cluster
let plan = try shippedPlan(named: "deepseek-v3").plan
let valid = try validate(plan, model: model, cluster: cluster)
print(valid.ranks, valid.microBatches, valid.layout.text)
func cpuSeconds() -> Double { Double(clock_gettime_nsec_np()) * 1e-9 }
func clock_gettime_nsec_np() -> UInt64 { var t = timespec(); clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec) }
var t0 = cpuSeconds()
func lap(_ s: String) { let t = cpuSeconds(); print(s, t - t0); t0 = t }
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

}
if CommandLine.arguments.count == 1 { try go() }
func dump() throws {
  let model = try resolveModel("deepseek-v3").model
  let cluster = try resolveCluster("h800-2048").cluster
  let plan = try shippedPlan(named: "deepseek-v3").plan
  let valid = try validate(plan, model: model, cluster: cluster)
  let times = KernelTimes(cluster.gpu, reservedMultiprocessors: 20, besideCommunication: true)
  let alone = KernelTimes(cluster.gpu)
  for op in model.attentionOperators(layer: 10, batch: valid.batch, slice: valid.slice, precision: plan.precision.operators, options: plan.operators) + model.feedForwardOperators(layer: 10, batch: valid.batch, slice: valid.slice, precision: plan.precision.operators, options: plan.operators) + model.headOperators(batch: valid.batch, slice: valid.slice, precision: plan.precision.operators, options: plan.operators) {
    print(op.name, op.recomputeUnit ?? "", "saved MB", op.savedBytes / 1e6)
    for (n, ks) in [("F", op.forward), ("B", op.inputGradient), ("W", op.weightGradient)] {
      for k in ks {
        let t = try times.duration(of: k).microseconds, a = try alone.duration(of: k).microseconds
        switch k {
        case .matrixProduct(let p): print("   ", n, "gemm", p.kind, p.rows, p.columns, p.depth, p.count, String(format: "%.0f us %.0f  %.0f TF", t, a, p.flops.value / t / 1e6))
        case .fusedAttention(let p): print("   ", n, "attn", String(format: "%.0f us %.0f %.0f TF", t, a, p.flops.value / t / 1e6))
        case .memoryPass(let p): print("   ", n, "mem", p.launches, String(format: "%.0f us %.0f r %.1f MB w %.1f MB", t, a, p.bytesRead / 1e6, p.bytesWritten / 1e6))
        }
      }
    }
  }
}
if CommandLine.arguments.count > 1 && CommandLine.arguments[1] == "dump" { try dump() }
