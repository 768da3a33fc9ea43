import Documents
import Foundation

/// Which experts tokens choose.
public enum ExpertRouting: Hashable, Sendable {
  /// Every expert equally often.
  case balanced
  /// The r-th most popular expert of a layer in proportion to `r^-exponent`.
  case zipf(exponent: Double)
  /// As often as a recording says: a table of counts or a folder of choices.
  case recorded(path: String)

  /// Exponents that are taken; from 2 on a handful of experts gets everything.
  public static let exponents = 0.0...4.0

  /// The form of plans and flags: `balanced`, `zipf:0.5`, `recorded:counts.csv`.
  public var text: String {
    switch self {
    case .balanced: "balanced"
    case .zipf(let exponent): "zipf:\(exponent)"
    case .recorded(let path): "recorded:\(path)"
    }
  }

  /// Reads ``text``'s form.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with the forms that are taken.
  public init(text: String, file: String? = nil, path: String = "routing") throws {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    switch (parts[0], parts.count == 2 ? parts[1] : nil) {
    case ("balanced", nil): self = .balanced
    case ("zipf", let number?):
      guard let exponent = Double(number), Self.exponents.contains(exponent) else {
        throw Diagnostic(
          .data, "this is no exponent of a popularity", file: file, path: path,
          found: "\"\(number.prefix(80))\"", allowed: "0 to 4", hint: "zipf:0.5")
      }
      self = .zipf(exponent: exponent)
    case ("recorded", let recording?) where !recording.isEmpty: self = .recorded(path: recording)
    default:
      throw Diagnostic(
        .data, "there is no such routing", file: file, path: path, found: "\"\(text.prefix(80))\"",
        allowed: "balanced, zipf:EXPONENT, recorded:PATH",
        hint: nearest(to: String(parts[0].prefix(80)), in: ["balanced", "zipf", "recorded"]).map {
          "did you mean \($0)?"
        })
    }
  }

  init(_ node: Node) throws { try self.init(text: try node.text(), file: node.file, path: node.path) }

  /// The same where a recording is named as seen from a file's folder.
  func relative(to file: String) -> ExpertRouting {
    guard case .recorded(let path) = self, !path.hasPrefix("/") else { return self }
    let folder = (file as NSString).deletingLastPathComponent
    return folder.isEmpty ? self : .recorded(path: (folder as NSString).appendingPathComponent(path))
  }
}

/// Which experts each expert-parallel rank holds.
public enum ExpertPlacementName: String, CaseIterable, Codable, Sendable {
  /// Each expert once, in order.
  case contiguous
  /// Busy experts several times, spread by the published load balancer. Source: github.com/deepseek-ai/EPLB.
  case eplb
}
