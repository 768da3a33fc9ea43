import Documents
import Foundation

/// A model with what a report's provenance says of it.
public struct ResolvedModel: Hashable, Sendable {
  public var model: Model
  /// SHA-256 of the file.
  public var hash: String
  /// The file as the user named it, or `shipped:` and the name.
  public var origin: String
}

private struct ShippedEntry {
  var name: String
  var file: String
  var source: String
}

private func shippedPath(_ file: String) -> String {
  (Bundle.module.resourcePath ?? Bundle.module.bundlePath) + "/Shipped/" + file
}

private func shippedIndex() throws -> [ShippedEntry] {
  try readDocument(at: shippedPath("index.yaml")).root.entries().map { name, node in
    try node.allowOnly(["file", "source"])
    return ShippedEntry(
      name: name, file: try node.required("file").text(), source: try node.required("source").text())
  }
}

/// Models that come with the program, in the order of its index; none where its resources are missing.
public var shippedModelNames: [String] { (try? shippedIndex().map(\.name)) ?? [] }

/// - Throws: A ``Diagnostic`` with status `unavailableFile` when no such model is shipped.
public func shippedModel(named name: String) throws -> (model: Model, hash: String) {
  let index = try shippedIndex()
  guard let entry = index.first(where: { $0.name == name }) else {
    let names = index.map(\.name)
    throw Diagnostic(
      .unavailableFile, "no model of this name is shipped", found: name,
      allowed: names.joined(separator: ", "),
      hint: nearest(to: name, in: names).map { "did you mean \($0)?" }
        ?? "give the path of a Hugging Face config.json")
  }
  let document = try readDocument(at: shippedPath(entry.file))
  return (
    try Model(configuration: document.root, name: entry.name, source: entry.source), document.hash
  )
}

/// Finds a model by shipped name, by the path of a `config.json`, or by the folder that holds one.
///
/// - Throws: A ``Diagnostic``; a word that is neither a shipped name nor an existing path is answered with
///   the names.
public func resolveModel(_ nameOrPath: String) throws -> ResolvedModel {
  if !shippedModelNames.contains(nameOrPath) {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: nameOrPath, isDirectory: &isFolder)
    if exists || nameOrPath.contains("/") || nameOrPath.hasSuffix(".json") {
      let path = isFolder.boolValue ? nameOrPath + "/config.json" : nameOrPath
      let (model, hash) = try readModel(at: path)
      return ResolvedModel(model: model, hash: hash, origin: path)
    }
  }
  let (model, hash) = try shippedModel(named: nameOrPath)
  return ResolvedModel(model: model, hash: hash, origin: "shipped:\(nameOrPath)")
}

extension Model {
  /// A dense GPT as Megatron's papers describe one: biases, GELU of four times the width, learned positions,
  /// tied embeddings.
  ///
  /// - Precondition: `heads` divides `hidden`.
  public static func gpt(
    name: String = "gpt", source: String = "given as numbers", hidden: Int, layers: Int, heads: Int,
    vocabulary: Int, sequence: Int
  ) -> Model {
    precondition(hidden % heads == 0, "\(heads) heads do not divide a hidden size of \(hidden)")
    return Model(
      name: name, source: source, family: .gpt, hidden: hidden, layers: layers, vocabulary: vocabulary,
      maximumSequence: sequence, tiedEmbeddings: true,
      attention: .grouped(
        GroupedAttention(
          queryHeads: heads, keyValueHeads: heads, headDimension: hidden / heads, hasProjectionBias: true,
          hasOutputBias: true)),
      feedForward: FeedForward(intermediate: 4 * hidden, isGated: false, hasBias: true))
  }
}
