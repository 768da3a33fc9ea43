import Clusters
import Foundation
import Kernels
import Models
import Operators
import Plans
import Programs
import Schedules
import Timing

// How long the blocks of a layer take when run alone, beside what a measured machine's tables say of the lowered kernels.
//
//   section-check machine.yaml deepseek-v3-mini 2 64
//
// Prints for each section and pass: predicted and measured microseconds of processor time, and the relative error.

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count == 4, let sequences = Int(arguments[2]), let length = Int(arguments[3]) else {
  FileHandle.standardError.write(Data("section-check MACHINE MODEL SEQUENCES LENGTH\n".utf8))
  exit(2)
}
let cluster = try resolveCluster(arguments[0]).cluster.withRanks(1)
let model = try resolveModel(arguments[1]).model
var plan = Plan(name: "check", source: "section-check", globalBatch: sequences, sequence: length)
plan.microBatch = sequences
plan.precision.operators = Precision(
  linear: .float32, attention: .float32, head: .float32, router: .float32, residual: .float32)
plan.precision.dispatch = .float32
plan.precision.combine = .float32
plan.precision.parameters = .float32
plan.precision.gradients = .float32
plan.precision.gradientReduction = .float32
plan.precision.optimizerMoments = .float32
let valid = try validate(plan, model: model, cluster: cluster)
let program = try lower(valid, order: .published(plan.schedule.rawValue, ranks: 1, microBatches: 1), seed: 1)
let times = KernelTimes(cluster.gpu)

Kernels.MatrixProduct.setThreads(1)
let blocks = MeasuredBlocks(model, sequences: sequences, length: length)
var (all, allMeasured) = (0.0, 0.0)
for work in program.works {
  let predicted = try times.duration(of: work.kernels, during: work.pass).microseconds
  guard let measured = blocks.microseconds(work) else { continue }
  print(
    String(
      format: "%-34@ %10.1f %10.1f %+7.1f %%", work.name as NSString, predicted, measured,
      100 * (predicted / measured - 1)))
  all += predicted
  allMeasured += measured
  if CommandLine.arguments.contains("--kernels") || ProcessInfo.processInfo.environment["KERNELS"] != nil {
    for kernel in work.kernels {
      print("      \(try times.duration(of: kernel, during: work.pass).microseconds) us  \(kernel)")
    }
  }
}
print(
  String(
    format: "%-34@ %10.1f %10.1f %+7.1f %%", "together" as NSString, all, allMeasured,
    100 * (all / allMeasured - 1)))
