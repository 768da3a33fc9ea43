import Foundation

/// Tracks as a Chrome trace (JSON), which chrome://tracing, Perfetto and Holistic Trace Analysis read: complete events
/// with microseconds, a process for each rank.
///
/// - Complexity: O(slices).
public func chromeTrace(_ tracks: [Track]) -> Data {
  var data = Data("{\"schemaVersion\":1,\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n".utf8)
  var isFirst = true
  func add(_ event: String) {
    data.append(Data(((isFirst ? "" : ",\n") + event).utf8))
    isFirst = false
  }
  var named: Set<Int> = []
  var threads: [Int: Int] = [:]
  for track in tracks {
    let process = track.processID
    let thread = threads[process, default: 0]
    threads[process] = thread + 1
    if named.insert(process).inserted {
      add(
        "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":\(process),"
          + "\"args\":{\"name\":\(jsonString(track.processName))}}"
      )
    }
    add(
      "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":\(process),\"tid\":\(thread),\"args\":{\"name\":"
        + "\(jsonString(track.threadName))}}")
    for slice in track.slices.sorted(by: { ($0.start, -$0.duration) < ($1.start, -$1.duration) }) {
      var event =
        "{\"ph\":\"X\",\"cat\":\(jsonString(slice.category)),\"name\":\(jsonString(slice.name)),\"pid\":\(process)"
        + ",\"tid\":\(thread),\"ts\":\(microseconds(slice.start)),\"dur\":\(microseconds(slice.duration))"
      if !slice.arguments.isEmpty {
        event +=
          ",\"args\":{"
          + slice.arguments.map { "\(jsonString($0.name)):\($0.value.json)" }.joined(separator: ",")
          + "}"
      }
      add(event + "}")
    }
  }
  data.append(Data("\n]}\n".utf8))
  return data
}

/// Tracks as comma-separated values: one line a slice, times in microseconds.
///
/// - Complexity: O(slices).
public func csvTrace(_ tracks: [Track]) -> Data {
  var names: [String] = []
  for track in tracks {
    for slice in track.slices {
      for argument in slice.arguments where !names.contains(argument.name) { names.append(argument.name) }
    }
  }
  names.sort()
  var text =
    (["process", "lane", "category", "name", "start_us", "duration_us"] + names).joined(separator: ",") + "\n"
  for track in tracks {
    for slice in track.slices.sorted(by: { ($0.start, -$0.duration) < ($1.start, -$1.duration) }) {
      var cells = [
        csvCell(track.processName), csvCell(track.threadName), csvCell(slice.category), csvCell(slice.name),
        microseconds(slice.start), microseconds(slice.duration),
      ]
      for name in names {
        switch slice.arguments.first(where: { $0.name == name })?.value {
        case .integer(let number)?: cells.append("\(number)")
        case .number(let number)?: cells.append("\(number)")
        case .text(let text)?: cells.append(csvCell(text))
        case nil: cells.append("")
        }
      }
      text += cells.joined(separator: ",") + "\n"
    }
  }
  return Data(text.utf8)
}

/// Whole nanoseconds as microseconds with a point.
private func microseconds(_ nanoseconds: Int64) -> String {
  let rest = "\(nanoseconds % 1000)"
  return "\(nanoseconds / 1000)"
    + (nanoseconds % 1000 == 0 ? "" : "." + String(repeating: "0", count: 3 - rest.count) + rest)
}

extension Track.Argument.Content {
  fileprivate var json: String {
    switch self {
    case .integer(let number): "\(number)"
    case .number(let number): "\(number)"
    case .text(let text): jsonString(text)
    }
  }
}

private func jsonString(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
