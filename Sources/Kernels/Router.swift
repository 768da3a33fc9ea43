import CKernels

/// The choice of experts for each token, and its gradient: scores, group-limited top-k and weights.
///
/// Pure functions over `[tokens, experts]` and `[tokens, topK]` tensors; `RouterBlock` puts norm and projection around
/// them. Ties go to the lowest index, of groups and of experts. No gradient flows through the choice or the bias.
/// Source: DeepSeek-V3 report, section 2.1.2; DeepSeek-V2 for softmax scores with groups by their largest score.
public struct Router: Hashable, Sendable {
  /// What turns logits into scores.
  public enum Scoring: Hashable, Sendable {
    /// Each expert by itself (DeepSeek-V3).
    case sigmoid
    /// Over all experts, before the choice (Mixtral, Qwen3, DeepSeek-V2).
    case softmax
  }

  /// What a group of experts is judged by.
  public enum GroupScore: Hashable, Sendable {
    /// The sum of its two largest biased scores (DeepSeek-V3).
    case topTwo
    /// Its largest one (DeepSeek-V2).
    case largest
  }

  public var experts: Int
  public var topK: Int
  /// Groups of equal size, in order; 1 for none.
  public var groups: Int
  /// How many of them a token may choose from.
  public var limitedGroups: Int
  public var scoring: Scoring
  public var groupScore: GroupScore
  /// Whether weights are divided by their sum over the chosen experts.
  public var normalizes: Bool
  /// What weights are multiplied by in the end.
  public var scaling: Float

  /// Requires that the limited groups hold at least `topK` experts.
  public init(
    experts: Int, topK: Int, groups: Int = 1, limitedGroups: Int = 1, scoring: Scoring = .sigmoid,
    groupScore: GroupScore = .topTwo, normalizes: Bool = true, scaling: Float = 1
  ) {
    precondition(experts > 0 && groups > 0 && experts % groups == 0, "groups of experts must be of one size")
    precondition((1...groups).contains(limitedGroups) && topK > 0)
    precondition(
      topK <= experts / groups * limitedGroups, "the limited groups hold fewer experts than a token takes")
    self.experts = experts
    self.topK = topK
    self.groups = groups
    self.limitedGroups = limitedGroups
    self.scoring = scoring
    self.groupScore = groupScore
    self.normalizes = normalizes
    self.scaling = scaling
  }

  /// Floats that `choose` needs for itself.
  public var scratchCount: Int { 2 * groups + topK }

  /// Scores of logits, both `[tokens, experts]`; they may be one buffer.
  public func score(
    logits: UnsafePointer<Float>, tokens: Int, scores: UnsafeMutablePointer<Float>
  ) {
    switch scoring {
    case .sigmoid:
      ck_sigmoid(logits, scores, tokens * experts)
    case .softmax:
      for token in 0..<tokens {
        let row = logits + token * experts
        let result = scores + token * experts
        var largest = row[0]
        for expert in 1..<max(1, experts) where row[expert] > largest { largest = row[expert] }
        for expert in 0..<experts { result[expert] = row[expert] - largest }
        ck_exp(result, result, experts)
        var sum = 0.0
        for expert in 0..<experts { sum += Double(result[expert]) }
        ck_scale(Float(1 / sum), result, result, experts)
      }
    }
  }

  /// The experts of each token, best first, by score plus bias.
  ///
  /// A score that is not a number counts as the largest, so that a broken token still has distinct experts.
  /// - Parameters:
  ///   - bias: `[experts]`, moves the choice alone; none for zeros.
  ///   - scratch: `scratchCount` floats.
  ///   - indices: `[tokens, topK]`.
  public func choose(
    scores: UnsafePointer<Float>, bias: UnsafePointer<Float>?, tokens: Int,
    scratch: UnsafeMutablePointer<Float>, indices: UnsafeMutablePointer<Int32>
  ) {
    let size = experts / groups
    let groupKeys = scratch
    let allowed = scratch + groups
    let keys = scratch + 2 * groups
    for token in 0..<tokens {
      let row = scores + token * experts
      let chosen = indices + token * topK
      let isLimited = limitedGroups < groups
      if isLimited {
        for group in 0..<groups { groupKeys[group] = groupKey(row, bias, group * size..<(group + 1) * size) }
        markLargest(groupKeys, allowed)
      }
      var filled = 0
      for group in 0..<groups where !isLimited || allowed[group] > 0 {
        for expert in group * size..<(group + 1) * size {
          let key = Self.key(row[expert], bias?[expert] ?? 0)
          if filled == topK && !(key > keys[topK - 1]) { continue }
          var place = filled < topK ? filled : topK - 1
          filled = min(filled + 1, topK)
          // Strictly larger alone moves ahead: of equals the earlier one stays in front.
          while place > 0 && key > keys[place - 1] {
            keys[place] = keys[place - 1]
            chosen[place] = chosen[place - 1]
            place -= 1
          }
          keys[place] = key
          chosen[place] = Int32(truncatingIfNeeded: expert)
        }
      }
    }
  }

  private static func key(_ score: Float, _ bias: Float) -> Float {
    let key = score + bias
    return key.isNaN ? .infinity : key
  }

  /// The score of one group, `[scores + bias]` of the range.
  public func groupKey(_ row: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ members: Range<Int>)
    -> Float
  {
    var first = -Float.infinity
    var second = -Float.infinity
    for expert in members {
      let key = Self.key(row[expert], bias?[expert] ?? 0)
      if key > first {
        second = first
        first = key
      } else if key > second {
        second = key
      }
    }
    return groupScore == .topTwo && members.count > 1 ? first + second : first
  }

  /// Sets `marks` to 1 for the groups with the largest keys and to 0 for the others.
  private func markLargest(_ keys: UnsafePointer<Float>, _ marks: UnsafeMutablePointer<Float>) {
    for group in 0..<groups {
      var ahead = 0
      for other in 0..<groups where keys[other] > keys[group] || (keys[other] == keys[group] && other < group)
      {
        ahead += 1
      }
      marks[group] = ahead < limitedGroups ? 1 : 0
    }
  }

  /// The weights of the chosen experts, `[tokens, topK]`, from their unbiased scores.
  ///
  /// A token with a score that is not a number gets no weight that is one.
  public func weigh(
    scores: UnsafePointer<Float>, indices: UnsafePointer<Int32>, tokens: Int,
    weights: UnsafeMutablePointer<Float>
  ) {
    for token in 0..<tokens {
      let row = scores + token * experts
      let chosen = indices + token * topK
      let result = weights + token * topK
      if hasNaN(row) {
        result.update(repeating: .nan, count: topK)
        continue
      }
      let factor = normalizes ? scaling / (sum(row, chosen) + Self.smallestSum) : scaling
      for slot in 0..<topK { result[slot] = row[Int(chosen[slot])] * factor }
    }
  }

  /// What keeps the sum of scores that are all zero from dividing by zero.
  static let smallestSum: Float = 1e-20

  private func hasNaN(_ row: UnsafePointer<Float>) -> Bool {
    for expert in 0..<experts where row[expert].isNaN { return true }
    return false
  }

  private func sum(_ row: UnsafePointer<Float>, _ chosen: UnsafePointer<Int32>) -> Float {
    var sum: Float = 0
    for slot in 0..<topK { sum += row[Int(chosen[slot])] }
    return sum
  }

  /// Adds to the gradients of the scores, `[tokens, experts]`, what the gradients of the weights, `[tokens, topK]`,
  /// ask of them.
  public func addScoreGradient(
    weightGradients: UnsafePointer<Float>, scores: UnsafePointer<Float>, indices: UnsafePointer<Int32>,
    tokens: Int,
    scoreGradients: UnsafeMutablePointer<Float>
  ) {
    for token in 0..<tokens {
      let row = scores + token * experts
      let chosen = indices + token * topK
      let gradient = weightGradients + token * topK
      let result = scoreGradients + token * experts
      var share: Float = 1
      var pull: Float = 0
      if normalizes {
        share = 1 / (sum(row, chosen) + Self.smallestSum)
        for slot in 0..<topK { pull += gradient[slot] * row[Int(chosen[slot])] * share }
      }
      for slot in 0..<topK { result[Int(chosen[slot])] += scaling * share * (gradient[slot] - pull) }
    }
  }

  /// Turns the gradients of the scores into those of the logits, in place.
  public func turnIntoLogitGradient(
    _ gradients: UnsafeMutablePointer<Float>, scores: UnsafePointer<Float>, tokens: Int
  ) {
    switch scoring {
    case .sigmoid:
      for index in 0..<tokens * experts { gradients[index] *= scores[index] * (1 - scores[index]) }
    case .softmax:
      for token in 0..<tokens {
        let row = scores + token * experts
        let gradient = gradients + token * experts
        let pull = ck_dot(gradient, row, experts)
        for expert in 0..<experts { gradient[expert] = row[expert] * (gradient[expert] - pull) }
      }
    }
  }
}

extension Router {
  /// Adds to `counts`, `[experts]`, the tokens of each expert; indices below zero count for none.
  public static func count(
    indices: UnsafePointer<Int32>, choices: Int, into counts: UnsafeMutablePointer<Int32>
  ) {
    for choice in 0..<choices where indices[choice] >= 0 { counts[Int(indices[choice])] += 1 }
  }

  /// The auxiliary-loss-free balancing of one step: `bias += speed * sign(mean(counts) - counts)`, `sign(0) = 0`.
  ///
  /// - Parameter counts: `[experts]`, tokens of the whole step over all micro-batches and ranks; whole numbers.
  /// Source: DeepSeek-V3 report, section 2.1.2.
  public static func updateBias(
    _ bias: UnsafeMutablePointer<Float>, counts: UnsafePointer<Float>, experts: Int, speed: Float
  ) {
    var total = 0.0
    for expert in 0..<experts { total += Double(counts[expert]) }
    for expert in 0..<experts {
      // Compared without the division, whole numbers are exact.
      let load = Double(counts[expert]) * Double(experts)
      if load < total { bias[expert] += speed } else if load > total { bias[expert] -= speed }
    }
  }
}
