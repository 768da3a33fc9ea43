import Clusters
import Documents
import Foundation
import Programs
import Replaying
import Reports
import Schedules
import Simulation
import Timelines
import Timing
import Traces
import Units

/// What `rehearse trace export` is asked for.
public struct ExportRequest: Sendable {
  /// Tools that the result is for.
  public enum Format: String, CaseIterable, Sendable {
    case chakra, goal, perfetto, chrome, csv
  }

  public var format = Format.chakra
  /// Recordings, or one program in the project's text form.
  public var files: [String] = []
  /// The plan whose program is simulated, where no file is given.
  public var estimate = EstimateRequest()
  /// Cluster on which a program of a file runs; nil: recordings keep their times.
  public var cluster: String?
  /// Ranks of which tracks are written; nil: one of each role, which others do alike.
  public var allRanks = false

  public init() {}
}

/// A program, simulated, recorded, or neither, ready to be written.
public struct TraceExport: Sendable {
  private let recording: Recording?
  private let timeline: Timeline?
  private let verified: VerifiedProgram
  private let names: ImportedProgram?
  private let request: ExportRequest
  /// What was assumed on the way.
  public let notes: [String]

  /// - Throws: A `Diagnostic`.
  public init(_ request: ExportRequest) throws {
    self.request = request
    guard let first = request.files.first else {
      let inputs = try EstimateInputs(request.estimate)
      let step = try SimulatedStep(inputs.plan, seed: inputs.seed)
      recording = nil
      timeline = step.timeline
      verified = step.program
      names = nil
      notes = []
      return
    }
    if request.files.count == 1, let program = try Self.program(ofFileAt: first) {
      let proven = try Self.verify(program, first)
      verified = proven
      // What an execution wrote beside its program: tracks take the recorded times.
      let isTimed = request.cluster == nil && FileManager.default.fileExists(atPath: first + ".csv")
      recording = isTimed ? try readRecordings([first]).recording : nil
      names = nil
      timeline = try request.cluster.map { try Self.simulated(proven, on: $0) }
      notes = timeline == nil ? ["the program has no times: without --cluster it is written with none"] : []
      return
    }
    let read = try readRecordings(request.files).recording
    if let program = read.program {
      // This project's own files carry the program itself: it is written again, not what it looks like from outside.
      let proven = try Self.verify(program, first)
      let times =
        try request.cluster.map { try Self.simulated(proven, on: $0) } ?? Timeline(proven, recorded: read)
      if let times {
        (verified, timeline, names, notes) = (proven, times, nil, [])
        recording = request.cluster == nil ? read : nil
        return
      }
    }
    let imported = try importProgram(read)
    let replay = try Replay(imported, on: request.cluster.map { try resolveCluster($0).cluster })
    recording = request.cluster == nil ? read : nil
    timeline = replay.timeline
    verified = replay.verified
    names = imported
    notes = imported.notes
  }

  private static func simulated(_ program: VerifiedProgram, on name: String) throws -> Timeline {
    let cluster = try resolveCluster(name).cluster
    do {
      return Simulator.run(program, costs: try ProgramCosts(program, on: cluster))
    } catch {
      throw diagnostic(for: error)
    }
  }

  private static func verify(_ program: Program, _ file: String) throws -> VerifiedProgram {
    do {
      return try VerifiedProgram(program)
    } catch {
      throw Diagnostic(.data, "the program cannot run", file: file, found: error.description)
    }
  }

  /// The program that a file holds in the project's text form; nil where the file is something else.
  private static func program(ofFileAt path: String) throws -> Program? {
    guard let handle = FileHandle(forReadingAtPath: path), let start = try? handle.read(upToCount: 10),
      String(decoding: start, as: UTF8.self).hasPrefix("program ")
    else { return nil }
    guard let text = String(data: try readFile(at: path), encoding: .utf8) else {
      throw Diagnostic(.data, "the file is not UTF-8 text", file: path)
    }
    do {
      return try Program(text: text, file: path)
    } catch {
      throw Diagnostic(
        .data, error.problem, file: path, path: "line \(error.line), column \(error.column)",
        found: error.found,
        allowed: error.allowed)
    }
  }

  /// Writes one file, or of a Chakra trace one for each rank with the path as their prefix.
  ///
  /// - Returns: What was written.
  /// - Throws: A `Diagnostic`.
  public func write(to path: String) throws -> [String] {
    switch request.format {
    case .chakra: return try ChakraWriter(verified, timeline: timeline).write(prefix: path)
    case .goal: try writeGoal(verified, timeline: timeline, to: path)
    case .perfetto: try writeFile(perfettoTrace(try tracks()), to: path)
    case .chrome: try writeFile(chromeTrace(try tracks()), to: path)
    case .csv: try writeFile(csvTrace(try tracks()), to: path)
    }
    return [path]
  }

  private func tracks() throws -> [Track] {
    if let recording { return recording.tracks() }
    guard let timeline else {
      throw Diagnostic(
        .usage, "a program without times has nothing to draw", path: "--format",
        found: request.format.rawValue,
        hint: "name the cluster it runs on with --cluster")
    }
    return timeline.tracks(allRanks: request.allRanks) { code, task in
      guard let names, let recorded = names.kinds[code][task] else { return nil }
      return recorded.rawValue
    }
  }
}

extension Recording {
  /// Every event as a slice: a process for each rank, a thread for each of its queues. Times count from the first
  /// event.
  func tracks() -> [Track] {
    let clocks = ClockOffsets(self, matchedCommunications())
    var first = Int64.max
    for (index, rank) in ranks.enumerated() {
      for event in 0..<rank.count where rank.end(event) != nil {
        first = min(first, rank.start[event] &+ clocks.offset[index])
      }
    }
    return ranks.enumerated().flatMap { index, rank -> [Track] in
      var slices: [Int32: [Track.Slice]] = [:]
      for event in 0..<rank.count where rank.end(event) != nil && rank.duration[event] >= 0 {
        let start = (rank.start[event] &+ clocks.offset[index] &- first) / 1000
        var arguments: [Track.Argument] = []
        var category = "kernel"
        switch rank.kind[event] {
        case .compute: break
        case .memory: category = "gpu_memcpy"
        case .communication:
          let communication = rank.communications[Int(rank.communication[event])]
          arguments.append(Track.Argument("collective", .text(communication.kind.rawValue)))
          if let bytes = communication.inputBytes {
            arguments.append(Track.Argument("in_bytes", .integer(bytes)))
          }
          if let bytes = communication.outputBytes {
            arguments.append(Track.Argument("out_bytes", .integer(bytes)))
          }
          if let size = communication.groupSize {
            arguments.append(Track.Argument("group_size", .integer(Int64(size))))
          }
        }
        guard start >= 0 else { continue }
        slices[rank.stream[event], default: []].append(
          Track.Slice(
            start: start, duration: rank.duration[event] / 1000, name: rank.names[Int(rank.name[event])],
            category: category, arguments: arguments))
      }
      return slices.keys.sorted().map { stream in
        Track(
          processName: "rank \(rank.rank)", processID: rank.rank, threadName: "stream \(stream)",
          slices: slices[stream] ?? [])
      }
    }
  }
}

extension Timeline {
  /// Every task as a slice: a process for each rank, a thread for each of its lanes.
  ///
  /// - Parameter word: The recording's word for a communication.
  func tracks(allRanks: Bool, word: (_ code: Int, _ task: Int) -> String?) -> [Track] {
    let roles = program.roles
    let ranks = allRanks ? Array(0..<program.program.ranks) : roles.representative.map(Int.init)
    return ranks.flatMap { rank -> [Track] in
      let role = Int(roles.roleOfRank[rank])
      let codeIndex = Int(roles.codeOfRole[role])
      let code = program.code(ofRole: role)
      var slices = [[Track.Slice]](repeating: [], count: Lane.count)
      for task in 0..<code.count {
        let start = began[role][task] / 1000
        let isCompute = code.kind[task] == .compute
        var arguments: [Track.Argument] = []
        if !isCompute {
          let communicator = program.program.communicators[Int(code.communicator[task])]
          arguments = [
            Track.Argument("group", .text(communicator.name)),
            Track.Argument("sent_bytes", .integer(sentBytes[role][task])),
            Track.Argument("received_bytes", .integer(receivedBytes[role][task])),
          ]
        }
        if code.layer[task] >= 0 {
          arguments.append(Track.Argument("layer", .integer(Int64(code.layer[task]))))
        }
        slices[code.lane[task].index].append(
          Track.Slice(
            start: start, duration: ended[role][task] / 1000 - start,
            name: isCompute
              ? program.program.works[Int(code.work[task])].name
              : word(codeIndex, task) ?? code.kind[task].name,
            category: code.kind[task].name, arguments: arguments))
      }
      return Lane.all.filter { !slices[$0.index].isEmpty }.map { lane in
        Track(processName: "rank \(rank)", processID: rank, threadName: lane.name, slices: slices[lane.index])
      }
    }
  }
}

extension Timeline {
  /// The recorded times of a program that its files carry; nil where events do not name tasks or have no times, or a
  /// role has no recorded rank.
  fileprivate init?(_ program: VerifiedProgram, recorded: Recording) {
    self.init(program)
    for role in 0..<program.roles.count {
      let representative = Int(program.roles.representative[role])
      guard let rank = recorded.ranks.first(where: { $0.rank == representative }),
        rank.tasks.count == rank.count
      else { return nil }
      for event in 0..<rank.count {
        let task = Int(rank.tasks[event])
        guard rank.start[event] != RankRecording.unknownTime,
          rank.duration[event] != RankRecording.unknownTime
        else { return nil }
        started[role][task] = rank.start[event]
        began[role][task] = rank.start[event]
        ended[role][task] = rank.start[event] + rank.duration[event]
      }
    }
  }
}
