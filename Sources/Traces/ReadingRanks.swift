import Documents
import Foundation

/// The files of recordings that a path stands for: itself, or the files of a folder in the order of their names.
///
/// - Throws: A ``Diagnostic`` where there is no such file, or a folder holds none.
public func recordingFiles(at path: String) throws -> [String] {
  var isFolder: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
    throw Diagnostic(.unavailableFile, "the file does not exist", file: path)
  }
  guard isFolder.boolValue else { return [path] }
  guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
    throw Diagnostic(.unavailableFile, "the folder cannot be read", file: path)
  }
  let files = names.filter { !$0.hasPrefix(".") }.sorted().map {
    path.hasSuffix("/") ? path + $0 : path + "/" + $0
  }.filter { file in
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) && !isFolder.boolValue
  }
  if files.isEmpty { throw Diagnostic(.unavailableFile, "the folder holds no files", file: path) }
  return files
}

/// Reads Kineto traces, execution traces, or both, of the ranks of one job; a rank's execution trace is linked with its
/// Kineto trace, whatever the order of the files.
///
/// - Throws: A ``Diagnostic`` where a file is of another format or broken.
public func readPyTorch(at paths: [String]) throws -> Recording {
  var kineto: [String] = []
  var traces: [(path: String, trace: ExecutionTrace)] = []
  for path in paths {
    switch try recordingFormat(of: path) {
    case .kineto: kineto.append(path)
    case .pytorchExecution: traces.append((path, try ExecutionTraceParser(ByteSource(path: path)).read()))
    case let other:
      throw Diagnostic(
        .data, "the file is no trace of PyTorch", file: path, path: "byte 0", found: other.rawValue,
        allowed: "\(TraceFormat.kineto.rawValue), \(TraceFormat.pytorchExecution.rawValue)")
    }
  }
  if kineto.isEmpty { return try readExecutionTrace(at: traces.map(\.path)) }
  var recordings: [Recording] = []
  for path in kineto {
    let events = try KinetoParser(ByteSource(path: path)).read()
    let rank = events.rank ?? rankInFileName(path)
    let place = traces.firstIndex { rank != nil && ($0.trace.rank ?? rankInFileName($0.path)) == rank }
    recordings.append(recording(of: events, file: path, linkedWith: place.map { traces[$0].trace }))
    if let place { traces.remove(at: place) }
  }
  var merged = merge(recordings)
  for trace in traces { merged.notes.append("\(trace.path) belongs to no rank's trace: left out") }
  return merged
}
