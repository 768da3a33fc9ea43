import Units

extension Estimate {
  /// The whole run at the rate of the estimated step.
  public struct Run: Hashable, Sendable {
    public var tokens: Int
    /// Of 24 hours; too long for a `Span`.
    public var days: Double
    public var gpuHours: GPUHours
    public var gpuHoursPerTrillionTokens: GPUHours

    public init(tokens: Int, days: Double, gpuHours: GPUHours, gpuHoursPerTrillionTokens: GPUHours) {
      self.tokens = tokens
      self.days = days
      self.gpuHours = gpuHours
      self.gpuHoursPerTrillionTokens = gpuHoursPerTrillionTokens
    }
  }

  /// What the run costs to rent.
  public struct Cost: Hashable, Sendable {
    public var total: Dollars
    public var price: Sourced<DollarsPerGPUHour>

    public init(total: Dollars, price: Sourced<DollarsPerGPUHour>) {
      self.total = total
      self.price = price
    }
  }

  /// A predicted figure beside the published one.
  public struct Comparison: Hashable, Sendable {
    /// `step time`, `GPU-hours`.
    public var what: String
    /// `s`, `GPU-hours`, `$`, …; empty for a pure number.
    public var unit: String
    public var predicted: Double
    public var published: Double
    public var source: String

    /// - Precondition: `published` is not zero.
    public init(what: String, unit: String, predicted: Double, published: Double, source: String) {
      precondition(published != 0, "nothing compares with a published zero")
      self.what = what
      self.unit = unit
      self.predicted = predicted
      self.published = published
      self.source = source
    }

    /// Relative to the published figure; positive where we predict more.
    public var error: Double { predicted / published - 1 }
  }
}
