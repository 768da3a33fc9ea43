import Documents
import Foundation
import Programs
import Timelines

/// Reads a schedule in GOAL's text form, plain or gzip, as a recording.
///
/// - Throws: A ``Diagnostic`` with the byte where the file stops being a schedule.
public func readGoal(_ path: String, limits: ByteSource.Limits = ByteSource.Limits()) throws -> Recording {
  try goalRecording(GoalSchedule(text: ByteSource(path: path, limits: limits)), .goal, file: path)
}

/// Reads a schedule in GOAL's binary form, plain or gzip, as a recording.
///
/// - Throws: A ``Diagnostic`` with the byte where the file stops being a schedule.
public func readGoalBinary(_ path: String, limits: ByteSource.Limits = ByteSource.Limits()) throws
  -> Recording
{
  try goalRecording(GoalSchedule(binary: ByteSource(path: path, limits: limits)), .goalBinary, file: path)
}

/// Writes a program as a schedule in GOAL's text or binary form.
///
/// Collectives become messages (see the comments in the text); the program's own text form stands in comments, or
/// behind the last rank of a binary file, so that a reader restores the same program.
/// - Parameter timeline: Times of the computations; without it they take no time.
/// - Throws: A ``Diagnostic`` with status `unavailableFile`.
public func writeGoal(
  _ program: VerifiedProgram, timeline: Timeline? = nil, isBinary: Bool = false, to path: String
) throws {
  let goal = GoalProgram(program, timeline: timeline)
  let bytes = isBinary ? Data(goal.schedule.binary) : Data(goal.schedule.text(comments: goal.comments).utf8)
  try writeFile(bytes, to: path)
}

func goalRecording(_ schedule: GoalSchedule, _ format: TraceFormat, file: String) throws(Diagnostic)
  -> Recording
{
  var recording = schedule.recording(format, file: file)
  recording.program = try schedule.carriedProgram(file: file)
  return recording
}

extension GoalSchedule {
  /// The program that this project's writer put into the file; nil without one.
  ///
  /// - Throws: A ``Diagnostic`` where it cannot be read, or is not what the operations do.
  func carriedProgram(file: String) throws(Diagnostic) -> Program? {
    guard let programText else { return nil }
    let verified: VerifiedProgram
    do {
      verified = try VerifiedProgram(Program(text: programText))
    } catch {
      throw Diagnostic(
        .data, "the program that the file carries cannot be read", file: file, path: "the program's text",
        found: "\(error)")
    }
    guard verified.program.ranks == ranks.count else {
      throw Diagnostic(
        .data, "the file has other ranks than the program that it carries", file: file, path: "num_ranks",
        found: "\(ranks.count)", allowed: "\(verified.program.ranks)")
    }
    let expansion = GoalExpansion(verified)
    for (number, rank) in ranks.enumerated() {
      // A short text may ask for many operations; no more are made than the file has.
      if let (expected, _) = expansion.operations(ofRank: number, limit: rank.count),
        rank.doesTheSame(as: expected)
      {
        continue
      }
      throw Diagnostic(
        .data, "the operations are not those of the program that the file carries", file: file,
        path: "rank \(number)",
        found: "other operations",
        hint: "without its lines that begin with rehearsal the file is read as it stands")
    }
    return verified.program
  }
}

extension GoalSchedule.Rank {
  /// The same but for how long calculations take.
  fileprivate func doesTheSame(as other: GoalSchedule.Rank) -> Bool {
    guard kind == other.kind, peer == other.peer, tag == other.tag, cpu == other.cpu, nic == other.nic,
      requires == other.requires, startRequires == other.startRequires
    else { return false }
    return (0..<count).allSatisfy { kind[$0] == .calculation || size[$0] == other.size[$0] }
  }
}
