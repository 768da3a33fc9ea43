import Timing

/// How fast activities go when together they ask for more than their links have.
///
/// Every activity wants to run at its `cap` (1, or less beside compute). All speeds rise together; an
/// activity stops at its cap, or when one of its links is full: max-min fairness over speeds.
struct Sharing: Sendable {
  /// Load of one activity on one link.
  struct Load {
    var activity: Int
    var link: Int
    var share: Double
  }

  /// Speeds of `caps.count` activities on `links` links of capacity 1.
  ///
  /// - Complexity: O(rounds × loads), rounds at most the number of activities.
  static func speeds(caps: [Double], loads: [Load], links: Int) -> [Double] {
    var demand = Array(repeating: 0.0, count: links)
    for load in loads { demand[load.link] += load.share * caps[load.activity] }
    // Nearly always nothing is short: everyone gets what he asks for.
    if demand.allSatisfy({ $0 <= 1 + 1e-12 }) { return caps }
    var speeds = Array(repeating: 0.0, count: caps.count)
    var isFixed = Array(repeating: false, count: caps.count)
    var left = Array(repeating: 1.0, count: links)
    var level = 0.0
    while isFixed.contains(false) {
      var slope = Array(repeating: 0.0, count: links)
      for load in loads where !isFixed[load.activity] { slope[load.link] += load.share }
      var next = Double.infinity
      for link in 0..<links where slope[link] > 0 { next = min(next, left[link] / slope[link]) }
      for index in caps.indices where !isFixed[index] { next = min(next, caps[index]) }
      // Levels only rise; what rounding leaves of a link must not bring anyone to a stop.
      level = max(level, next)
      var isStopped = Array(repeating: false, count: caps.count)
      for index in caps.indices where !isFixed[index] && caps[index] <= level * (1 + 1e-12) {
        isStopped[index] = true
      }
      for load in loads where !isFixed[load.activity] && slope[load.link] > 0 {
        if left[load.link] / slope[load.link] <= level * (1 + 1e-12) { isStopped[load.activity] = true }
      }
      for index in caps.indices where isStopped[index] {
        speeds[index] = min(level, caps[index])
        isFixed[index] = true
      }
      for load in loads where isStopped[load.activity] {
        left[load.link] = max(0, left[load.link] - load.share * speeds[load.activity])
      }
    }
    return speeds
  }
}
