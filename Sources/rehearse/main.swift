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
