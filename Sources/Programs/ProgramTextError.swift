/// Why a text is not a program, and where: lines and columns count from one, columns in Unicode scalars.
public struct ProgramTextError: Error, Hashable, Sendable {
  public var file: String?
  public var line: Int
  public var column: Int
  /// What is wrong, as a sentence without a full stop.
  public var problem: String
  public var found: String?
  public var allowed: String?

  public init(
    file: String? = nil, line: Int, column: Int, problem: String, found: String? = nil, allowed: String? = nil
  ) {
    self.file = file
    self.line = line
    self.column = column
    self.problem = problem
    self.found = found
    self.allowed = allowed
  }
}

extension ProgramTextError: CustomStringConvertible {
  /// `step.program:3:7: there is no such lane: found "copute", allowed compute, communication, …`
  public var description: String {
    let place = (file.map { "\($0):" } ?? "") + "\(line):\(column): "
    let details = [found.map { "found \($0)" }, allowed.map { "allowed \($0)" }].compactMap { $0 }
    return place + problem + (details.isEmpty ? "" : ": " + details.joined(separator: ", "))
  }
}
