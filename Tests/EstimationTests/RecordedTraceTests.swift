import Foundation
import Testing
import Traces

@testable import Estimation

/// The folder of real recordings beside the project, where it is at hand.
private let recordings: String? = {
  let folder =
    ProcessInfo.processInfo.environment["REHEARSAL_TRACES"]
    ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared/traces").path
  return FileManager.default.fileExists(atPath: folder + "/expected.json") ? folder : nil
}()

/// JSON as plain values, for tests that read it as a stranger would.
@dynamicMemberLookup
struct Parsed {
  var value: Any?
  init(_ text: String) throws { value = try JSONSerialization.jsonObject(with: Data(text.utf8)) }
  init(value: Any?) { self.value = value }
  subscript(dynamicMember key: String) -> Parsed { self[key] }
  subscript(key: String) -> Parsed { Parsed(value: (value as? [String: Any])?[key]) }
  var number: Double? { (value as? NSNumber)?.doubleValue }
  var list: [Parsed] { (value as? [Any] ?? []).map { Parsed(value: $0) } }
  var keys: [String] { (value as? [String: Any])?.keys.sorted() ?? [] }
  var text: String? { value as? String }
}

/// Plain values, which nothing changes.
nonisolated(unsafe) private let expected: Parsed? = recordings.flatMap { folder in
  (try? String(contentsOfFile: folder + "/expected.json", encoding: .utf8)).flatMap { try? Parsed($0) }
}

@Suite(.enabled(if: expected != nil, "the recordings of others lie beside the project"))
struct `Summaries of real recordings` {
  static let kineto = expected?.kineto.keys ?? []
  static let chakra = expected?.chakra_et.keys ?? []

  private func summary(_ path: String) throws -> Parsed {
    try Parsed(traceListing(of: [try #require(recordings) + "/" + path], steps: nil).jsonText())
  }

  @Test(arguments: kineto) func `the command's JSON has the figures of independent decoders`(name: String)
    throws
  {
    let expected = try #require(expected).kineto[name]
    let found = try summary(try #require(expected.path.text))
    func near(_ found: Parsed, _ figure: Parsed, _ what: String, within: Double = 0.1) throws {
      let (a, b) = (try #require(found.number, "\(what)"), try #require(figure.number))
      #expect(abs(a - b) <= within, "\(name), \(what): \(a), expected \(b)")
    }
    try near(found.kernels.count, expected.kernels, "kernels", within: 0)
    try near(found.kernels.microseconds, expected.kernel_us, "kernel time")
    try near(found.memory.count, expected.mem_ops, "copies", within: 0)
    try near(found.memory.microseconds, expected.mem_us, "copy time")
    try near(found.span_microseconds, expected.gpu_span_us, "span")
    try near(found.busy_microseconds, expected.gpu_busy_us, "busy")
    try near(found.communication.count, expected.comm_kernels, "communication", within: 0)
    try near(found.communication.microseconds, expected.comm_us_sum, "communication time")
    try near(found.communication.union_microseconds, expected.comm_us_union, "union")
    try near(found.communication.exposed_microseconds, expected.exposed_comm_vs_kernels, "exposed")
    try near(
      found.communication.exposed_beside_copies_microseconds, expected.exposed_comm_vs_all,
      "exposed beside copies")
    try near(found.communication.overlap_percent, expected.overlap_pct_HTA, "overlap", within: 0.0006)
    // By kind: the expected figures are by kernel, type and group; kinds gather kernels.
    let kinds = expected["comm_by_(kernel,collective,dtype,group_size,pg)->[n,us,in_bytes,out_bytes]"]
    let known = kinds.keys.filter { !$0.contains("None") }
    for key in known {
      let row = kinds[key].list
      let parts = key.split(separator: ",").map { $0.trimmingCharacters(in: .init(charactersIn: " '()")) }
      let kind = ["allreduce": "all_reduce"][parts[1]] ?? parts[1]
      let match = found.communication.by_kind.list.first {
        $0.kind.text == kind && $0.data_type.text == parts[2] && $0.group_size.number == Double(parts[3])
      }
      let entry = try #require(match, "\(key)")
      #expect(entry.count.number == row[0].number && entry.bytes.number == row[2].number)
      #expect(entry.output_bytes.number == row[3].number)
      try near(entry.microseconds, row[1], key)
    }
    let counted = found.communication.by_kind.list.reduce(0) { $0 + ($1.count.number ?? 0) }
    #expect(counted == expected.comm_kernels.number)
  }

  @Test func `an overlapped pair on H800 hides all but four milliseconds of its exchanges`() throws {
    let found = try summary("kineto/deepseek-h800-ep64/train.json.gz")
    #expect(found.kernels.count.number == 963 && found.communication.count.number == 32)
    #expect(found.communication.microseconds.number == 113_030)
    #expect(found.communication.exposed_microseconds.number == 4162)
    #expect(abs((found.communication.overlap_percent.number ?? 0) - 96.318) < 0.0006)
    let notify = found.communication.by_kind.list.filter { $0.kind.text == "notify" }
    #expect(notify.reduce(0) { $0 + ($1.microseconds.number ?? 0) } == 32578)
    // Nothing in the file says how much was moved.
    #expect(found.communication.by_kind.list.allSatisfy { $0.bytes.value is NSNull })
  }

  @Test(arguments: chakra) func `a Chakra trace's nodes, collectives and edges are counted`(name: String)
    throws
  {
    let expected = try #require(expected).chakra_et[name]
    let found = try summary(try #require(expected.path.text))
    #expect(found.nodes.count.number == expected.nodes.number)
    for type in expected.types.keys {
      #expect(found.nodes.by_type[type].number == expected.types[type].number, "\(name) \(type)")
    }
    for kind in expected.coll.keys {
      let entry = found.collectives.list.first { $0.kind.text == kind }
      let row = expected.coll[kind].list
      #expect(entry?.count.number == row[0].number, "\(name) \(kind)")
      #expect((entry?.bytes.number ?? 0) == row[1].number, "\(name) \(kind)")
    }
    #expect(found.dependencies.data.number == expected.data_deps.number)
    #expect(found.dependencies.control.number == expected.ctrl_deps.number)
    #expect(found.dependencies.dangling.number == expected.dangling.number)
  }
}
