import Documents
import Foundation
import Units

/// A cluster with the identity of what it was read from.
public struct ResolvedCluster: Sendable {
  public var cluster: Cluster
  /// SHA-256 of the cluster's file.
  public var hash: String
  /// The file as the user named it, or `shipped`.
  public var origin: String
  /// Name and SHA-256 of every file that was read: the cluster's, then the GPU's where that is a separate
  /// one.
  public var inputs: [Input]

  /// One file that was read.
  public struct Input: Hashable, Sendable {
    public var name: String
    public var hash: String
  }
}

/// The folder of shipped clusters.
var topologiesFolder: URL? { Bundle.module.resourceURL?.appendingPathComponent("Topologies") }

private func shippedNames(in folder: URL?) -> [String] {
  let files = folder.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0.path) } ?? []
  return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
}

/// Names of the clusters under `Topologies`, sorted.
public var shippedClusterNames: [String] { shippedNames(in: topologiesFolder) }

/// Names of the GPUs under `Topologies/gpus`, sorted.
public var shippedGPUNames: [String] { shippedNames(in: topologiesFolder?.appendingPathComponent("gpus")) }

/// A shipped cluster by its name, or the cluster in a file: anything with a slash or an ending is a path.
///
/// - Throws: A ``Documents/Diagnostic`` with status `unavailableFile` for an unknown name or a missing file, `data`
/// for bad content.
public func resolveCluster(_ nameOrPath: String) throws -> ResolvedCluster {
  let isPath =
    nameOrPath.contains("/") || nameOrPath.hasSuffix(".yaml") || nameOrPath.hasSuffix(".yml")
    || nameOrPath.hasSuffix(".json")
  if isPath { return try readCluster(at: nameOrPath, origin: nameOrPath) }
  let names = shippedClusterNames
  guard names.contains(nameOrPath), let folder = topologiesFolder else {
    throw Diagnostic(
      .unavailableFile, "there is no cluster of this name", found: nameOrPath,
      allowed: names.joined(separator: ", "),
      hint: nearest(to: nameOrPath, in: names).map { "did you mean \($0)?" }
        ?? "name a file with its ending, .yaml")
  }
  return try readCluster(at: folder.appendingPathComponent(nameOrPath + ".yaml").path, origin: "shipped")
}

/// Reads a cluster file; its GPU is written in it, or named and found in `gpus/` beside it or among the
/// shipped ones.
///
/// A cluster or GPU file that `extends` another says only what differs; lists are replaced whole.
public func readCluster(at path: String, origin: String? = nil) throws -> ResolvedCluster {
  let document = try readDocument(at: path)
  var inputs = [ResolvedCluster.Input(name: (path as NSString).lastPathComponent, hash: document.hash)]
  let root = try extended(document.root, folder: "", besides: path, inputs: &inputs)
  let cluster = try Cluster(root) { node in
    let part = try readPart(named: node, folder: "gpus/", besides: path)
    inputs.append(.init(name: "gpus/\(try node.text()).yaml", hash: part.hash))
    return try GPU(extended(part.root, folder: "gpus/", besides: path, inputs: &inputs))
  }
  return ResolvedCluster(cluster: cluster, hash: document.hash, origin: origin ?? path, inputs: inputs)
}

/// A document laid over the one that it extends; that one may not extend a third.
private func extended(
  _ node: Node, folder: String, besides path: String, inputs: inout [ResolvedCluster.Input]
) throws -> Node {
  guard let name = try node.optional("extends") else { return node }
  let base = try readPart(named: name, folder: folder, besides: path)
  inputs.append(.init(name: "\(folder)\(try name.text()).yaml", hash: base.hash))
  if let further = try base.root.optional("extends") {
    throw further.error(
      "an extended file may not extend another", hint: "extend \(try further.text()) itself")
  }
  return node.removing("extends").laid(over: base.root)
}

private func readPart(named node: Node, folder: String, besides path: String) throws -> Document {
  let name = try node.text()
  let known = folder.isEmpty ? shippedClusterNames : shippedGPUNames
  // A name, never a way out of the folder.
  guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) }),
    !name.hasPrefix(".")
  else {
    throw node.error(
      "a name has letters, digits and hyphens", allowed: known.joined(separator: ", "))
  }
  let beside = URL(fileURLWithPath: path).deletingLastPathComponent()
  for place in [beside, topologiesFolder].compactMap({ $0 }) {
    let file = place.appendingPathComponent("\(folder)\(name).yaml").path
    if FileManager.default.fileExists(atPath: file) { return try readDocument(at: file) }
  }
  throw node.error(
    "there is no \(folder.isEmpty ? "cluster" : "GPU") of this name", allowed: known.joined(separator: ", "),
    hint: nearest(to: name, in: known).map { "did you mean \($0)?" })
}

extension Cluster {
  /// - Parameter gpu: Reads the GPU that a name stands for.
  init(_ node: Node, gpu named: (Node) throws -> GPU) throws {
    if try node.optional("processor") != nil {
      try self.init(machine: node)
      return
    }
    try node.allowOnly([
      "name", "description", "gpu", "nodes", "gpus_per_node", "nvlink", "nic", "fabric", "collectives",
      "all_to_all",
      "rent", "power", "pcie", "failures",
    ])
    let gpuNode = try node.required("gpu")
    let gpu: GPU
    if case .text = gpuNode.value { gpu = try named(gpuNode) } else { gpu = try GPU(gpuNode) }
    self.init(
      name: try node.required("name").text(), description: try node.optional("description")?.text() ?? "",
      gpu: gpu,
      nodes: try node.required("nodes").sourcedCount(in: 1...1_000_000),
      gpusPerNode: try node.required("gpus_per_node").sourcedCount(in: 1...1024),
      nvlink: try Interconnect(node.required("nvlink")), nic: try NetworkInterface(node.required("nic")),
      fabric: try Fabric(node.required("fabric")),
      collectives: try CollectiveCalibration(node.required("collectives")),
      allToAll: try node.optional("all_to_all").map(AllToAllCalibration.init),
      rent: try node.optional("rent")?.sourced(DollarsPerGPUHour.self),
      power: try node.optional("power").map(PowerModel.init),
      pcie: try node.optional("pcie").map(PeripheralBus.init),
      failures: try node.optional("failures")?.list().map(Failure.init) ?? [])
    try check(node)
  }

  /// What no single key can be blamed for alone.
  private func check(_ node: Node) throws {
    guard nvlink.achieved.value <= nvlink.peak.value else {
      throw try node.required("nvlink").required("achieved").error("more is achieved than the peak")
    }
    guard nic.achieved.value <= nic.peak.value else {
      throw try node.required("nic").required("achieved").error("more is achieved than the peak")
    }
    guard nic.perNode.value % fabric.planes.value == 0 else {
      throw try node.required("fabric").required("planes").error(
        "the cards of a node do not divide among the planes", found: "\(fabric.planes.value) planes",
        allowed: "a divisor of \(nic.perNode.value)")
    }
    let most = fabric.maximumNodes(nicsPerNode: nic.perNode.value)
    guard nodes.value <= most else {
      throw try node.required("nodes").error(
        "the fabric cannot connect so many nodes", found: "\(nodes.value)", allowed: "1 to \(most)",
        hint: "look at fabric.levels, fabric.planes and fabric.switch_ports")
    }
  }
}

extension Interconnect {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["peak", "achieved", "latency"])
    self.init(
      peak: try node.required("peak").sourced(BytesPerSecond.self),
      achieved: try node.required("achieved").sourced(BytesPerSecond.self),
      latency: try node.required("latency").sourcedLatency())
  }
}

extension NetworkInterface {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["per_node", "peak", "achieved"])
    self.init(
      perNode: try node.required("per_node").sourcedCount(in: 1...1024),
      peak: try node.required("peak").sourced(BytesPerSecond.self),
      achieved: try node.required("achieved").sourced(BytesPerSecond.self))
  }
}

extension CollectiveCalibration {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly([
      "nvlink_bandwidth", "nvlink_all_reduce_bandwidth", "nic_bandwidth", "base_latency",
      "nvlink_step_latency",
      "nic_step_latency",
    ])
    self.init(
      nvlinkBandwidth: try node.required("nvlink_bandwidth").sourced(BytesPerSecond.self),
      nvlinkAllReduceBandwidth: try node.optional("nvlink_all_reduce_bandwidth")?.sourced(
        BytesPerSecond.self),
      nicBandwidth: try node.required("nic_bandwidth").sourced(BytesPerSecond.self),
      baseLatency: try node.required("base_latency").sourcedLatency(),
      nvlinkStepLatency: try node.required("nvlink_step_latency").sourcedLatency(),
      nicStepLatency: try node.required("nic_step_latency").sourcedLatency())
  }
}

extension AllToAllCalibration {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly([
      "dispatch", "cached_dispatch", "combine", "notify_latency", "cached_notify_latency", "table",
      "low_latency",
    ])
    self.init(
      dispatch: try AllToAllDirection(node.required("dispatch")),
      cachedDispatch: try AllToAllDirection(node.required("cached_dispatch")),
      combine: try AllToAllDirection(node.required("combine")),
      notifyLatency: try node.required("notify_latency").sourcedLatency(),
      cachedNotifyLatency: try node.required("cached_notify_latency").sourcedLatency(),
      table: try node.required("table").table { row in
        try row.allowOnly(["expert_parallel", "mean_nodes", "mean_ranks", "dispatch", "combine"])
        return AllToAllMeasurement(
          expertParallel: try row.required("expert_parallel").integer(in: 1...1_000_000),
          meanNodes: try row.required("mean_nodes").positive(),
          meanRanks: try row.required("mean_ranks").positive(),
          dispatch: try row.required("dispatch").quantity(BytesPerSecond.self),
          combine: try row.required("combine").quantity(BytesPerSecond.self))
      },
      lowLatency: try node.optional("low_latency").map(LowLatencyCalibration.init))
  }
}

extension LowLatencyCalibration {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["nic_bandwidth", "table"])
    self.init(
      nicBandwidth: try node.required("nic_bandwidth").sourced(BytesPerSecond.self),
      table: try node.required("table").table { row in
        try row.allowOnly(["expert_parallel", "dispatch", "combine"])
        return LowLatencyMeasurement(
          expertParallel: try row.required("expert_parallel").integer(in: 1...1_000_000),
          dispatch: try row.required("dispatch").quantity(Span.self),
          combine: try row.required("combine").quantity(Span.self))
      })
  }
}

extension AllToAllDirection {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly([
      "nic_bandwidth", "rdma_bandwidth", "nvlink_bandwidth", "intranode_bandwidth", "overlap_slowdown",
    ])
    self.init(
      nicBandwidth: try node.required("nic_bandwidth").sourced(BytesPerSecond.self),
      nvlinkBandwidth: try node.required("nvlink_bandwidth").sourced(BytesPerSecond.self),
      intranodeBandwidth: try node.required("intranode_bandwidth").sourced(BytesPerSecond.self),
      overlapSlowdown: try node.required("overlap_slowdown").sourcedSlowdown(),
      rdmaBandwidth: try node.optional("rdma_bandwidth")?.sourced(BytesPerSecond.self))
  }
}

extension PowerModel {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["server_multiplier", "mean_draw", "usage_effectiveness"])
    self.init(
      serverMultiplier: try node.required("server_multiplier").sourced(Ratio.self),
      meanDraw: try node.required("mean_draw").sourcedShare(),
      usageEffectiveness: try node.required("usage_effectiveness").sourced(Ratio.self))
  }
}
