import Documents
import Operators

/// What the backward computes again instead of keeping it from the forward.
public enum Recompute: Hashable, Sendable {
  case none
  /// The attention core only. Source: arXiv 2205.05198, section 5.
  case selective
  /// Whole layers: only a layer's input is kept.
  case full
  /// The named units of ``Operators/Operator/recomputeUnit``.
  case units([String])

  /// The units that operators may belong to.
  public static let knownUnits = ["norm", "mla_up", "swiglu", "gelu", "attention_core"]

  /// Whether an operator runs its forward again before its input gradient, and so keeps nothing itself.
  public func recomputes(_ operation: Operator) -> Bool {
    switch self {
    case .none: false
    case .selective: operation.recomputeUnit == "attention_core"
    case .full: true
    case .units(let names): operation.recomputeUnit.map(names.contains) ?? false
    }
  }

  /// The form of plans and flags: `none`, `selective`, `full`, or units with commas between them.
  public var text: String {
    switch self {
    case .none: "none"
    case .selective: "selective"
    case .full: "full"
    case .units(let names): names.joined(separator: ",")
    }
  }

  /// Reads ``text``'s form.
  ///
  /// - Throws: A ``Documents/Diagnostic`` that names the unknown unit.
  public init(text: String, file: String? = nil, path: String = "recompute") throws {
    switch text {
    case "none": self = .none
    case "selective": self = .selective
    case "full": self = .full
    default:
      let names = text.split(separator: ",", omittingEmptySubsequences: false).map {
        $0.drop { $0 == " " }.description
      }
      self = try Recompute(units: names, file: file, path: path)
    }
  }

  init(units names: [String], file: String?, path: String) throws {
    for (index, name) in names.enumerated() {
      guard Recompute.knownUnits.contains(name) else {
        let choices = ["none", "selective", "full"] + Recompute.knownUnits
        throw Diagnostic(
          .data, "unknown recomputation unit", file: file, path: path, found: "\"\(name.prefix(80))\"",
          allowed: "none, selective, full, or some of " + Recompute.knownUnits.joined(separator: ", "),
          hint: nearest(to: String(name.prefix(80)), in: choices).map { "did you mean \($0)?" })
      }
      guard !names[..<index].contains(name) else {
        throw Diagnostic(.data, "a recomputation unit stands twice", file: file, path: path, found: name)
      }
    }
    self = names.isEmpty ? .none : .units(names)
  }
}
