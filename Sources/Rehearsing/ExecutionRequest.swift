import Plans

/// What is to be executed: names or files, and how.
public struct ExecutionRequest: Hashable, Sendable {
  /// A shipped model or a `config.json`.
  public var model: String?
  /// A shipped plan or a file; nil: ``executionPlan(for:ranks:)``.
  public var plan: String?
  public var overrides = PlanOverrides()
  /// Training steps to run now.
  public var steps = 10
  /// A text whose bytes are the tokens; nil: the one that comes with the program.
  public var data: String?
  /// A folder for checkpoints.
  public var checkpoint: String?
  /// Steps between checkpoints; nil: only after the last.
  public var saveEvery: Int?
  /// Go on from the folder's last checkpoint.
  public var resumes = false
  /// A file for the communication that the last step made.
  public var record: String?
  /// A file for the trained model, with Hugging Face's names.
  public var export: String?
  /// A cluster's file, as `rehearse calibrate` writes it, to predict the last step on.
  public var compare: String?
  public var seed: UInt64 = 1
  public var learningRate: Double?
  public var routing = RoutingSource.router

  public init() {}

  public static let defaultModel = "deepseek-v3-mini"
}

/// Who chooses experts.
public enum RoutingSource: Hashable, Sendable {
  /// The model's own routers.
  case router
  /// A draw in which all experts are alike.
  case seeded
  /// A draw with the popularity of a recording: a table of counts, or a folder of choices.
  case recorded(String)

  /// The form of the flag: `router`, `seeded`, or a path.
  public init(text: String) {
    switch text {
    case "router": self = .router
    case "seeded": self = .seeded
    default: self = .recorded(text)
    }
  }
}
