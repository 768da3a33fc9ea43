/// The sequence-wise balance loss of a router: `alpha * sum over experts of f * P`, averaged over the sequences.
///
/// `f` is the share of the sequence's choices that fell on the expert, times the experts; `P` the mean of its share in
/// the scores. `f` is constant in the gradient. Source: DeepSeek-V3 report, equations 17 to 20.
public struct BalanceLoss: Hashable, Sendable {
  /// Which choices `f` counts.
  public enum Variant: Hashable, Sendable {
    /// The experts really chosen, by bias and groups, as implementations do.
    case routed
    /// The largest plain scores, as equation 18 is printed.
    case unbiased
  }

  /// `alpha`; zero turns the loss off.
  public var coefficient: Float
  public var variant: Variant

  public init(coefficient: Float, variant: Variant = .routed) {
    self.coefficient = coefficient
    self.variant = variant
  }

  /// Floats and indices that `evaluate` needs for itself.
  public func scratchCount(router: Router, length: Int) -> Int {
    router.experts + router.scratchCount + length * router.topK
  }

  /// The loss, and `f` of each sequence for the gradient.
  ///
  /// - Parameters:
  ///   - scores: `[sequences * length, experts]`.
  ///   - indices: `[sequences * length, topK]`, the experts chosen.
  ///   - scratch: `scratchCount` floats.
  ///   - fractions: `[sequences, experts]`, receives `f`.
  public func evaluate(
    router: Router, scores: UnsafePointer<Float>, indices: UnsafePointer<Int32>, sequences: Int, length: Int,
    scratch: UnsafeMutablePointer<Float>, fractions: UnsafeMutablePointer<Float>
  ) -> Double {
    let experts = router.experts
    let shares = scratch
    var loss = 0.0
    for sequence in 0..<sequences {
      let rows = scores + sequence * length * experts
      let f = fractions + sequence * experts
      f.update(repeating: 0, count: experts)
      let unit = Float(experts) / Float(router.topK * length)
      switch variant {
      case .routed:
        let chosen = indices + sequence * length * router.topK
        for choice in 0..<length * router.topK where chosen[choice] >= 0 { f[Int(chosen[choice])] += 1 }
      case .unbiased:
        var plain = router
        plain.groups = 1
        plain.limitedGroups = 1
        let own = scratch + experts + router.scratchCount
        own.withMemoryRebound(to: Int32.self, capacity: length * router.topK) { chosen in
          plain.choose(scores: rows, bias: nil, tokens: length, scratch: scratch + experts, indices: chosen)
          for choice in 0..<length * router.topK { f[Int(chosen[choice])] += 1 }
        }
      }
      shares.update(repeating: 0, count: experts)
      for token in 0..<length {
        let row = rows + token * experts
        let share = 1 / Self.sum(row, experts)
        for expert in 0..<experts { shares[expert] += row[expert] * share }
      }
      var product = 0.0
      for expert in 0..<experts {
        f[expert] *= unit
        product += Double(f[expert]) * Double(shares[expert])
      }
      loss += product / Double(length)
    }
    return Double(coefficient) * loss / Double(max(1, sequences))
  }

  /// Adds `scale` times the gradient of the loss to the gradients of the scores.
  public func addGradient(
    router: Router, scores: UnsafePointer<Float>, fractions: UnsafePointer<Float>, sequences: Int, length: Int,
    scale: Float, scoreGradients: UnsafeMutablePointer<Float>
  ) {
    let experts = router.experts
    let factor = scale * coefficient / Float(max(1, sequences * length))
    for token in 0..<sequences * length {
      let row = scores + token * experts
      let f = fractions + token / length * experts
      let result = scoreGradients + token * experts
      let share = 1 / Self.sum(row, experts)
      var pull: Float = 0
      for expert in 0..<experts { pull += f[expert] * row[expert] }
      pull *= share
      for expert in 0..<experts { result[expert] += factor * share * (f[expert] - pull) }
    }
  }

  private static func sum(_ row: UnsafePointer<Float>, _ count: Int) -> Float {
    var sum: Float = 0
    for index in 0..<count { sum += row[index] }
    return sum
  }
}
