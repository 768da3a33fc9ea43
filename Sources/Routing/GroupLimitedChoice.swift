import Models

/// The router's choice from one token's scores, without allocations: the same as ``Mixture/choice(of:)``.
struct GroupLimitedChoice {
  private let groups: Int
  private let limit: Int
  private let perGroup: Int
  private let topK: Int
  private var groupScores: [Double]
  private var isOpen: [Bool]
  private var best: [(score: Double, expert: Int32)] = []
  /// The experts of the last choice, ascending: `[topK]`.
  private(set) var chosen: [Int32]

  init(_ mixture: Mixture) {
    groups = mixture.groups
    limit = min(mixture.limitedGroups, mixture.groups)
    perGroup = mixture.routedExperts / mixture.groups
    topK = mixture.topK
    groupScores = Array(repeating: 0, count: groups)
    isOpen = Array(repeating: true, count: groups)
    chosen = Array(repeating: 0, count: topK)
    best.reserveCapacity(topK + 1)
  }

  mutating func choose(_ scores: [Double]) {
    if limit < groups { openGroups(scores) }
    best.removeAll(keepingCapacity: true)
    for group in 0..<groups where isOpen[group] {
      for expert in group * perGroup..<(group + 1) * perGroup {
        let score = scores[expert]
        if best.count == topK {
          guard score > best[topK - 1].score else { continue }
          best.removeLast()
        }
        var place = best.count
        while place > 0, best[place - 1].score < score { place -= 1 }
        best.insert((score, Int32(expert)), at: place)
      }
    }
    for index in chosen.indices { chosen[index] = best[index].expert }
    chosen.sort()
  }

  private mutating func openGroups(_ scores: [Double]) {
    for group in 0..<groups {
      groupScores[group] = score(of: group, scores)
      isOpen[group] = false
    }
    for _ in 0..<limit {
      var next = -1
      for group in 0..<groups where !isOpen[group] && (next < 0 || groupScores[group] > groupScores[next]) {
        next = group
      }
      isOpen[next] = true
    }
  }

  /// The sum of the group's two best scores.
  private func score(of group: Int, _ scores: [Double]) -> Double {
    var (best, second) = (-Double.infinity, -Double.infinity)
    for expert in group * perGroup..<(group + 1) * perGroup {
      let score = scores[expert]
      if score > best {
        (best, second) = (score, best)
      } else if score > second {
        second = score
      }
    }
    return perGroup > 1 ? best + second : best
  }
}
