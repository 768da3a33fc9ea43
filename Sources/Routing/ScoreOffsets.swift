import Foundation
import Models

/// Offsets of the experts' scores with which a token chooses each expert as often as wanted.
///
/// A score is the offset plus a standard normal number. The chance of a choice is estimated on a few tokens, for each
/// expert from all the others' scores: it is the chance to pass what these ask for, which is far steadier than to
/// count choices. Limits on groups can make frequencies impossible; the offsets then come as near as they get.
func scoreOffsets(for mixture: Mixture, frequencies: [Double]) -> [Double] {
  let goal = frequencies.map { quantile(min(max($0, 1e-6), 1 - 1e-6)) }
  let mean = goal.reduce(0, +) / Double(goal.count)
  var offsets = goal.map { $0 - mean }
  var generator = SeededGenerator(seed: 0, stream: "score offsets")
  // What many experts ask for varies less from token to token than what few do.
  let tokens = max(96, 6400 / goal.count)
  let noise = (0..<tokens).map { _ in goal.map { _ in generator.nextNormal() } }
  var thresholds = ChoiceThresholds(mixture)
  for _ in 0..<60 {
    var chances = Array(repeating: 0.0, count: goal.count)
    for token in noise {
      thresholds.update(zip(offsets, token).map { $0 + $1 })
      for expert in chances.indices {
        chances[expert] += 0.5 * erfc((thresholds.values[expert] - offsets[expert]) / 2.0.squareRoot())
      }
    }
    var farthest = 0.0
    for expert in offsets.indices {
      let chance = min(max(chances[expert] / Double(noise.count), 1e-9), 1 - 1e-9)
      let error = goal[expert] - quantile(chance)
      // Small steps where the estimate is far off, since its own slope is unlike the goal's there.
      offsets[expert] += min(max(error, -1), 1)
      farthest = max(farthest, abs(error))
    }
    if farthest < 0.005 { break }
  }
  return offsets
}

/// The number that a standard normal one is below with a given chance.
private func quantile(_ chance: Double) -> Double {
  var (low, high) = (-8.0, 8.0)
  for _ in 0..<48 {
    let middle = (low + high) / 2
    if 0.5 * erfc(-middle / 2.0.squareRoot()) < chance { low = middle } else { high = middle }
  }
  return (low + high) / 2
}

/// The scores that experts need to be chosen by a token, given the scores of all others.
private struct ChoiceThresholds {
  private let groups: Int
  private let limit: Int
  private let perGroup: Int
  private let topK: Int
  /// `[experts]`; minus infinity where an expert is chosen whatever its score.
  private(set) var values: [Double]

  init(_ mixture: Mixture) {
    groups = mixture.groups
    limit = min(mixture.limitedGroups, mixture.groups)
    perGroup = mixture.routedExperts / mixture.groups
    topK = mixture.topK
    values = Array(repeating: 0, count: mixture.routedExperts)
  }

  private func members(_ group: Int) -> Range<Int> { group * perGroup..<(group + 1) * perGroup }

  mutating func update(_ scores: [Double]) {
    guard limit < groups else {
      let best = highest(topK + 1, of: scores)
      for expert in values.indices { values[expert] = rival(of: scores[expert], in: best) }
      return
    }
    let tops = (0..<groups).map { highest(3, of: scores[members($0)]) }
    let sums = tops.map { perGroup > 1 ? $0[0] + $0[1] : $0[0] }
    let order = sums.indices.sorted { (sums[$1], $0) < (sums[$0], $1) }
    let first = highest(topK + 1, of: order[..<limit].flatMap { scores[members($0)] })
    let leaders = highest(topK + 1, of: order[..<(limit - 1)].flatMap { scores[members($0)] })
    for (rank, group) in order.enumerated() {
      // Beside this group the best of the others are open; it has to beat the best of those that are not.
      let isFirst = rank < limit
      let best = isFirst ? first : highest(topK + 1, of: leaders + scores[members(group)])
      let toBeat = sums[order[isFirst ? limit : limit - 1]]
      for expert in members(group) {
        values[expert] = max(
          rival(of: scores[expert], in: best), needed(by: scores[expert], tops: tops[group], toBeat: toBeat))
      }
    }
  }

  /// What an expert's score must be for its group to be open.
  private func needed(by score: Double, tops: [Double], toBeat: Double) -> Double {
    guard perGroup > 1 else { return toBeat }
    // The group's best two without this expert.
    let others =
      score >= tops[0] ? tops.dropFirst() : score >= tops[1] ? [tops[0]] + tops.dropFirst(2) : tops[...]
    let (best, second) = (others.first ?? -.infinity, others.dropFirst().first ?? -.infinity)
    return best + second > toBeat ? -.infinity : toBeat - best
  }

  /// The last of the scores that leave no room for one more, not counting its own.
  private func rival(of score: Double, in best: [Double]) -> Double {
    let place = score >= best[topK - 1] ? topK : topK - 1
    return place < best.count ? best[place] : -.infinity
  }

  /// The highest scores, descending.
  private func highest(_ count: Int, of scores: some Sequence<Double>) -> [Double] {
    var best: [Double] = []
    best.reserveCapacity(count + 1)
    for score in scores {
      if best.count == count {
        guard score > best[count - 1] else { continue }
        best.removeLast()
      }
      var place = best.count
      while place > 0, best[place - 1] < score { place -= 1 }
      best.insert(score, at: place)
    }
    return best
  }
}
