import Documents

/// The estimate as JSON: keys in the report's order, units in the keys, unknown is null.
///
/// - Precondition: Every number is finite.
public func json(_ estimate: Estimate) -> String { json(estimate.fields.value) }

/// The estimate in long form, one value a line: `section,key,value,unit,tag,source`.
///
/// Lists number their entries from zero (`ranks.3.total_bytes`). Quoted as RFC 4180 says, lines end with a
/// line feed.
public func csv(_ estimate: Estimate) -> String {
  var text = "section,key,value,unit,tag,source\n"
  guard case .group(let sections) = estimate.fields else { return text }
  for (section, field) in sections { write(field, section: section, path: "", into: &text) }
  return text
}

private func write(_ field: Field, section: String, path: String, into text: inout String) {
  func extended(_ key: String) -> String { path.isEmpty ? key : path + "." + key }
  switch field {
  case .group(let fields):
    for (key, field) in fields { write(field, section: section, path: extended(key), into: &text) }
  case .list(let fields):
    for (index, field) in fields.enumerated() {
      write(field, section: section, path: extended(String(index)), into: &text)
    }
  case .leaf(let value, let unit, let tag, let source):
    text +=
      [section, path, value.cell, unit, tag?.rawValue ?? "", source].map(csvCell).joined(separator: ",")
      + "\n"
  }
}

/// A cell quoted where it needs to be.
func csvCell(_ text: String) -> String {
  guard text.utf8.contains(where: { [UInt8(ascii: ","), UInt8(ascii: "\""), 10, 13].contains($0) }) else {
    return text
  }
  return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
}

extension Value {
  /// A scalar as a cell holds it; null is empty.
  fileprivate var cell: String {
    switch self {
    case .null: ""
    case .bool(let flag): String(flag)
    case .integer(let number): String(number)
    case .number(let number): shortest(number)
    case .text(let text): text
    case .list, .mapping: preconditionFailure("a leaf holds a scalar")
    }
  }
}
