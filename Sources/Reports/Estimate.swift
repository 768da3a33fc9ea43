import Units

/// Everything the report of an estimate says: what was asked, what came out, and where the numbers come from.
///
/// Pure data. The renderers (``table(_:colour:)``, ``json(_:)``, ``csv(_:)``, ``html(_:)``) read nothing
/// else, so equal estimates give equal bytes.
public struct Estimate: Hashable, Sendable {
  public var model: ModelSummary
  public var cluster: ClusterSummary
  public var plan: PlanSummary
  public var step: Step
  /// Nil where all experts get equal numbers of tokens.
  public var experts: Experts?
  public var throughput: Throughput
  public var memory: Memory
  public var run: Run
  /// Nil where nobody gave a price.
  public var cost: Cost?
  /// Figures that the authors of the run published, beside ours; empty for a run that nobody published.
  public var comparisons: [Comparison]
  /// What the estimate rests on besides the inputs, most influential first.
  public var assumptions: [Assumption]
  public var provenance: Provenance
  /// The step as it is drawn; JSON and CSV leave it out, the trace export carries the whole of it.
  public var picture: PipelinePicture?

  public init(
    model: ModelSummary, cluster: ClusterSummary, plan: PlanSummary, step: Step, experts: Experts? = nil,
    throughput: Throughput, memory: Memory, run: Run, cost: Cost? = nil, comparisons: [Comparison] = [],
    assumptions: [Assumption] = [],
    provenance: Provenance, picture: PipelinePicture? = nil
  ) {
    self.model = model
    self.cluster = cluster
    self.plan = plan
    self.step = step
    self.experts = experts
    self.throughput = throughput
    self.memory = memory
    self.run = run
    self.cost = cost
    self.comparisons = comparisons
    self.assumptions = assumptions
    self.provenance = provenance
    self.picture = picture
  }
}
