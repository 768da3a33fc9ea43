import Documents
import Units

/// An offer: what somebody asked for an hour of a GPU, and when.
public struct RentOffer: Hashable, Sendable {
  /// Lower case: `h800`.
  public let gpu: String
  /// Year and month.
  public let date: String
  public let price: Sourced<DollarsPerGPUHour>
}

/// The shipped offers for a GPU, in the file's order; empty where there are none.
public func shippedRents(gpu: String) throws -> [RentOffer] {
  let root = try shippedDocument("rents")
  try root.allowOnly(["rents"])
  let offers = try root.required("rents").list().map { node in
    try node.allowOnly(["gpu", "date", "price"])
    return RentOffer(
      gpu: try node.required("gpu").text(), date: try node.required("date").text(),
      price: try node.required("price").sourced(DollarsPerGPUHour.self))
  }
  return offers.filter { gpu.lowercased().contains($0.gpu) }
}
