import Documents
import Foundation
import Units

/// A training run as it was published: how many tokens, on what, and what it is said to have cost.
public struct TrainingRun: Hashable, Sendable {
  public let name: String
  public let title: String
  /// Name of the shipped model; nil where none is shipped.
  public let model: String?
  public let cluster: String?
  public let tokens: Sourced<Tokens>
  /// The rent its authors reckoned with.
  public let price: Sourced<DollarsPerGPUHour>?
  public let published: PublishedTotals
  public let note: String?
}

/// What was printed about a whole run, to stand beside what is computed.
public struct PublishedTotals: Hashable, Sendable {
  public let days: Sourced<Days>?
  public let gpuHours: Sourced<GPUHours>?
  public let gpuHoursPerTrillionTokens: Sourced<GPUHours>?
  public let dollars: Sourced<Dollars>?
}

/// The runs that come with the program, in the file's order.
public func shippedRuns() throws -> [TrainingRun] {
  let root = try shippedDocument("runs")
  try root.allowOnly(["runs"])
  return try root.required("runs").list().map(TrainingRun.init(node:))
}

/// - Throws: A ``Documents/Diagnostic`` that lists the names there are.
public func shippedRun(named name: String) throws -> TrainingRun {
  let runs = try shippedRuns()
  if let run = runs.first(where: { $0.name == name }) { return run }
  let names = runs.map(\.name)
  throw Diagnostic(
    .data, "unknown training run", found: name, allowed: names.joined(separator: ", "),
    hint: nearest(to: name, in: names).map { "did you mean \($0)?" })
}

extension TrainingRun {
  init(node: Node) throws {
    try node.allowOnly(["name", "title", "model", "cluster", "tokens", "price", "published", "note"])
    name = try node.required("name").text()
    title = try node.required("title").text()
    model = try node.optional("model")?.text()
    cluster = try node.optional("cluster")?.text()
    tokens = try node.required("tokens").sourced(Tokens.self)
    price = try node.optional("price")?.sourced(DollarsPerGPUHour.self)
    published = try PublishedTotals(node: node.required("published"))
    note = try node.optional("note")?.text()
  }
}

extension PublishedTotals {
  init(node: Node) throws {
    try node.allowOnly(["days", "gpu_hours", "gpu_hours_per_trillion_tokens", "dollars"])
    days = try node.optional("days")?.sourced(Days.self)
    gpuHours = try node.optional("gpu_hours")?.sourced(GPUHours.self)
    gpuHoursPerTrillionTokens = try node.optional("gpu_hours_per_trillion_tokens")?.sourced(GPUHours.self)
    dollars = try node.optional("dollars")?.sourced(Dollars.self)
  }
}

/// A data file of this module.
func shippedDocument(_ name: String) throws -> Node {
  guard let path = Bundle.module.path(forResource: name, ofType: "yaml", inDirectory: "Shipped") else {
    throw Diagnostic(
      .internal, "a file of the program is missing", file: "\(name).yaml", hint: "install it again")
  }
  let node = try readDocument(at: path).root
  // Errors name the file, not where it was installed.
  return Node(node.value, file: "\(name).yaml")
}
