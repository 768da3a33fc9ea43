import Units

extension Estimate {
  /// What uneven experts do to the step, and what placing them well wins back.
  public struct Experts: Hashable, Sendable {
    /// One way to place the experts.
    public struct Case: Hashable, Sendable {
      /// `in order`, or the balancer with what it was given.
      public var name: String
      /// The model layer whose fullest rank computes most.
      public var worstLayer: Int
      /// Rows of the fullest rank over the mean rank's, in that layer.
      public var worstLoad: Double
      /// The same, mean over layers.
      public var meanLoad: Double
      public var step: Span

      public init(name: String, worstLayer: Int, worstLoad: Double, meanLoad: Double, step: Span) {
        self.name = name
        self.worstLayer = worstLayer
        self.worstLoad = worstLoad
        self.meanLoad = meanLoad
        self.step = step
      }
    }

    /// As the plan writes it: `zipf:0.5`.
    public var routing: String
    /// Experts that each rank holds.
    public var expertsPerRank: Int
    /// Experts in order, then the plan's own placement where that is another.
    public var cases: [Case]
    /// The step of the same plan with equal numbers of tokens for all experts, each held once.
    public var balanced: Span

    public init(routing: String, expertsPerRank: Int, cases: [Case], balanced: Span) {
      self.routing = routing
      self.expertsPerRank = expertsPerRank
      self.cases = cases
      self.balanced = balanced
    }

    /// Seconds that a placement's step takes beyond the balanced one.
    func added(by placement: Case) -> Double { (placement.step - balanced).exactSeconds }
  }
}

extension Estimate.Experts {
  /// What the plan's placement is worth, as a sentence; nil where experts lie in order.
  var wonBack: String? {
    guard cases.count == 2, let first = cases.first, let last = cases.last else { return nil }
    let (uneven, left) = (added(by: first), added(by: last))
    guard uneven > 0 else { return nil }
    let difference = first.step - last.step
    return difference >= .zero
      ? "Of \((first.step - balanced).shown) that uneven experts add, the placement wins back \(difference.shown): "
        + "\(percent((uneven - left) / uneven))."
      : "The placement costs \((last.step - first.step).shown) more than experts in order."
  }

  var fields: Field {
    let source = "simulated step"
    return .group([
      ("routing", .text(routing)),
      ("experts_per_rank", .whole(expertsPerRank)),
      ("balanced_seconds", .number(balanced.exactSeconds, "s", .derived, source)),
      (
        "placements",
        .list(
          cases.map {
            .group([
              ("placement", .text($0.name)),
              ("worst_layer", .whole($0.worstLayer)),
              ("worst_load", .number($0.worstLoad, "", .derived, "fullest rank ÷ mean rank")),
              ("mean_load", .number($0.meanLoad, "", .derived, "fullest rank ÷ mean rank")),
              ("seconds", .number($0.step.exactSeconds, "s", .derived, source)),
            ])
          })
      ),
    ])
  }
}
