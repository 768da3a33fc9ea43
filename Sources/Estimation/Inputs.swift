import Clusters
import Documents
import Economics
import Models
import Plans
import Reports
import Units

/// What is asked for: names or files, and what is changed of them.
public struct EstimateRequest: Hashable, Sendable {
  /// A shipped model or a `config.json`; nil: the plan's model, else DeepSeek-V3.
  public var model: String?
  /// A shipped cluster or a file; nil: the plan's cluster, else 2,048 H800.
  public var cluster: String?
  /// A shipped plan or a file; nil: the shipped plan for the model, else the default rule's.
  public var plan: String?
  /// In place of the cluster's own number.
  public var gpus: Int?
  public var overrides = PlanOverrides()
  /// Of the whole run; nil: what the model's published run took.
  public var tokens: Tokens?
  /// In place of the cluster's rent.
  public var price: DollarsPerGPUHour?
  /// Of the routing draw.
  public var seed: UInt64 = 1

  public init() {}

  static let defaultModel = "deepseek-v3"
  static let defaultCluster = "h800-2048"
}

/// A request with its files read and its plan proved.
public struct EstimateInputs: Sendable {
  public let model: Model
  public let cluster: Cluster
  public let plan: ValidPlan
  public let reserve: MemoryReserve
  public let tokens: Sourced<Tokens>
  public let price: Sourced<DollarsPerGPUHour>?
  /// The published run of this model, where there is one.
  public let run: TrainingRun?
  /// Nothing was changed of what the plan, the cluster and the run say.
  public let isAsPublished: Bool
  public let provenance: Estimate.Provenance
  public let seed: UInt64

  /// - Throws: A `Diagnostic`.
  public init(_ request: EstimateRequest) throws {
    let named = try request.plan.map(resolvePlan)
    let model = try resolveModel(request.model ?? named?.plan.model ?? EstimateRequest.defaultModel)
    let clusterName = request.cluster ?? named?.plan.cluster ?? EstimateRequest.defaultCluster
    let found = try resolveCluster(clusterName)
    let cluster = try request.gpus.map { try found.cluster.resized(gpus: $0) } ?? found.cluster
    let reserve = try MemoryReserve.shipped()
    let plan = try named ?? Self.proposed(request, model: model.model, cluster: cluster, reserve: reserve)
    self.model = model.model
    self.cluster = cluster
    self.reserve = reserve
    self.plan = try validate(
      plan.plan.applying(request.overrides), model: model.model, cluster: cluster,
      file: plan.origin == "default rule" ? nil : plan.origin)
    run = try shippedRuns().first { $0.model == model.model.name }
    tokens = Self.tokens(request, run: run)
    price =
      request.price.map { Sourced($0, tag: .assumed, source: "given on the command line") } ?? cluster.rent
    seed = request.seed
    isAsPublished =
      request.overrides.isEmpty && request.tokens == nil && request.price == nil
      && cluster.gpus == found.cluster.gpus
      && shippedPlanNames.contains(plan.plan.name) && plan.origin.hasPrefix("shipped")
    provenance = Estimate.Provenance(
      version: programVersion, seed: Int(truncatingIfNeeded: request.seed),
      inputs: [
        .init(
          name: "model", pathOrShippedName: Self.origin(model.origin, of: model.model.name),
          sha256: model.hash)
      ]
        + found.inputs.enumerated().map { index, input in
          .init(
            name: input.name.hasPrefix("gpus/") ? "gpu" : "cluster",
            pathOrShippedName: index == 0 ? Self.origin(found.origin, of: found.cluster.name) : input.name,
            sha256: input.hash)
        }
        + [.init(name: "plan", pathOrShippedName: plan.origin, sha256: plan.hash)])
  }

  private static func proposed(
    _ request: EstimateRequest, model: Model, cluster: Cluster, reserve: MemoryReserve
  ) throws -> ResolvedPlan {
    let proposal = try proposedPlan(for: model, cluster: cluster, reserve: reserve)
    guard !proposal.origin.hasPrefix("shipped") else { return proposal }
    // The rule's choices follow from those made already; laid over afterwards, they would not go together.
    return try defaultPlan(for: model, cluster: cluster, overrides: request.overrides, reserve: reserve)
  }

  /// Where an input came from, in one form for all of them: `shipped: h800-2048`, or the file as it was
  /// named.
  private static func origin(_ origin: String, of name: String) -> String {
    origin == "shipped" || origin.hasPrefix("shipped:") ? "shipped: \(name)" : origin
  }

  private static func tokens(_ request: EstimateRequest, run: TrainingRun?) -> Sourced<Tokens> {
    if let tokens = request.tokens {
      return Sourced(tokens, tag: .assumed, source: "given on the command line")
    }
    return run?.tokens
      ?? Sourced(
        Tokens(1e12), tag: .assumed, source: "no run of this model is shipped; --tokens says otherwise")
  }
}

extension Cluster {
  /// The same cluster with so many GPUs: whole nodes, or a part of one.
  ///
  /// - Throws: A `Diagnostic` with status `usage`.
  func resized(gpus: Int) throws -> Cluster {
    if host != nil {
      guard (1...1024).contains(gpus) else {
        throw Diagnostic(
          .usage, "so many ranks cannot share a machine", path: "--gpus", found: "\(gpus)",
          allowed: "1 to 1024")
      }
      return withRanks(gpus)
    }
    let perNode = gpusPerNode.value
    if (1..<perNode).contains(gpus) {
      var part = try resized(nodes: 1)
      part.gpusPerNode = Sourced(gpus, tag: .assumed, source: "chosen in place of \(perNode) GPUs of a node")
      return part
    }
    guard gpus > 0, gpus % perNode == 0 else {
      throw Diagnostic(
        .usage, "the GPUs do not fill whole nodes", path: "--gpus", found: "\(gpus)",
        allowed: "a multiple of \(perNode), or less than one node",
        hint: "\(name) has \(perNode) GPUs in a node")
    }
    return try resized(nodes: gpus / perNode)
  }
}
