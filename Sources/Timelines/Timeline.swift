import Programs
import Units

/// When every task of a program ran: predicted by the simulator, or measured by the executor.
///
/// Columns are `[role][task]`; times are in picoseconds since the step began.
public struct Timeline: Sendable {
  public let program: VerifiedProgram
  /// When the task headed its lane with its dependencies done.
  public var started: [[Int64]]
  /// When its meeting began: the last participant had arrived. Equal to `started` for compute.
  public var began: [[Int64]]
  public var ended: [[Int64]]
  /// Bytes that the task handed to other ranks, and that it got from them; on a predicted timeline those of
  /// the role's ``Programs/Roles/representative``.
  public var sentBytes: [[Int64]]
  public var receivedBytes: [[Int64]]
  /// Activation bytes at their highest, `[role]`.
  public var peakActivations: [Int64]

  public init(_ program: VerifiedProgram) {
    self.program = program
    let empty = program.roles.codeOfRole.map {
      Array(repeating: Int64(0), count: program.program.codes[Int($0)].count)
    }
    started = empty
    began = empty
    ended = empty
    sentBytes = empty
    receivedBytes = empty
    peakActivations = Array(repeating: 0, count: program.roles.count)
  }

  /// From the first task's start to the last one's end, over all roles.
  public var makespan: Span {
    Span(picoseconds: ended.lazy.compactMap { $0.max() }.max() ?? 0)
  }
}
