import Clusters
import Reports
import Units

/// The shipped clusters in a table.
public func clusterTable(width: Int = 80) throws -> String {
  var table = TextTable(
    [.init("cluster"), .init("GPUs", .right), .init("GPU"), .init("description", folds: true)], width: width)
  for name in shippedClusterNames {
    let cluster = try resolveCluster(name).cluster
    table.append([name, grouped(cluster.gpus), cluster.gpu.name, cluster.description])
  }
  return table.lines().joined(separator: "\n") + "\n"
}

/// One cluster: every quantity with its birthplace.
public func clusterTable(_ cluster: Cluster, width: Int = 80) -> String {
  var table = TextTable(
    [.init("", folds: true), .init("", .right), .init(""), .init("", folds: true)], width: width)
  for quantity in cluster.quantities {
    table.append([quantity.what, quantity.value ?? "", quantity.tag.rawValue, quantity.source])
  }
  let title = "\(cluster.name): \(grouped(cluster.gpus)) x \(cluster.gpu.name). \(cluster.description)"
  return (fold(title, width: width) + [""] + table.lines()).joined(separator: "\n") + "\n"
}
