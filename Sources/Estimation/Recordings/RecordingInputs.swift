import Documents
import Traces

/// A recording with what its format alone tells.
public struct ReadRecording: Sendable {
  public var recording: Recording
  public var findings: [String] = []
}

/// Reads files, or all files of folders, as one recording; a format is told from what files contain.
///
/// Traces of PyTorch's profiler are linked with the execution traces of the same ranks where both are given. Files of a
/// folder that are no recordings are named in the notes.
/// - Throws: A `Diagnostic`.
public func readRecordings(_ paths: [String]) throws -> ReadRecording {
  let named = Set(paths)
  var byFormat: [TraceFormat: [String]] = [:]
  var others: [String] = []
  for file in try paths.flatMap({ try recordingFiles(at: $0) }) {
    do {
      byFormat[try recordingFormat(of: file), default: []].append(file)
    } catch  where !named.contains(file) || file.hasSuffix("comm_group.json") {
      others.append(file)
    }
  }
  let formats = TraceFormat.allCases.filter { byFormat[$0] != nil }
  func list(_ format: TraceFormat) -> [String] { byFormat[format] ?? [] }
  var read: ReadRecording
  switch formats {
  case []:
    throw Diagnostic(
      .data, "none of the files is a recording", file: paths.first, found: "\(others.count) other files")
  case [.straggler]:
    let recording = try Recording.straggler(TraceInput(path: single(list(.straggler))))
    read = ReadRecording(recording: recording, findings: try StragglerAnalysis(recording).sentences)
  case [.kineto], [.pytorchExecution], [.kineto, .pytorchExecution]:
    read = ReadRecording(recording: try readPyTorch(at: list(.kineto) + list(.pytorchExecution)))
  case [.chakra]:
    let groups = others.filter { $0.hasSuffix("comm_group.json") }
    others.removeAll { groups.contains($0) }
    read = ReadRecording(recording: try readChakra(list(.chakra), groupFile: groups.first))
  case [.chakraJSON]: read = ReadRecording(recording: try readChakraJSON(list(.chakraJSON)))
  case [.goal]: read = ReadRecording(recording: try readGoal(single(list(.goal))))
  case [.goalBinary]: read = ReadRecording(recording: try readGoalBinary(single(list(.goalBinary))))
  case [.flightRecorder]:
    let recording = try Recording.flightRecorder(list(.flightRecorder).map { TraceInput(path: $0) })
    read = ReadRecording(
      recording: recording, findings: FlightRecorderAnalysis(recording).sentences(recording))
  case [.timeIndependent]:
    read = ReadRecording(
      recording: try Recording.timeIndependent(TraceInput(path: single(list(.timeIndependent)))))
  case [.program]:
    others.removeAll { $0 == "\(list(.program)[0]).csv" }
    read = ReadRecording(recording: try Recording.program(TraceInput(path: single(list(.program)))))
  case [.simAI]: read = ReadRecording(recording: try Recording.simAI(TraceInput(path: single(list(.simAI)))))
  default:
    throw Diagnostic(
      .data, "the files are of formats that do not go together", file: paths.first,
      found: formats.map(\.rawValue).joined(separator: ", "), allowed: "one format, or kineto with pytorch-et"
    )
  }
  if !others.isEmpty {
    read.recording.notes.append(
      "\(others.count) files of the folder are no recordings: " + others.prefix(5).joined(separator: ", ")
        + (others.count > 5 ? ", …" : ""))
  }
  return read
}

/// Formats that hold all ranks in one file.
private func single(_ files: [String]) throws -> String {
  guard files.count == 1 else {
    throw Diagnostic(
      .usage, "a recording of all ranks is one file", file: files[1], found: "\(files.count) files",
      allowed: "one")
  }
  return files[0]
}

/// Steps as flags write them: `3`, `3-5`.
///
/// - Throws: A `Diagnostic` with status `usage`.
public func steps(_ text: String) throws -> ClosedRange<Int> {
  let ends = text.split(separator: "-", omittingEmptySubsequences: false).compactMap { Int($0) }
  guard (1...2).contains(ends.count), let first = ends.first, let last = ends.last, first >= 0, last >= first
  else {
    throw Diagnostic(.usage, "these are no steps", path: "--steps", found: "\"\(text)\"", allowed: "3 or 3-5")
  }
  return first...last
}

extension ChakraSummary {
  /// The nodes of all ranks together; nil where none comes from such a trace.
  init?(_ ranks: [RankRecording]) {
    let all = ranks.compactMap(\.chakra)
    guard var sum = all.first else { return nil }
    for other in all.dropFirst() {
      sum.nodes += other.nodes
      sum.dataDependencies += other.dataDependencies
      sum.controlDependencies += other.controlDependencies
      sum.danglingDependencies += other.danglingDependencies
      let (time, overflows) = sum.durationMicroseconds.addingReportingOverflow(other.durationMicroseconds)
      sum.durationMicroseconds = overflows ? .max : time
      for nodes in other.byType {
        if let index = sum.byType.firstIndex(where: { $0.type == nodes.type }) {
          sum.byType[index].count += nodes.count
        } else {
          sum.byType.append(nodes)
        }
      }
      for kind in other.collectives {
        if let index = sum.collectives.firstIndex(where: { $0.kind == kind.kind }) {
          sum.collectives[index].count += kind.count
          sum.collectives[index].withoutBytes += kind.withoutBytes
          let (bytes, overflows) = sum.collectives[index].bytes.addingReportingOverflow(kind.bytes)
          sum.collectives[index].bytes = overflows ? .max : bytes
        } else {
          sum.collectives.append(kind)
        }
      }
    }
    self = sum
  }
}
