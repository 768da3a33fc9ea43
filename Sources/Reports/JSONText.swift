import Documents

/// A value as indented JSON with a line feed at the end; mappings keep their order.
///
/// - Precondition: Every number is finite.
public func json(_ value: Value) -> String {
  var text = ""
  write(value, indent: 0, into: &text)
  return text + "\n"
}

private func write(_ value: Value, indent: Int, into text: inout String) {
  func lines<Item>(_ open: String, _ items: [Item], _ close: String, each: (Item, inout String) -> Void) {
    guard !items.isEmpty else {
      text += open + close
      return
    }
    let inner = String(repeating: "  ", count: indent + 1)
    for (index, item) in items.enumerated() {
      text += (index == 0 ? open : ",") + "\n" + inner
      each(item, &text)
    }
    text += "\n" + String(repeating: "  ", count: indent) + close
  }
  switch value {
  case .null: text += "null"
  case .bool(let flag): text += flag ? "true" : "false"
  case .integer(let number): text += String(number)
  case .number(let number): text += shortest(number)
  case .text(let string): text += quoted(string)
  case .list(let items): lines("[", items, "]") { write($0, indent: indent + 1, into: &$1) }
  case .mapping(let entries):
    lines("{", entries, "}") { entry, text in
      text += quoted(entry.key) + ": "
      write(entry.value, indent: indent + 1, into: &text)
    }
  }
}

/// The shortest decimal that reads back as the same number; whole numbers without a point.
func shortest(_ number: Double) -> String {
  precondition(number.isFinite, "a report holds only finite numbers")
  return number.rounded() == number && abs(number) < 9e15 ? String(Int(number)) : "\(number)"
}

private func quoted(_ string: String) -> String {
  var text = "\""
  for scalar in string.unicodeScalars {
    switch scalar {
    case "\"": text += "\\\""
    case "\\": text += "\\\\"
    case "\n": text += "\\n"
    case "\t": text += "\\t"
    case "\r": text += "\\r"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: text.unicodeScalars.append(scalar)
    }
  }
  return text + "\""
}
