import Documents
import Foundation
import Programs

/// A program that ran, and when each of its tasks did: what `rehearse execute --record FILE` writes.
///
/// `FILE` is the program in its text form (``Program/text``). `FILE.csv` has a line for each task of each rank, ranks and
/// tasks ascending: when it started and ended, its processor time, and the bytes it moved. Times are nanoseconds since the
/// step's first task.
public struct TimedProgram: Sendable {
  public let program: VerifiedProgram
  /// `[rank][task]`, nanoseconds; empty where there are no times, as are those below.
  public var started: [[Int64]] = []
  public var ended: [[Int64]] = []
  /// Nanoseconds of processor time; zero for communication.
  public var processor: [[Int64]] = []
  /// Bytes to and from other ranks, as the transport counted them.
  public var sent: [[Int64]] = []
  public var received: [[Int64]] = []

  public init(_ program: VerifiedProgram) { self.program = program }

  public var hasTimes: Bool { !started.isEmpty }

  /// Tasks of all ranks that a file may have.
  static let taskLimit = 1 << 24
  /// Ten days, in nanoseconds.
  static let timeLimit: Int64 = 864_000_000_000_000

  static let columns = "rank,task,kind,started_ns,ended_ns,processor_ns,bytes_sent,bytes_received"

  /// The content of the file beside the program's.
  public var csv: String {
    var lines = [Self.columns]
    let program = program.program
    for rank in started.indices {
      let code = program.codes[Int(program.codeOfRank[rank])]
      for task in 0..<code.count {
        lines.append(
          "\(rank),\(task),\(code.kind[task].name),\(started[rank][task]),\(ended[rank][task]),"
            + "\(processor[rank][task]),\(sent[rank][task]),\(received[rank][task])")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Reading

  /// Reads a program's text, and the times beside it where there are some.
  ///
  /// - Throws: ``Diagnostic`` naming file and line; also where the program cannot run.
  public init(_ input: TraceInput) throws {
    var source = try input.open()
    let text = String(decoding: try source.rest(limit: 1 << 28), as: UTF8.self)
    do {
      let program = try Program(text: text, file: input.name)
      // Counted before the proof that ranks are bound to codes that exist.
      let counts = program.codes.map(\.count)
      let tasks = program.codeOfRank.reduce(0) {
        $0 + (counts.indices.contains(Int($1)) ? counts[Int($1)] : 0)
      }
      guard tasks <= Self.taskLimit else {
        throw Diagnostic(
          .data, "the program has too many tasks", file: input.name, path: "line 2", found: "\(tasks)",
          allowed: "at most \(Self.taskLimit) of all ranks")
      }
      self.init(try VerifiedProgram(program))
    } catch let error as ProgramTextError {
      throw Diagnostic(
        .data, error.problem, file: input.name, path: "line \(error.line), column \(error.column)",
        found: error.found,
        allowed: error.allowed)
    } catch let error as VerificationError {
      throw Diagnostic(
        .data, "the program cannot run", file: input.name, path: "the program", found: "\(error)")
    }
    if let times = input.sibling(URL(filePath: input.name).lastPathComponent + ".csv") {
      try readTimes(times)
    }
  }

  private mutating func readTimes(_ input: TraceInput) throws {
    var source = try input.open()
    var number = 1
    func error(_ problem: String, found: String? = nil, allowed: String? = nil) -> Diagnostic {
      Diagnostic(.data, problem, file: input.name, path: "line \(number)", found: found, allowed: allowed)
    }
    func next() throws -> String? { try source.line().map { String(decoding: $0, as: UTF8.self) } }
    guard let header = try next(), header == Self.columns else {
      throw error("the first line names the columns", allowed: Self.columns)
    }
    let program = program.program
    for rank in 0..<program.ranks {
      let code = program.codes[Int(program.codeOfRank[rank])]
      var columns: [[Int64]] = Array(repeating: [], count: 5)
      for task in 0..<code.count {
        number += 1
        guard let line = try next() else {
          throw error(
            "the times are cut off", found: "the end of the file", allowed: "rank \(rank), task \(task)")
        }
        let words = line.split(separator: ",", omittingEmptySubsequences: false)
        guard words.count == 8, words[0] == "\(rank)", words[1] == "\(task)", words[2] == code.kind[task].name
        else {
          throw error(
            "a line is of another task", found: String(line.prefix(40)),
            allowed: "\(rank),\(task),\(code.kind[task].name),…")
        }
        for column in 0..<5 {
          guard let value = Int64(words[3 + column]), 0...(column < 3 ? Self.timeLimit : 1 << 50) ~= value
          else {
            throw error(
              "a time or size is out of range", found: String(words[3 + column].prefix(40)),
              allowed: column < 3 ? "nanoseconds, at most ten days" : "bytes")
          }
          columns[column].append(value)
        }
        guard columns[0][task] <= columns[1][task] else {
          throw error("a task ends before it starts", found: "\(words[3]) to \(words[4])")
        }
      }
      started.append(columns[0])
      ended.append(columns[1])
      processor.append(columns[2])
      sent.append(columns[3])
      received.append(columns[4])
    }
    number += 1
    if let line = try next(), !line.isEmpty {
      throw error("there are more lines than tasks", found: String(line.prefix(40)))
    }
  }
}
