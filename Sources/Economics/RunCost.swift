import Units

/// What a whole training run takes when every step is like the one given.
public struct RunCost: Hashable, Sendable {
  public let tokens: Tokens
  public let gpus: Int
  /// Optimizer steps; not a whole number where the tokens do not divide.
  public let steps: Double
  /// Share of wall-clock time that makes progress; 1 where failures are not counted, which is the default.
  public let goodput: Ratio
  public let days: Days
  public let gpuHours: GPUHours
  public let gpuHoursPerTrillionTokens: GPUHours
  /// The price and what it makes of the GPU-hours; nil where no price is given.
  public let rent: Rent?

  /// Money for GPU-hours, with the price it was reckoned at.
  public struct Rent: Hashable, Sendable {
    public let price: Sourced<DollarsPerGPUHour>
    public let dollars: Dollars

    public init(price: Sourced<DollarsPerGPUHour>, gpuHours: GPUHours) {
      self.price = price
      dollars = Dollars(gpuHours.value * price.value.value)
    }
  }

  /// Multiplies one step up to a run: no batch ramp, no evaluation, and no failures unless a goodput is
  /// given.
  ///
  /// - Precondition: `tokensPerStep` and `gpus` are positive, and so is `goodput`.
  public init(
    step: Span, tokensPerStep: Int, tokens: Tokens, gpus: Int, price: Sourced<DollarsPerGPUHour>? = nil,
    goodput: Ratio = Ratio(1)
  ) {
    precondition(tokensPerStep > 0 && gpus > 0 && goodput.value > 0, "a run needs tokens, GPUs and progress")
    self.tokens = tokens
    self.gpus = gpus
    self.goodput = goodput
    steps = tokens.value / Double(tokensPerStep)
    let hours = steps * step.seconds / goodput.value / 3600
    days = Days(hours / 24)
    gpuHours = GPUHours(hours * Double(gpus))
    let hoursPerStep = step.seconds / goodput.value / 3600 * Double(gpus)
    gpuHoursPerTrillionTokens = GPUHours(hoursPerStep / Double(tokensPerStep) * 1e12)
    rent = price.map { [gpuHours] in Rent(price: $0, gpuHours: gpuHours) }
  }
}
