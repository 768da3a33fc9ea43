import Documents
import Foundation
import Plans
import Reports
import Routing
import Units

/// Where a plan's routing comes from.
struct RoutingSource {
  let popularity: ExpertPopularity
  /// The recording, where there is one.
  let inputs: [Estimate.Provenance.Input]

  /// - Throws: A `Diagnostic` where a recording cannot be read, or is of other experts than the model's.
  init(_ plan: ValidPlan) throws {
    switch plan.plan.routing {
    case .balanced: (popularity, inputs) = (.balanced, [])
    case .zipf(let exponent): (popularity, inputs) = (.zipf(exponents: [exponent]), [])
    case .recorded(let path):
      let mixture = plan.model.mixture
      let isFolder = (try? FileManager.default.contentsOfDirectory(atPath: path)) != nil
      let recording = try RecordedRouting(
        at: path, experts: isFolder ? mixture?.routedExperts : nil, topK: mixture?.topK)
      popularity = try recording.popularity(for: plan.model)
      inputs = [.init(name: "routing", pathOrShippedName: path, sha256: try Self.hash(of: path))]
    }
  }

  /// What the loads of a plan are counted from; nil where all experts get equal numbers of tokens.
  func sample(for plan: ValidPlan, seed: UInt64) -> RoutingSample? {
    guard plan.plan.expert > 1, popularity != .balanced || plan.plan.redundantExperts > 0 else { return nil }
    return RoutingSample(model: plan.model, popularity: popularity, seed: seed)
  }

  /// Of a file its bytes' hash; of a folder the hash of its files' names and hashes.
  private static func hash(of path: String) throws -> String {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      return sha256(try readFile(at: path))
    }
    let lines = try names.filter { $0.hasPrefix("expert_weights_") }.sorted().map {
      "\($0) \(sha256(try readFile(at: "\(path)/\($0)")))\n"
    }
    return sha256(Data(lines.joined().utf8))
  }
}

extension EstimateInputs {
  /// The step beside those with experts in order and with balanced experts; nil where the experts are balanced.
  func experts(_ step: SimulatedStep) throws -> Estimate.Experts? {
    guard let loads = plan.expertLoads, let mixture = plan.model.mixture else { return nil }
    var choices = plan.plan
    choices.expertPlacement = .contiguous
    choices.redundantExperts = 0
    let inOrder = try validate(choices, model: model, cluster: cluster).loaded(by: sample)
    choices.routing = .balanced
    let balanced = try SimulatedStep(validate(choices, model: model, cluster: cluster), seed: seed)
    var cases: [Estimate.Experts.Case] = []
    if let plain = inOrder.expertLoads, plan.plan.expertPlacement != .contiguous {
      cases.append(try .init("in order", plain, SimulatedStep(inOrder, seed: seed)))
    }
    cases.append(.init(placementTitle, loads, step))
    return Estimate.Experts(
      routing: plan.plan.routing.text,
      expertsPerRank: (mixture.routedExperts + plan.plan.redundantExperts) / plan.plan.expert, cases: cases,
      balanced: balanced.timeline.makespan)
  }

  private var placementTitle: String {
    guard let balancing = plan.balancing else { return "in order" }
    let way = balancing.nodes > 1 && balancing.isHierarchical ? ", hierarchical" : ""
    let replicas = plan.plan.redundantExperts
    return "eplb" + (replicas > 0 ? ", \(replicas) redundant" : "") + way
  }
}

extension Estimate.Experts.Case {
  fileprivate init(_ name: String, _ loads: ExpertLoads, _ step: SimulatedStep) {
    let worst = loads.worst
    self.init(
      name: name, worstLayer: worst.layer, worstLoad: worst.imbalance, meanLoad: loads.meanImbalance,
      step: step.timeline.makespan)
  }
}
