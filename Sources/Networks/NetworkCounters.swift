/// How much work finding the rates was.
public struct NetworkCounters: Hashable, Sendable {
  /// Moments at which rates were found anew.
  public var settlements = 0
  /// Fillings for them; more where further links turned out to be short.
  public var fills = 0
  /// Bundles that turned out to be concerned in the middle of a filling.
  public var bystanders = 0
  /// Bundle and link pairs looked at.
  public var visits = 0
  /// Bundles taken apart because a link on the way of some of their flows filled up.
  public var splits = 0
  /// Times that a link began to take part because it might fill up.
  public var activations = 0

  public init() {}

  public static func += (a: inout Self, b: Self) {
    a.settlements += b.settlements
    a.fills += b.fills
    a.bystanders += b.bystanders
    a.visits += b.visits
    a.splits += b.splits
    a.activations += b.activations
  }
}
