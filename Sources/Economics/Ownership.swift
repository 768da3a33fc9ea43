import Documents
import Units

/// What a cluster costs to buy, and what share of that a run uses up.
public struct Ownership: Hashable, Sendable {
  public let gpuPrice: Sourced<Dollars>
  /// Server's price over its GPUs' price.
  public let serverFactor: Sourced<Ratio>
  /// Network between servers as a share of the whole cluster's price.
  public let interconnectShare: Sourced<Ratio>
  public let life: Sourced<Days>

  /// The shipped prices; nil where the GPU has none.
  public static func shipped(gpu: String) throws -> Ownership? {
    let root = try shippedDocument("ownership")
    try root.allowOnly(["gpus", "server_factor", "interconnect_share", "life"])
    let name = gpu.lowercased()
    let prices = try root.required("gpus").list().map { node in
      try node.allowOnly(["gpu", "price"])
      return (gpu: try node.required("gpu").text(), price: try node.required("price").sourced(Dollars.self))
    }
    guard let entry = prices.first(where: { name.contains($0.gpu) }) else { return nil }
    return Ownership(
      gpuPrice: entry.price, serverFactor: try root.required("server_factor").sourced(Ratio.self),
      interconnectShare: try root.required("interconnect_share").sourced(Ratio.self),
      life: try root.required("life").sourced(Days.self))
  }

  /// Price of the whole cluster: servers, and the network that is a share of the total.
  public func purchase(gpus: Int) -> Dollars {
    gpuPrice.value * (Double(gpus) * serverFactor.value.value) / (1 - interconnectShare.value.value)
  }

  /// The part of the purchase that a run wears out, its days over the hardware's life.
  public func amortised(_ run: RunCost) -> Dollars {
    purchase(gpus: run.gpus) * (run.days / life.value)
  }
}
