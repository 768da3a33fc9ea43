import Operators
import Programs
import Units

/// A step's time on one rank, divided as ISCA'25 Table 4 divides it; the parts add up to the step.
///
/// A slot's time includes the communication inside it that nothing hides. What lies between slots is the
/// bubble. Source: "Insights into DeepSeek-V3", arXiv 2505.09343, table 4.
public struct StepParts: Hashable, Sendable {
  /// Forward chunks alone (1F).
  public var forward = Span.zero
  /// Input gradients outside overlapped pairs (1B), of split and of whole backwards.
  public var backwardInput = Span.zero
  /// Weight gradients outside overlapped pairs (1W), deferred or not.
  public var backwardWeight = Span.zero
  /// Overlapped pairs (1F1B).
  public var overlapped = Span.zero
  /// Waiting for other pipeline ranks.
  public var bubble = Span.zero
  /// Gradient reduction that nothing hides, optimizer, gathering of parameters.
  public var optimizer = Span.zero

  public init() {}

  public var total: Span { forward + backwardInput + backwardWeight + overlapped + bubble + optimizer }
}

extension Timeline {
  /// One slot of a rank's order in time.
  public struct SlotInterval: Hashable, Sendable {
    public var slot: Int
    public var start: Instant
    public var end: Instant
    /// Compute on weight gradients within the slot.
    public var weightGradients: Span
    public var length: Span { end - start }
  }

  /// The chunks and pairs of a role in time, without optimizer and messages; they never overlap.
  ///
  /// - Complexity: O(tasks of the role).
  public func slotIntervals(ofRole role: Int) -> [SlotInterval] {
    let code = program.code(ofRole: role)
    var starts = Array(repeating: Int64.max, count: code.slots.count)
    var ends = Array(repeating: Int64.min, count: code.slots.count)
    var weights = Array(repeating: Int64(0), count: code.slots.count)
    for task in 0..<code.count where !code.lane[task].isPipeline && code.lane[task] != .reduction {
      let slot = Int(code.slot[task])
      guard code.slots[slot].phase != .optimizer else { continue }
      starts[slot] = min(starts[slot], started[role][task])
      ends[slot] = max(ends[slot], ended[role][task])
      if code.kind[task] == .compute, program.program.works[Int(code.work[task])].pass == .weightGradient {
        weights[slot] += ended[role][task] - began[role][task]
      }
    }
    var intervals: [SlotInterval] = []
    for slot in code.slots.indices where starts[slot] <= ends[slot] {
      // A slot's first exchange may leave while the slot before it still computes; the time is the earlier slot's.
      let start = max(starts[slot], intervals.last?.end.picoseconds ?? 0)
      intervals.append(
        SlotInterval(
          slot: slot, start: Instant(picoseconds: start), end: Instant(picoseconds: max(start, ends[slot])),
          weightGradients: Span(picoseconds: weights[slot])))
    }
    return intervals
  }

  /// Where a role's time goes.
  ///
  /// - Complexity: O(tasks of the role).
  public func parts(ofRole role: Int) -> StepParts {
    let code = program.code(ofRole: role)
    let intervals = slotIntervals(ofRole: role)
    var parts = StepParts()
    for interval in intervals {
      switch code.slots[interval.slot].phase {
      case .forward: parts.forward += interval.length
      case .backwardInput: parts.backwardInput += interval.length
      case .backwardWeight: parts.backwardWeight += interval.length
      case .backward:
        let weights = min(interval.weightGradients, interval.length)
        parts.backwardWeight += weights
        parts.backwardInput += interval.length - weights
      case .overlapped: parts.overlapped += interval.length
      case .optimizer: break
      }
    }
    let optimizer = (0..<code.count).lazy
      .filter { code.slots[Int(code.slot[$0])].phase == .optimizer || code.lane[$0] == .reduction }
      .map { (self.began[role][$0], self.ended[role][$0]) }
    let slots = IntervalSet(intervals.map { ($0.start.picoseconds, $0.end.picoseconds) })
    parts.optimizer = IntervalSet(Array(optimizer)).subtracting(slots).length
    parts.bubble =
      makespan - parts.forward - parts.backwardInput - parts.backwardWeight - parts.overlapped
      - parts.optimizer
    return parts
  }

  /// Mean over all ranks, each role weighted by the ranks it stands for.
  public func meanParts() -> StepParts {
    var mean = StepParts()
    let ranks = Double(program.program.ranks)
    for role in 0..<program.roles.count {
      let parts = parts(ofRole: role)
      let weight = Double(program.roles.ranksOfRole[role]) / ranks
      mean.forward += parts.forward.scaled(by: weight)
      mean.backwardInput += parts.backwardInput.scaled(by: weight)
      mean.backwardWeight += parts.backwardWeight.scaled(by: weight)
      mean.overlapped += parts.overlapped.scaled(by: weight)
      mean.optimizer += parts.optimizer.scaled(by: weight)
    }
    // The rest, so that rounding of the others cannot make the sum differ from the step.
    mean.bubble =
      makespan - mean.forward - mean.backwardInput - mean.backwardWeight - mean.overlapped - mean.optimizer
    return mean
  }
}
