import Documents
import Foundation
import Models

extension Plan {
  /// The plan as a document that reads back as the same plan; every choice is written, defaults too.
  public var document: Value {
    var parallel: [Value.Entry] = [
      .init("tensor", .integer(tensor)), .init("sequence_parallel", .bool(sequenceParallel)),
      .init("context", .integer(context)), .init("pipeline", .integer(pipeline)),
      .init("virtual_stages", .integer(virtualStages)), .init("expert", .integer(expert)),
      .init("expert_tensor", .integer(expertTensor)),
    ]
    if let data { parallel.append(.init("data", .integer(data))) }
    parallel.append(.init("zero", .integer(zeroStage)))

    var entries: [Value.Entry] = [.init("name", .text(name))]
    if let description { entries.append(.init("description", .text(description))) }
    entries.append(.init("source", .text(source)))
    if !assumed.isEmpty { entries.append(.init("assumed", .list(assumed.map(Value.text)))) }
    if let model { entries.append(.init("model", .text(model))) }
    if let cluster { entries.append(.init("cluster", .text(cluster))) }
    entries += [
      .init("parallel", .mapping(parallel)),
      .init("routing", .text(routing.text)),
      .init("expert_placement", .text(expertPlacement.rawValue)),
      .init("redundant_experts", .integer(redundantExperts)),
      .init(
        "batch",
        .mapping([
          .init("micro", .integer(microBatch)), .init("global", .integer(globalBatch)),
          .init("sequence", .integer(sequence)),
        ])),
      .init("schedule", .text(schedule.rawValue)),
    ]
    if let layout { entries.append(.init("layout", .text(layout.text))) }
    entries += [
      .init("recompute", recompute.document),
      .init(
        "precision",
        .mapping(
          PlanPrecision.fields.map { .init($0.key, .text(precision[keyPath: $0.property].rawValue)) })),
      .init("optimizer", .text(optimizer.rawValue)),
      .init("communication_sms", .integer(communicationSMs)),
      .init("overlap", overlapDocument),
      .init("all_to_all", .text(allToAll.rawValue)),
      .init(
        "operators",
        .mapping(OperatorOptions.fields.map { .init($0.key, .bool(operators[keyPath: $0.property])) })),
    ]
    return .mapping(entries)
  }

  public var yaml: String { document.yamlLines(indent: 0).joined(separator: "\n") + "\n" }

  public var json: String { document.json(indent: 0) + "\n" }
}

extension Recompute {
  fileprivate var document: Value {
    if case .units(let names) = self { return .list(names.map(Value.text)) }
    return .text(text)
  }
}

extension Value {
  /// Block mappings, one line for a scalar or a list; text stands in JSON's quotes, which YAML reads too.
  fileprivate func yamlLines(indent: Int) -> [String] {
    guard case .mapping(let entries) = self else { return [json(indent: nil)] }
    let margin = String(repeating: "  ", count: indent)
    return entries.flatMap { entry -> [String] in
      if case .mapping = entry.value {
        return ["\(margin)\(entry.key):"] + entry.value.yamlLines(indent: indent + 1)
      }
      return ["\(margin)\(entry.key): \(entry.value.yamlScalar)"]
    }
  }

  private var yamlScalar: String {
    if case .text(let text) = self, text.isPlainWord { return text }
    return json(indent: nil)
  }

  /// JSON, over several lines when indented.
  fileprivate func json(indent: Int?) -> String {
    func enclosed(_ open: String, _ items: [String], _ close: String) -> String {
      guard let indent, !items.isEmpty else { return open + items.joined(separator: ", ") + close }
      let margin = String(repeating: "  ", count: indent)
      return open + "\n" + items.map { margin + "  " + $0 }.joined(separator: ",\n") + "\n" + margin + close
    }
    switch self {
    case .null: return "null"
    case .bool(let flag): return "\(flag)"
    case .integer(let number): return "\(number)"
    case .number(let number): return "\(number)"
    case .text(let text): return text.quoted
    case .list(let items): return enclosed("[", items.map { $0.json(indent: nil) }, "]")
    case .mapping(let entries):
      let inner = indent.map { $0 + 1 }
      return enclosed("{", entries.map { "\($0.key.quoted): \($0.value.json(indent: inner))" }, "}")
    }
  }
}

extension String {
  /// Whether YAML reads the text back as this text without quotes.
  fileprivate var isPlainWord: Bool {
    guard let first = utf8.first, (97...122).contains(first) else { return false }
    let isSafe = utf8.allSatisfy {
      "abcdefghijklmnopqrstuvwxyz0123456789-._".utf8.contains($0)
    }
    return isSafe && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(self)
  }

  fileprivate var quoted: String {
    var text = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _
      where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value == 0x2028
        || scalar.value == 0x2029 || scalar.value == 0xFEFF:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}

extension Plan {
  private var overlapDocument: Value {
    let flags = Overlap.fields.map { Value.Entry($0.key, .bool(overlap[keyPath: $0.property])) }
    return .mapping(flags + [.init("tensor_collectives", .text(overlap.tensorCollectives.rawValue))])
  }
}
