import Documents
import Foundation
import Units

/// The shipped families, in the order reports show them.
public let publishedFamilyNames = [
  "deepseek-v3", "deepseek-v3-pair", "megatron-sc21", "megatron-sc21-table2", "megatron-h100",
  "selective-recompute", "deepep",
]

/// Every shipped family.
///
/// - Throws: A ``Documents/Diagnostic`` when a file is missing or wrong.
public func publishedFamilies() throws -> [PublishedFamily] {
  try publishedFamilyNames.map(publishedFamily(named:))
}

/// One shipped family.
///
/// - Throws: A ``Documents/Diagnostic`` that lists the names there are.
public func publishedFamily(named name: String) throws -> PublishedFamily {
  guard publishedFamilyNames.contains(name) else {
    throw Diagnostic(
      .usage, "unknown family of published results", found: name,
      allowed: publishedFamilyNames.joined(separator: ", "),
      hint: nearest(to: name, in: publishedFamilyNames).map { "did you mean \($0)?" })
  }
  guard let path = Bundle.module.path(forResource: name, ofType: "yaml", inDirectory: "Published") else {
    throw Diagnostic(
      .internal, "a file of the program is missing", file: "\(name).yaml", hint: "install it again")
  }
  // Errors name the file, not where it was installed.
  return try PublishedFamily(Node(try readDocument(at: path).root.value, file: "\(name).yaml"))
}

extension PublishedFamily {
  /// Reads a family's document.
  ///
  /// `cluster`, `model`, `plan` and `metric` at the top hold for every case; a case's own mapping is laid
  /// over the top's, key by key.
  ///
  /// - Throws: A ``Documents/Diagnostic``; unknown keys are refused.
  public init(_ root: Node) throws {
    try root.allowOnly([
      "family", "title", "source", "settings", "assumed", "tolerance", "peak", "cluster", "model", "plan",
      "metric",
      "cases",
    ])
    name = try root.required("family").text()
    title = try root.required("title").text()
    source = try root.required("source").text()
    settings = try root.required("settings").text()
    assumed = try root.optional("assumed")?.list().map { try $0.text() } ?? []
    let tolerance = try root.required("tolerance")
    try tolerance.allowOnly(["mean", "row"])
    meanTolerance = try tolerance.optional("mean")?.quantity(Ratio.self)
    let defaults = CaseDefaults(
      family: name, source: source, tolerance: try tolerance.required("row").quantity(Ratio.self),
      metric: try root.optional("metric")?.oneOf(Metric.self), root: root)
    cases = try root.required("cases").list().map { try PublishedCase($0, defaults: defaults) }
    guard !cases.isEmpty else { throw try root.required("cases").error("a family needs a case") }
    guard Set(cases.map(\.name)).count == cases.count else {
      throw try root.required("cases").error("two cases have the same name")
    }
  }
}

/// What a family says once for all of its cases.
private struct CaseDefaults {
  var family: String
  var source: String
  var tolerance: Ratio
  var metric: Metric?
  var root: Node
}

extension PublishedCase {
  fileprivate init(_ node: Node, defaults: CaseDefaults) throws {
    try node.allowOnly(["case", "gpus", "cluster", "model", "plan", "published"])
    let name = try node.required("case").text()
    self.name = name
    family = defaults.family
    gpus = try node.required("gpus").integer(in: 1...1 << 20)
    cluster = try (node.optional("cluster") ?? defaults.root.required("cluster")).text()
    peak = try defaults.root.optional("peak")?.sourced(FLOPsPerSecond.self)
    let model = try node.overlaid("model", on: defaults.root)
    self.model = try ModelReference(model)
    plan = try PlanReference(
      try node.overlaid("plan", on: defaults.root), model: self.model, title: "\(defaults.family), \(name)",
      source: defaults.source)
    figures = try node.required("published").list().map { try PublishedFigure($0, defaults: defaults) }
    guard !figures.isEmpty else { throw try node.required("published").error("a case needs a figure") }
  }
}

extension PublishedFigure {
  fileprivate init(_ node: Node, defaults: CaseDefaults) throws {
    try node.allowOnly(["metric", "value", "tag", "source", "tolerance", "explanation"])
    guard let metric = try node.optional("metric")?.oneOf(Metric.self) ?? defaults.metric else {
      throw try node.required("metric").error("a figure needs a metric")
    }
    self.metric = metric
    value = try node.required("value").number()
    guard value > 0 else { throw try node.required("value").error("a published figure is positive") }
    tag = try node.optional("tag")?.oneOf(Tag.self) ?? .published
    source = try node.optional("source")?.text() ?? defaults.source
    tolerance = try node.optional("tolerance")?.quantity(Ratio.self) ?? defaults.tolerance
    explanation = try node.optional("explanation")?.text()
  }
}

extension PublishedCase.ModelReference {
  fileprivate init(_ node: Node) throws {
    if case .text(let name) = node.value {
      self = .named(name)
      return
    }
    try node.allowOnly(["hidden", "layers", "heads", "vocabulary", "sequence", "tied_embeddings"])
    func size(_ key: String) throws -> Int { try node.required(key).integer(in: 1...1 << 24) }
    self = .gpt(
      GPTShape(
        hidden: try size("hidden"), layers: try size("layers"), heads: try size("heads"),
        vocabulary: try size("vocabulary"), sequence: try size("sequence"),
        tiedEmbeddings: try node.optional("tied_embeddings")?.bool() ?? true))
  }
}

extension PublishedCase.PlanReference {
  /// A shipped plan's name, or settings completed with the name, source and sequence that every plan states.
  fileprivate init(_ node: Node, model: PublishedCase.ModelReference, title: String, source: String) throws {
    if case .text(let name) = node.value {
      self = .named(name)
      return
    }
    var stated: [Value.Entry] = [.init("name", .text(title)), .init("source", .text(source))]
    if case .gpt(let shape) = model {
      stated.append(.init("batch", .mapping([.init("sequence", .integer(shape.sequence))])))
    }
    self = .document(Node(Value.mapping(stated).overlaid(with: node.value), file: node.file, path: node.path))
  }
}

extension Node {
  /// A key's value here laid over the same key's value elsewhere.
  fileprivate func overlaid(_ key: String, on base: Node) throws -> Node {
    guard let own = try optional(key) else { return try base.required(key) }
    guard let below = try base.optional(key) else { return own }
    return Node(below.value.overlaid(with: own.value), file: own.file, path: own.path)
  }
}

extension Value {
  /// Mappings are merged key by key; anything else is replaced.
  func overlaid(with upper: Value) -> Value {
    guard case .mapping(var entries) = self, case .mapping(let uppers) = upper else { return upper }
    for entry in uppers {
      if let index = entries.firstIndex(where: { $0.key == entry.key }) {
        entries[index].value = entries[index].value.overlaid(with: entry.value)
      } else {
        entries.append(entry)
      }
    }
    return .mapping(entries)
  }
}
