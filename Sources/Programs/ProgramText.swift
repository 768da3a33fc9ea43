import Operators

/// The written form of a program: one thing a line, its kind first, then names in quotes, then `key=value`.
///
///     program 1 "tiny"
///     ranks 4 codes 0x2 1x2
///     communicator "pipeline" ranks=4
///       group 0 2
///       group 1 3
///     exchange tokens=4096.0 nodes=3.97 remote_nodes=3.47 ranks=7.49 forwarded=6.6 bytes=7392.0
///     work forward "attention forward"
///       product dense rows=4096.0 columns=1024 depth=512.0 count=1 format=bf16
///     code "pipeline rank 0"
///       slot forward forward=0.0.3
///         0 compute compute work=0 layer=0 memory=1024
///         1 send send_activation_up communicator=0 peer=1 tag=12 bytes=4096 after=0
///
/// An all-to-all whose parts differ names `splits sent 5 3 received 5 7` by its number, as `work=0`.
/// `codes 0x2 1x2` binds ranks in order: two run code 0, the next two code 1. Ranks in a row are `0..7`,
/// every eighth is `0..56/8`. A chunk is `stage.part.micro-batch`, and `.batch` behind it where that differs
/// from the micro-batch. Tasks are numbered within their code; what a task does not mention has its default.
/// A table of traffic stands last: `traffic members=2`, and under it
/// `rows layer=0 batch=3 group=0 counts 5 7 6 4`, and behind them `pairs` of as many members. A work whose
/// kernels stand for some pairs says `rows=4096.0 idle=7`: work 7 is the same for none. Lines that are empty
/// or start with `#` say nothing.
extension Program {
  static let textVersion = 1

  /// The program's written form, from which ``init(text:file:)`` makes an equal program.
  ///
  /// - Complexity: O(tasks of all codes + edges + ranks × communicators).
  public var text: String {
    var lines = ["program \(Self.textVersion) \(quoted(name))"]
    lines.append((["ranks \(ranks) codes"] + codeRuns).joined(separator: " "))
    for communicator in communicators {
      lines.append("communicator \(quoted(communicator.name)) ranks=\(communicator.groupOfRank.count)")
      for group in 0..<communicator.groupCount {
        let members = RankLists.text(of: communicator.group(group))
        lines.append(members.isEmpty ? "  group" : "  group \(members)")
      }
    }
    lines += exchanges.map(\.textLine)
    for splits in splits {
      lines.append(
        "splits sent" + splits.sent.map { " \($0)" }.joined() + " received"
          + splits.received.map { " \($0)" }.joined())
    }
    for work in works {
      let section = work.section == .unspecified ? "" : " section=\(work.section.rawValue)"
      let rows = work.idle < 0 ? "" : " rows=\(work.rows) idle=\(work.idle)"
      lines.append("work \(work.pass.name) \(quoted(work.name))" + section + rows)
      lines += work.kernels.map { "  " + $0.textLine }
    }
    for code in codes { code.appendText(to: &lines) }
    if let traffic {
      lines.append(
        "traffic members=\(traffic.members)" + (traffic.membersPerNode.map { " node_members=\($0)" } ?? ""))
      for key in traffic.keys {
        let rows = (traffic.rows(at: key) ?? []).map { " \($0)" }.joined()
        lines.append("  rows layer=\(key.layer) batch=\(key.batch) group=\(key.group) counts" + rows)
        if traffic.nodes > 0 {
          let nodeRows = (traffic.nodeRows(at: key) ?? []).map { " \($0)" }.joined()
          lines[lines.count - 1] += " nodes" + nodeRows
        }
        if let pairs = traffic.pairs(at: key) {
          lines.append(
            "  pairs layer=\(key.layer) batch=\(key.batch) group=\(key.group) counts"
              + pairs.map { " \($0)" }.joined())
        }
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private var codeRuns: [String] {
    var runs: [String] = []
    var start = 0
    while start < ranks {
      let end = codeOfRank[start...].firstIndex { $0 != codeOfRank[start] } ?? ranks
      runs.append("\(codeOfRank[start])x\(end - start)")
      start = end
    }
    return runs
  }
}

/// A name between quotes; quotes, backslashes and line ends within are escaped.
func quoted(_ name: String) -> String {
  var text = "\""
  for scalar in name.unicodeScalars {
    switch scalar {
    case "\"": text += "\\\""
    case "\\": text += "\\\\"
    case "\n": text += "\\n"
    case "\r": text += "\\r"
    default: text.unicodeScalars.append(scalar)
    }
  }
  return text + "\""
}

extension Exchange {
  fileprivate var textLine: String {
    "exchange tokens=\(tokens) nodes=\(nodesPerToken) remote_nodes=\(remoteNodesPerToken) ranks=\(ranksPerToken)"
      + " forwarded=\(forwardedPerToken) bytes=\(bytesPerToken)"
      + (metadataBytesPerToken == 0 ? "" : " metadata=\(metadataBytesPerToken)")
      + (fullestRank == 1 ? "" : " fullest_rank=\(fullestRank)")
      + (fullestNode == 1 ? "" : " fullest_node=\(fullestNode)")
      + (membersPerNode.map { " node_members=\($0)" } ?? "")
  }
}

extension Kernel {
  fileprivate var textLine: String {
    switch self {
    case .matrixProduct(let product):
      "product \(product.kind.rawValue) rows=\(product.rows) columns=\(product.columns) depth=\(product.depth)"
        + " count=\(product.count) format=\(product.format.rawValue)"
    case .fusedAttention(let attention):
      "attention \(attention.isBackward ? "backward" : "forward") \(attention.isCausal ? "causal" : "full")"
        + " sequences=\(attention.sequences) queries=\(attention.queries) keys=\(attention.keys)"
        + " query_heads=\(attention.queryHeads) key_value_heads=\(attention.keyValueHeads)"
        + " query_key=\(attention.queryKeyDimension) value=\(attention.valueDimension)"
        + " format=\(attention.format.rawValue)"
    case .memoryPass(let pass):
      "pass \(pass.kind.rawValue) read=\(pass.bytesRead) written=\(pass.bytesWritten) launches=\(pass.launches)"
    }
  }
}

extension Code {
  fileprivate func appendText(to lines: inout [String]) {
    lines.append("code \(quoted(name))")
    var task = 0
    for index in slots.indices {
      lines.append("  " + slots[index].textLine)
      while task < count && slot[task] == Int32(index) {
        lines.append("    " + textLine(ofTask: task))
        task += 1
      }
    }
  }

  private func textLine(ofTask task: Int) -> String {
    var line = "\(task) \(kind[task].name) \(lane[task].name)"
    func add(_ key: String, _ value: Int64, default standard: Int64) {
      if value != standard { line += " \(key)=\(value)" }
    }
    add("work", Int64(work[task]), default: -1)
    add("communicator", Int64(communicator[task]), default: -1)
    add("peer", Int64(peer[task]), default: -1)
    add("tag", Int64(tag[task]), default: 0)
    add("bytes", bytes[task], default: 0)
    add("layer", Int64(layer[task]), default: -1)
    add("segment", Int64(segment[task]), default: -1)
    if pass[task] != .none { line += " pass=\(pass[task].name)" }
    if purpose[task] != .unspecified { line += " purpose=\(purpose[task].name)" }
    add("element", Int64(elementBytes[task]), default: 1)
    add("memory", memory[task], default: 0)
    let after = dependencies(of: task)
    if !after.isEmpty { line += " after=" + after.map(String.init).joined(separator: ",") }
    return line
  }
}

extension TaskSlot {
  fileprivate var textLine: String {
    func chunk(_ key: String, _ chunk: StageChunk?) -> String {
      chunk.map {
        " \(key)=\($0.stage).\($0.part).\($0.microBatch)" + ($0.batch == $0.microBatch ? "" : ".\($0.batch)")
      } ?? ""
    }
    return "slot \(phase.name)" + chunk("forward", forward) + chunk("backward", backward)
  }
}
