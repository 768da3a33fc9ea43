import Foundation
import Operators
import Units

/// One measured speed of a fused attention kernel.
public struct AttentionMeasurement: Hashable, Sendable {
  public var queryKeyDimension: Int
  public var valueDimension: Int
  public var isCausal: Bool
  public var isBackward: Bool
  /// Tokens of one sequence; queries and keys alike.
  public var sequence: Int
  public var format: Format
  /// Multiprocessors the kernel ran on.
  public var multiprocessors: Int
  /// Operations counted as ``Operators/FusedAttention/flops`` counts them.
  public var rate: Sourced<FLOPsPerSecond>

  public init(
    queryKeyDimension: Int, valueDimension: Int, isCausal: Bool, isBackward: Bool, sequence: Int,
    format: Format, multiprocessors: Int, rate: Sourced<FLOPsPerSecond>
  ) {
    self.queryKeyDimension = queryKeyDimension
    self.valueDimension = valueDimension
    self.isCausal = isCausal
    self.isBackward = isBackward
    self.sequence = sequence
    self.format = format
    self.multiprocessors = multiprocessors
    self.rate = rate
  }
}

extension AttentionMeasurement {
  /// Whether another measurement differs in nothing but length and rate.
  func isOfKind(of other: AttentionMeasurement) -> Bool {
    queryKeyDimension == other.queryKeyDimension && valueDimension == other.valueDimension
      && isCausal == other.isCausal && isBackward == other.isBackward && format == other.format
  }
}

extension GPU {
  /// The rate of a fused attention kernel, from the measurements nearest to it.
  ///
  /// Measurements of the same direction are preferred by mask, then by head dimensions; between two measured
  /// lengths the rate is interpolated over the logarithm of the length, and beyond them it is held.
  /// Multiprocessors scale it.
  /// - Returns: nil where no kernel of that direction was measured.
  /// - Complexity: O(measurements).
  public func attentionRate(_ attention: FusedAttention, multiprocessors: Int? = nil) -> Sourced<
    FLOPsPerSecond
  >? {
    func distance(_ row: AttentionMeasurement) -> Double {
      let dimensions =
        abs(row.queryKeyDimension - attention.queryKeyDimension)
        + abs(row.valueDimension - attention.valueDimension)
      return Double(dimensions) + (row.isCausal == attention.isCausal ? 0 : 1e4)
        + (row.format == attention.format ? 0 : 1e6)
    }
    let sameDirection = kernels.attention.filter { $0.isBackward == attention.isBackward }
    guard let nearest = sameDirection.map(distance).min() else { return nil }
    let rows = sameDirection.filter { distance($0) == nearest }
    // Keys set the length of a query's work; under context parallelism queries are fewer.
    let length = Double(attention.keys)
    guard
      let below = rows.filter({ Double($0.sequence) <= length }).max(by: { $0.sequence < $1.sequence })
        ?? rows.min(by: { $0.sequence < $1.sequence }),
      let above = rows.filter({ Double($0.sequence) >= length }).min(by: { $0.sequence < $1.sequence })
        ?? rows.max(by: { $0.sequence < $1.sequence })
    else { return nil }
    func perMultiprocessor(_ row: AttentionMeasurement) -> Double {
      row.rate.value.value / Double(row.multiprocessors)
    }
    var rate = perMultiprocessor(below)
    if below.sequence < above.sequence {
      let share =
        (log(length) - log(Double(below.sequence)))
        / (log(Double(above.sequence)) - log(Double(below.sequence)))
      rate += share * (perMultiprocessor(above) - rate)
    }
    let used = min(multiprocessors ?? streamingMultiprocessors.value, streamingMultiprocessors.value)
    return Sourced(FLOPsPerSecond(rate * Double(used)), tag: below.rate.tag, source: below.rate.source)
  }
}
