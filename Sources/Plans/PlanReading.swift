import Documents
import Foundation
import Models
import Operators

/// A plan as it was read, with what a report's provenance needs.
public struct ResolvedPlan: Sendable {
  public var plan: Plan
  /// SHA-256 of the file's bytes; of the plan's JSON form where no file was read.
  public var hash: String
  /// The file's path, or `shipped: name`, or `default rule`.
  public var origin: String
}

/// Reads a plan file (YAML, or JSON by its name).
///
/// - Throws: A ``Documents/Diagnostic`` that names file, path, what was found and what is allowed.
public func readPlan(at path: String) throws -> ResolvedPlan {
  let document = try readDocument(at: path)
  var plan = try Plan(document.root)
  plan.routing = plan.routing.relative(to: path)
  return ResolvedPlan(plan: plan, hash: document.hash, origin: path)
}

/// The largest degree or count that a plan may state: beyond any machine, and products of three fit 64 bits.
public let degreeLimit = 1 << 20

/// The most passes of a micro-batch through a layer that a pipeline's step may have: half a minute of simulation.
let layerPassLimit = 1 << 19

extension Plan {
  /// Reads a plan's document; what it leaves out is a ``Plan``'s default.
  ///
  /// - Throws: A ``Documents/Diagnostic``; unknown keys are refused.
  public init(_ root: Node) throws {
    try root.allowOnly(Plan.keys)
    let batch = try root.required("batch")
    try batch.allowOnly(["micro", "global", "sequence"])
    self.init(
      name: try root.required("name").title(), source: try root.required("source").title(),
      globalBatch: try batch.required("global").degree(), sequence: try batch.required("sequence").degree())
    microBatch = try batch.optional("micro")?.degree() ?? microBatch
    description = try root.optional("description")?.text()
    assumed = try root.optional("assumed")?.list().map { try $0.text() } ?? []
    model = try root.optional("model")?.title()
    cluster = try root.optional("cluster")?.title()
    if let parallel = try root.optional("parallel") { try read(parallel: parallel) }
    routing = try root.optional("routing").map { try ExpertRouting($0) } ?? routing
    expertPlacement =
      try root.optional("expert_placement")?.oneOf(ExpertPlacementName.self) ?? expertPlacement
    redundantExperts =
      try root.optional("redundant_experts")?.integer(in: 0...degreeLimit) ?? redundantExperts
    schedule = try root.optional("schedule")?.oneOf(ScheduleName.self) ?? schedule
    layout = try root.optional("layout").map(StageLayout.init)
    recompute = try root.optional("recompute").map(Recompute.init) ?? recompute
    if let formats = try root.optional("precision") { precision = try PlanPrecision(formats) }
    optimizer = try root.optional("optimizer")?.oneOf(OptimizerName.self) ?? optimizer
    communicationSMs = try root.optional("communication_sms")?.integer(in: 0...4096) ?? communicationSMs
    allToAll = try root.optional("all_to_all")?.oneOf(AllToAllForm.self) ?? allToAll
    if let node = try root.optional("overlap") { overlap = try Overlap(node) }
    if let node = try root.optional("operators") { operators = try OperatorOptions(node) }
  }

  static let keys = [
    "name", "description", "source", "assumed", "model", "cluster", "parallel", "routing",
    "expert_placement", "redundant_experts", "batch", "schedule", "layout", "recompute", "precision",
    "optimizer", "communication_sms", "overlap", "all_to_all", "operators",
  ]

  private mutating func read(parallel node: Node) throws {
    try node.allowOnly([
      "tensor", "sequence_parallel", "context", "pipeline", "virtual_stages", "expert", "expert_tensor",
      "data", "zero",
    ])
    tensor = try node.optional("tensor")?.degree() ?? tensor
    sequenceParallel = try node.optional("sequence_parallel")?.bool() ?? sequenceParallel
    context = try node.optional("context")?.degree() ?? context
    pipeline = try node.optional("pipeline")?.degree() ?? pipeline
    virtualStages = try node.optional("virtual_stages")?.degree() ?? virtualStages
    expert = try node.optional("expert")?.degree() ?? expert
    expertTensor = try node.optional("expert_tensor")?.degree() ?? expertTensor
    data = try node.optional("data")?.degree()
    zeroStage = try node.optional("zero")?.integer(in: 0...3) ?? zeroStage
  }
}

extension Node {
  fileprivate func degree() throws -> Int { try integer(in: 1...degreeLimit) }

  /// Text that is not empty.
  fileprivate func title() throws -> String {
    let text = try text()
    guard text.contains(where: { !$0.isWhitespace }) else {
      throw error("the text is empty", allowed: "some text")
    }
    return text
  }
}

extension PlanPrecision {
  /// Keys of a plan's `precision` with the property each sets, in the order they are written.
  static let fields: [(key: String, property: WritableKeyPath<PlanPrecision, Format> & Sendable)] = [
    ("linear", \.operators.linear), ("attention", \.operators.attention), ("head", \.operators.head),
    ("router", \.operators.router), ("residual", \.residual), ("dispatch", \.dispatch),
    ("combine", \.combine),
    ("parameters", \.parameters), ("gradients", \.gradients), ("gradient_reduction", \.gradientReduction),
    ("optimizer_moments", \.optimizerMoments), ("master", \.master),
  ]

  init(_ node: Node) throws {
    self.init()
    try node.allowOnly(PlanPrecision.fields.map(\.key))
    for (key, property) in PlanPrecision.fields {
      if let format = try node.optional(key)?.oneOf(Format.self) { self[keyPath: property] = format }
    }
  }
}

extension Overlap {
  /// Keys of a plan's `overlap` with the property each sets, in the order they are written.
  static let fields: [(key: String, property: WritableKeyPath<Overlap, Bool> & Sendable)] = [
    ("gradient_reduction", \.gradientReduction), ("parameter_gather", \.parameterGather),
    ("pipeline_transfers", \.pipelineTransfers),
  ]

  init(_ node: Node) throws {
    self.init()
    try node.allowOnly(Overlap.fields.map(\.key) + ["tensor_collectives"])
    if let choice = try node.optional("tensor_collectives")?.oneOf(TensorOverlap.self) {
      tensorCollectives = choice
    }
    for (key, property) in Overlap.fields {
      if let flag = try node.optional(key)?.bool() { self[keyPath: property] = flag }
    }
  }
}

extension OperatorOptions {
  /// Keys of a plan's `operators` with the property each sets, in the order they are written.
  static let fields: [(key: String, property: WritableKeyPath<OperatorOptions, Bool> & Sendable)] = [
    ("fused_attention", \.fusedAttention), ("causal", \.causal), ("dropout", \.dropout),
    ("fused_cross_entropy", \.fusedCrossEntropy),
  ]

  init(_ node: Node) throws {
    self.init()
    try node.allowOnly(OperatorOptions.fields.map(\.key))
    for (key, property) in OperatorOptions.fields {
      if let flag = try node.optional(key)?.bool() { self[keyPath: property] = flag }
    }
  }
}

extension Recompute {
  /// `none`, `selective`, `full`, or a list of units.
  init(_ node: Node) throws {
    if case .list = node.value {
      self = try Recompute(units: try node.list().map { try $0.text() }, file: node.file, path: node.path)
    } else {
      self = try Recompute(text: try node.text(), file: node.file, path: node.path)
    }
  }
}

extension StageLayout {
  /// The text form, or a list of its stages; a plain count of layers may be a bare number.
  init(_ node: Node) throws {
    switch node.value {
    case .list:
      let pieces = try node.list().map { stage -> String in
        if case .integer(let layers) = stage.value { return "\(layers)" }
        return try stage.text()
      }
      guard !pieces.isEmpty else {
        throw node.error("the layout has no stages", allowed: "at least one stage")
      }
      self = try StageLayout(pieces: pieces, file: node.file, path: node.path)
    case .integer(let layers):
      self = try StageLayout(text: "\(layers)", file: node.file, path: node.path)
    default:
      self = try StageLayout(text: try node.text(), file: node.file, path: node.path)
    }
  }
}
