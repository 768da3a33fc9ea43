import Clusters
import Documents

extension FabricGraph {
  /// The graph of a shipped cluster, of a cluster's file, or of a recording, whose name ends in `.xml`.
  ///
  /// - Parameter gpus: another number of GPUs, in whole nodes.
  /// - Throws: A ``Documents/Diagnostic`` that names the file.
  public init(named name: String, gpus: Int? = nil, rates: RateChoice = .achieved) throws {
    if name.hasSuffix(".xml") {
      if gpus != nil {
        throw Diagnostic(
          .usage, "a recording is one node as it was", path: "--gpus", hint: "leave --gpus out")
      }
      try self.init(recordedAt: name)
      return
    }
    let cluster = try clusterForTopology(name, gpus: gpus)
    self = try locating(name) { try FabricGraph(cluster, rates: rates) }
  }
}

/// A cluster by its name or file, with another number of GPUs where one is given.
///
/// - Throws: A ``Documents/Diagnostic`` for a number of GPUs that is not whole nodes or too large for the fabric.
public func clusterForTopology(_ name: String, gpus: Int? = nil) throws -> Cluster {
  let cluster = try resolveCluster(name).cluster
  guard let gpus else { return cluster }
  let perNode = cluster.gpusPerNode.value
  guard gpus > 0, gpus % perNode == 0 else {
    throw Diagnostic(
      .usage, "GPUs come in whole nodes", path: "--gpus", found: "\(gpus)",
      allowed: "a multiple of \(perNode)")
  }
  return try cluster.resized(nodes: gpus / perNode)
}

/// Adds the name of a file to errors that have none.
public func locating<Result>(_ name: String, _ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch var error as Diagnostic {
    if error.file == nil && error.status == .data { error.file = name }
    throw error
  }
}
