import Documents
import Foundation
import Models

/// Expert choices of real models, as files record them: counts of each expert, or the choices token by token.
public struct RecordedRouting: Hashable, Sendable {
  /// One layer with a mixture.
  public struct Layer: Hashable, Sendable {
    /// The layer's number in the recorded model.
    public var number: Int
    /// Choices of each expert: `[experts]`.
    public var counts: [Int]
    /// The choices themselves, `[tokens, topK]`; empty where only counts were recorded.
    public var choices: [Int32]
  }

  /// Ascending by number.
  public let layers: [Layer]
  public let experts: Int
  /// The file or folder, as the user named it.
  public let path: String

  /// How often each expert was chosen, layer by layer, for a seeded draw with the same popularity.
  public var popularity: ExpertPopularity { .recorded(layers.map { $0.counts.map(Double.init) }) }

  /// The same for a model, which has to have as many experts.
  ///
  /// Layers are taken in their order, from the start again where the model has more.
  /// - Throws: A ``Diagnostic`` where the model has other experts, or none.
  public func popularity(for model: Model) throws -> ExpertPopularity {
    guard model.mixture?.routedExperts == experts else {
      throw Diagnostic(
        .data, "the recorded routing is of other experts than the model's", file: path,
        found: "\(experts) experts a layer",
        allowed: model.mixture.map { "\($0.routedExperts), as \(model.name) has" } ?? "a model with experts",
        hint: "take a recording of a model with as many experts, or a drawn popularity")
    }
    return popularity
  }

  /// Reads a recording: a table of counts (`.csv`), or a folder with the choices of each layer.
  ///
  /// A table has the header `layer,expert,count` and a line for each expert of each layer. A folder holds files named
  /// `expert_weights_<layer>.txt`, packed by gzip or not; a line of them holds a sequence: `topK` experts for each
  /// token, separated by tabs, then two tabs and as many weights.
  /// Source of the latter: github.com/deepseek-ai/ESFT, `scripts/expert/get_expert_scores.py`.
  /// - Parameters:
  ///   - experts: Routed experts of the recorded model's layers; counted in a table where it is nil.
  ///   - topK: Experts that each token chose; needed for a folder alone.
  /// - Throws: A ``Diagnostic`` that names file and line.
  public init(at path: String, experts: Int? = nil, topK: Int? = nil) throws {
    self.path = path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw Diagnostic(.unavailableFile, "the file does not exist", file: path)
    }
    if isFolder.boolValue {
      guard let experts, let topK, experts > 0, topK > 0 else {
        throw Diagnostic(
          .usage, "recorded choices need the number of experts and of choices a token", file: path,
          hint: "name the model that they were recorded with")
      }
      self.experts = experts
      layers = try Self.choices(in: path, experts: experts, topK: topK)
    } else {
      layers = try Self.counts(at: path, experts: experts)
      self.experts = layers[0].counts.count
    }
  }

  // MARK: Counts

  private static func counts(at path: String, experts: Int?) throws -> [Layer] {
    let lines = try lines(of: path)
    guard lines.first == "layer,expert,count" else {
      throw Diagnostic(
        .data, "the table has another header", file: path, path: "line 1",
        found: lines.first.map { String($0.prefix(80)) }, allowed: "layer,expert,count")
    }
    var table: [Int: [Int: Int]] = [:]
    for (index, line) in lines.enumerated().dropFirst() where !line.isEmpty {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
      guard fields.count == 3, let layer = fields[0], let expert = fields[1], let count = fields[2],
        layer >= 0, expert >= 0, count >= 0
      else {
        throw Diagnostic(
          .data, "the line is not a count", file: path, path: "line \(index + 1)",
          found: String(line.prefix(80)), allowed: "three whole numbers, zero or more: layer,expert,count")
      }
      guard table[layer, default: [:]].updateValue(count, forKey: expert) == nil else {
        throw Diagnostic(
          .data, "an expert is counted twice", file: path, path: "line \(index + 1)",
          found: "layer \(layer), expert \(expert)", allowed: "each expert of a layer once")
      }
    }
    let count = experts ?? table.values.map(\.count).max() ?? 0
    guard count > 0 else { throw Diagnostic(.data, "the table is empty", file: path, found: "no counts") }
    return try table.keys.sorted().map { layer in
      let entries = table[layer] ?? [:]
      let counts = (0..<count).compactMap { entries[$0] }
      guard counts.count == count, entries.count == count else {
        throw Diagnostic(
          .data, "a layer does not count every expert", file: path, path: "layer \(layer)",
          found: "\(entries.count) experts, the last of them \(entries.keys.max() ?? 0)",
          allowed: "experts 0 to \(count - 1), each once")
      }
      return Layer(number: layer, counts: counts, choices: [])
    }
  }

  // MARK: Choices

  private static func choices(in folder: String, experts: Int, topK: Int) throws -> [Layer] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let layers = try names.sorted().compactMap { name -> Layer? in
      guard let (match, number, _) = name.wholeMatch(of: /expert_weights_(\d+)\.txt(\.gz)?/)?.output else {
        return nil
      }
      guard let layer = Int(number) else {
        throw Diagnostic(
          .data, "the file's name has no layer number", file: folder, path: String(match),
          found: String(number))
      }
      let choices = try choices(at: "\(folder)/\(name)", experts: experts, topK: topK)
      var counts = Array(repeating: 0, count: experts)
      for choice in choices { counts[Int(choice)] += 1 }
      return Layer(number: layer, counts: counts, choices: choices)
    }.sorted { $0.number < $1.number }
    guard !layers.isEmpty else {
      throw Diagnostic(
        .data, "the folder holds no recorded choices", file: folder, found: "\(names.count) other files",
        allowed: "expert_weights_<layer>.txt or .txt.gz")
    }
    for (layer, next) in zip(layers, layers.dropFirst()) where layer.number == next.number {
      throw Diagnostic(
        .data, "a layer was recorded twice", file: folder, path: "layer \(layer.number)", found: "two files",
        allowed: "one file a layer, packed or not")
    }
    return layers
  }

  private static func choices(at path: String, experts: Int, topK: Int) throws -> [Int32] {
    var choices: [Int32] = []
    for (index, line) in try lines(of: path).enumerated() {
      if line.isEmpty { continue }
      func refused(_ problem: String, found: String, allowed: String) -> Diagnostic {
        Diagnostic(.data, problem, file: path, path: "line \(index + 1)", found: found, allowed: allowed)
      }
      // The first empty field stands between experts and weights.
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
      let count = fields.firstIndex(where: \.isEmpty) ?? fields.count
      let weights = fields.dropFirst(count + 1)
      guard count > 0, count % topK == 0, weights.count == count else {
        throw refused(
          "the line does not hold whole tokens", found: "\(count) experts and \(weights.count) weights",
          allowed: "\(topK) experts for each token, two tabs, and as many weights")
      }
      for token in stride(from: 0, to: count, by: topK) {
        let start = choices.count
        for field in fields[token..<token + topK] {
          guard let expert = Int32(field), expert >= 0, expert < experts else {
            throw refused(
              "an expert is not one of the model's", found: String(field.prefix(40)),
              allowed: "0 to \(experts - 1)")
          }
          guard !choices[start...].contains(expert) else {
            throw refused(
              "a token chooses an expert twice", found: "\(expert)", allowed: "\(topK) different experts")
          }
          choices.append(expert)
        }
      }
      for weight in weights where Double(weight).map({ !$0.isFinite }) ?? true {
        throw refused("a weight is not a number", found: String(weight.prefix(40)), allowed: "a number")
      }
    }
    guard !choices.isEmpty else {
      throw Diagnostic(.data, "the file is empty", file: path, found: "no tokens")
    }
    return choices
  }

  // MARK: Text

  /// What a file may hold, unpacked; recorded routing is megabytes.
  private static let sizeLimit = 256 << 20

  private static func lines(of path: String) throws -> [Substring] {
    var source = try ByteSource(path: path)
    guard let text = String(validating: try source.rest(limit: sizeLimit), as: UTF8.self) else {
      throw Diagnostic(.data, "the file is not UTF-8 text", file: path)
    }
    // Both kinds of line ends are one character each.
    return text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
  }

}
