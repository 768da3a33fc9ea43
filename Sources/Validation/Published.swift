import Documents
import Units

/// Published results that belong together: one paper's table, judged by one set of tolerances.
public struct PublishedFamily: Sendable {
  /// The file's name without its ending.
  public let name: String
  public let title: String
  public let source: String
  /// Where the settings that the table leaves out come from.
  public let settings: String
  /// Settings that nobody published, one sentence each.
  public let assumed: [String]
  /// Limit of the mean absolute error over all figures; nil where only single figures are judged.
  public let meanTolerance: Ratio?
  public let cases: [PublishedCase]

  public var figures: Int { cases.reduce(0) { $0 + $1.figures.count } }
}

/// One published experiment: what to simulate, and what was measured.
public struct PublishedCase: Sendable {
  /// Unique within its family.
  public let name: String
  public let family: String
  public let model: ModelReference
  /// Name of a shipped cluster.
  public let cluster: String
  public let gpus: Int
  public let plan: PlanReference
  /// The peak that the publication's utilisation divides by; nil where it gives none.
  public let peak: Sourced<FLOPsPerSecond>?
  public let figures: [PublishedFigure]

  /// The model of a case.
  public enum ModelReference: Hashable, Sendable {
    /// A shipped model.
    case named(String)
    case gpt(GPTShape)
  }

  /// The plan of a case.
  public enum PlanReference: Sendable {
    /// A shipped plan.
    case named(String)
    /// A plan's whole document, for the reader of plans; errors name this family's file.
    case document(Node)
  }
}

/// One published number.
public struct PublishedFigure: Hashable, Sendable {
  public let metric: Metric
  /// In the metric's unit.
  public let value: Double
  public let tag: Tag
  public let source: String
  /// Largest allowed relative error, either way.
  public let tolerance: Ratio
  /// Why the prediction is off, where it is known to be; never a reason to pass.
  public let explanation: String?
}

extension PublishedCase {
  /// Sequences of one step; nil where the plan is a shipped one.
  public var globalBatch: Int? {
    guard case .document(let plan) = plan else { return nil }
    return try? plan.required("batch").required("global").integer()
  }

  /// What a figure would be for a step of that length, by this case's own arithmetic; nil where the metric
  /// needs more than the length of a step or another description of the model.
  public func value(of metric: Metric, step: Span) -> Double? {
    if metric == .stepSeconds { return step.seconds }
    guard case .gpt(let shape) = model, let globalBatch, step > .zero else { return nil }
    func perGPU(_ work: FLOPs) -> Double { work.value / step.seconds / Double(gpus) }
    let model = perGPU(shape.modelFLOPs(sequences: globalBatch))
    switch metric {
    case .teraflopsMegatron: return model * 1e-12
    case .teraflopsMegatronRecompute: return perGPU(shape.fullRecomputeFLOPs(sequences: globalBatch)) * 1e-12
    case .utilizationMegatron: return peak.map { model / $0.value.value }
    case .tokensPerDay: return Double(globalBatch * shape.sequence) / step.seconds * 86_400
    default: return nil
    }
  }
}
