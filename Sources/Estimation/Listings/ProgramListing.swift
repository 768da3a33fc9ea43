import Documents
import Foundation
import Programs
import Reports
import Schedules

/// The text of the program that a request lowers to.
///
/// - Throws: A ``Documents/Diagnostic`` where the schedule cannot have the plan's size.
public func programText(of inputs: EstimateInputs) throws -> String {
  lower(inputs.plan, order: try inputs.plan.publishedOrder(), seed: inputs.seed).text
}

/// Reads a program, verifies it and says what it holds.
///
/// - Throws: A ``Documents/Diagnostic`` with line and column where the text is not a program, or with the tasks that
///   wait where it would hang.
public func programSummary(ofFileAt path: String) throws -> String {
  let bytes = try readFile(at: path)
  guard let text = String(data: bytes, encoding: .utf8) else {
    throw Diagnostic(.data, "the file is not UTF-8 text", file: path)
  }
  let program: Program
  do {
    program = try Program(text: text, file: path)
  } catch {
    throw Diagnostic(
      .data, error.problem, file: path, path: "line \(error.line), column \(error.column)",
      found: error.found,
      allowed: error.allowed)
  }
  do {
    let verified = try VerifiedProgram(program)
    var table = TextTable([.init(""), .init("", .right)], indent: 2)
    table.append(["ranks", grouped(program.ranks)])
    table.append(["roles", grouped(verified.roles.count)])
    table.append(["tasks, all ranks", grouped(program.taskCount)])
    table.append(["messages and collectives between roles", grouped(verified.meetings.count)])
    return "\(program.name): runs to its end\n" + table.lines().joined(separator: "\n") + "\n"
  } catch {
    throw Diagnostic(.data, "the program cannot run", file: path, found: error.description)
  }
}
