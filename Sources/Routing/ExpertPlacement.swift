/// Which expert each slot of each GPU holds, for one layer; busy experts may be held more than once.
public struct ExpertPlacement: Hashable, Sendable {
  /// The expert in each slot, GPU by GPU: `[slots]`.
  public let expertOfSlot: [Int]
  /// The slots of each expert, in the order its replicas were made: `[experts, replicas of it]`.
  public let slotsOfExpert: [[Int]]
  public let gpus: Int

  public var experts: Int { slotsOfExpert.count }
  public var slotsPerGPU: Int { expertOfSlot.count / gpus }

  /// - Parameter slotsOfExpert: Every slot once, at the expert that it holds.
  /// - Precondition: `gpus` divides the slots.
  public init(slotsOfExpert: [[Int]], gpus: Int) {
    let count = slotsOfExpert.reduce(0) { $0 + $1.count }
    precondition(gpus > 0 && count % gpus == 0, "all GPUs have as many slots")
    var experts = Array(repeating: -1, count: count)
    for (expert, slots) in slotsOfExpert.enumerated() {
      precondition(!slots.isEmpty, "every expert is somewhere")
      for slot in slots {
        precondition(experts.indices.contains(slot) && experts[slot] < 0, "every slot holds one expert")
        experts[slot] = expert
      }
    }
    expertOfSlot = experts
    self.slotsOfExpert = slotsOfExpert
    self.gpus = gpus
  }

  /// Every expert once, in order: the placement without a balancer.
  public init(contiguous experts: Int, gpus: Int) {
    self.init(slotsOfExpert: (0..<experts).map { [$0] }, gpus: gpus)
  }

  public func gpu(ofSlot slot: Int) -> Int { slot / slotsPerGPU }

  /// The slot that serves a token: its expert's replicas take the tokens in turn.
  public func slot(of expert: Int, token: Int) -> Int {
    let slots = slotsOfExpert[expert]
    return slots[token % slots.count]
  }

  /// The load of each GPU where replicas share their expert's load evenly.
  ///
  /// - Parameter loads: Of each expert, for instance tokens.
  public func loads(_ loads: [Double]) -> [Double] {
    var result = Array(repeating: 0.0, count: gpus)
    for (slot, expert) in expertOfSlot.enumerated() {
      result[gpu(ofSlot: slot)] += loads[expert] / Double(slotsOfExpert[expert].count)
    }
    return result
  }

  /// The busiest GPU's load over the mean: 1 is balanced, and the step waits for the busiest. 1 where all is idle.
  public func imbalance(_ loads: [Double]) -> Double {
    let each = self.loads(loads)
    let sum = each.reduce(0, +)
    return sum > 0 ? (each.max() ?? 0) * Double(gpus) / sum : 1
  }
}
