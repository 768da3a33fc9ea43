/// Parameters of a model by module.
public struct ParameterCount: Hashable, Sendable {
  /// A part of the model that parameters are counted for.
  public enum Module: String, CaseIterable, Codable, Sendable {
    case embedding, attention, norms, router, head
    case denseFeedForward = "dense_feed_forward"
    case sharedExperts = "shared_experts"
    case routedExperts = "routed_experts"
    case multiTokenPrediction = "multi_token_prediction"
  }

  /// The parameters of one part.
  public struct Row: Hashable, Sendable {
    public var module: Module
    public var total: Int
    /// What one token's forward multiplies with: the chosen experts only, and no input embedding.
    public var active: Int
  }

  /// One row for each module, in the order of ``Module/allCases``; zero where the model has none.
  public var rows: [Row]

  /// Without multi-token prediction.
  public var total: Int { rows.reduce(0) { $0 + ($1.module == .multiTokenPrediction ? 0 : $1.total) } }
  public var withMultiTokenPrediction: Int { rows.reduce(0) { $0 + $1.total } }
  /// Without the input embedding and without multi-token prediction; a tied embedding counts as the head.
  public var active: Int { rows.reduce(0) { $0 + ($1.module == .multiTokenPrediction ? 0 : $1.active) } }

  public subscript(module: Module) -> Row {
    rows.first { $0.module == module } ?? Row(module: module, total: 0, active: 0)
  }
}
