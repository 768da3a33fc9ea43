import Crypto
import Foundation
import Yams

/// A document as it was read: its content, and the hash that a report's provenance carries.
public struct Document: Sendable {
  public let root: Node
  /// SHA-256 of the file's bytes, in hexadecimal, as `sha256sum` prints it.
  public let hash: String
}

/// The largest document that is read; descriptions are kilobytes, so anything larger is not one.
public let documentSizeLimit = 64 << 20

/// Reads a YAML file, or a JSON file when its name ends in `.json`.
///
/// - Throws: A ``Diagnostic`` with status `unavailableFile` when the file cannot be opened, `data` when it does not
/// parse.
public func readDocument(at path: String) throws -> Document {
  let bytes = try readFile(at: path)
  let root = path.hasSuffix(".json") ? try parseJSON(bytes, file: path) : try parseYAML(bytes, file: path)
  return Document(root: root, hash: sha256(bytes))
}

public func readFile(at path: String) throws -> Data {
  var isDirectory: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
    throw Diagnostic(.unavailableFile, "the file does not exist", file: path)
  }
  if isDirectory.boolValue {
    throw Diagnostic(.unavailableFile, "a file is needed here", file: path, found: "a directory")
  }
  // Read up to the limit and no further: a device has no end.
  guard let handle = FileHandle(forReadingAtPath: path),
    let bytes = try? handle.read(upToCount: documentSizeLimit + 1)
      ?? Data()
  else {
    throw Diagnostic(.unavailableFile, "the file cannot be read", file: path, hint: "look at its permissions")
  }
  if bytes.count > documentSizeLimit {
    throw Diagnostic(
      .data, "the file is too large to be a description", file: path,
      found: "more than \(documentSizeLimit) bytes",
      allowed: "at most \(documentSizeLimit) bytes")
  }
  return bytes
}

public func sha256(_ bytes: Data) -> String {
  SHA256.hash(data: bytes).map { byte in
    let digits = String(byte, radix: 16)
    return digits.count == 1 ? "0" + digits : digits
  }.joined()
}

/// The most values a YAML document may hold; aliases inside aliases could otherwise hold billions in a few
/// lines.
private let yamlValueLimit = 200_000

public func parseYAML(_ bytes: Data, file: String) throws -> Node {
  guard let text = String(data: bytes, encoding: .utf8) else {
    throw Diagnostic(.data, "the file is not UTF-8 text", file: file)
  }
  do {
    guard let node = try Yams.compose(yaml: text) else { return Node(.mapping([]), file: file) }
    var budget = yamlValueLimit
    return Node(try value(of: node, file: file, budget: &budget), file: file)
  } catch let error as YamlError {
    // The parser's own "error:" would read like a second one.
    throw Diagnostic(
      .data, "the file is not YAML", file: file, found: firstLine("\(error)").replacing("error: ", with: ""))
  }
}

public func parseJSON(_ bytes: Data, file: String) throws -> Node {
  do {
    let object = try JSONSerialization.jsonObject(with: bytes, options: [.fragmentsAllowed])
    return Node(value(of: object), file: file)
  } catch let error as NSError {
    let detail = error.userInfo[NSDebugDescriptionErrorKey] as? String ?? error.localizedDescription
    throw Diagnostic(.data, "the file is not JSON", file: file, found: firstLine(detail))
  }
}

private func firstLine(_ text: String) -> String {
  String(text.split(whereSeparator: \.isNewline).first ?? "")
}

private func value(of node: Yams.Node, file: String, depth: Int = 0, budget: inout Int) throws -> Value {
  budget -= 1
  guard budget >= 0 else {
    throw Diagnostic(
      .data, "the file holds too many values", file: file, allowed: "at most \(yamlValueLimit)",
      hint: "aliases count as often as they are used")
  }
  guard depth < 64 else {
    throw Diagnostic(.data, "the file is nested too deeply", file: file, allowed: "64 levels")
  }
  switch node {
  case .mapping(let mapping):
    var entries: [Value.Entry] = []
    var names: Set<String> = []
    for (key, item) in mapping {
      guard let name = key.string else {
        throw Diagnostic(.data, "a key must be text", file: file, found: "a list or a mapping as a key")
      }
      guard names.insert(name).inserted else {
        throw Diagnostic(.data, "a key stands twice", file: file, path: name)
      }
      entries.append(.init(name, try value(of: item, file: file, depth: depth + 1, budget: &budget)))
    }
    return .mapping(entries)
  case .sequence(let sequence):
    return .list(try sequence.map { try value(of: $0, file: file, depth: depth + 1, budget: &budget) })
  case .scalar(let scalar):
    // A quoted scalar is text whatever it looks like.
    if scalar.style == .singleQuoted || scalar.style == .doubleQuoted { return .text(scalar.string) }
    if node.null != nil { return .null }
    if let flag = node.bool { return .bool(flag) }
    if let whole = node.int { return .integer(whole) }
    if let double = node.float { return .number(double) }
    return .text(scalar.string)
  case .alias:
    throw Diagnostic(.data, "aliases are not read", file: file, hint: "write the value out")
  }
}

private func value(of object: Any) -> Value {
  switch object {
  case let mapping as [String: Any]:
    // Foundation gives no order; sorted keys make one that does not depend on hashing.
    return .mapping(mapping.sorted { $0.key < $1.key }.map { .init($0.key, value(of: $0.value)) })
  case let list as [Any]: return .list(list.map(value(of:)))
  case let text as String: return .text(text)
  case let number as NSNumber:
    // JSON true arrives as a number that remembers being a Boolean.
    if isBoolean(number) { return .bool(number.boolValue) }
    if let whole = Int(exactly: number.doubleValue), "\(number)".allSatisfy({ $0.isNumber || $0 == "-" }) {
      return .integer(number.intValue == whole ? whole : number.intValue)
    }
    return .number(number.doubleValue)
  default: return .null
  }
}

private func isBoolean(_ number: NSNumber) -> Bool {
  String(cString: number.objCType) == "c" || number === (true as NSNumber) || number === (false as NSNumber)
}
