import Documents
import Units

/// How much power a site draws for each watt that its GPUs are rated at.
public struct PowerModel: Hashable, Sendable {
  /// Server's rated power over its GPUs' rated power.
  public let serverMultiplier: Sourced<Ratio>
  /// Mean draw over rated power.
  public let meanDraw: Sourced<Ratio>
  /// Power usage effectiveness: the site's draw over the servers'.
  public let siteOverhead: Sourced<Ratio>
  public let electricity: Sourced<DollarsPerKilowattHour>

  public init(
    serverMultiplier: Sourced<Ratio>, meanDraw: Sourced<Ratio>, siteOverhead: Sourced<Ratio>,
    electricity: Sourced<DollarsPerKilowattHour>
  ) {
    self.serverMultiplier = serverMultiplier
    self.meanDraw = meanDraw
    self.siteOverhead = siteOverhead
    self.electricity = electricity
  }

  /// The shipped model; a GPU whose server is not listed takes the multiplier of `other`.
  public static func shipped(gpu: String) throws -> PowerModel {
    let root = try shippedDocument("power")
    try root.allowOnly(["servers", "mean_draw", "site_overhead", "electricity"])
    let servers = try root.required("servers").list().map { node in
      try node.allowOnly(["gpu", "multiplier"])
      return (
        gpu: try node.required("gpu").text(), multiplier: try node.required("multiplier").sourced(Ratio.self)
      )
    }
    let name = gpu.lowercased()
    guard
      let server = servers.first(where: { name.contains($0.gpu) })
        ?? servers.first(where: { $0.gpu == "other" })
    else { throw try root.required("servers").error("no server is listed for other GPUs") }
    return PowerModel(
      serverMultiplier: server.multiplier, meanDraw: try root.required("mean_draw").sourced(Ratio.self),
      siteOverhead: try root.required("site_overhead").sourced(Ratio.self),
      electricity: try root.required("electricity").sourced(DollarsPerKilowattHour.self))
  }

  /// Mean power of the site for that many GPUs of that rated power.
  public func sitePower(gpus: Int, rated: Watts) -> Watts {
    rated * (Double(gpus) * serverMultiplier.value.value * meanDraw.value.value * siteOverhead.value.value)
  }

  /// What a run draws from the grid, and what that costs.
  public func energy(of run: RunCost, rated: Watts) -> EnergyUse {
    let power = sitePower(gpus: run.gpus, rated: rated)
    let energy = Joules(power.value * run.days.value * 86_400)
    return EnergyUse(
      power: power, energy: energy, dollars: Dollars(energy.kilowattHours * electricity.value.value))
  }
}

/// A run's electricity.
public struct EnergyUse: Hashable, Sendable {
  /// Mean over the run.
  public let power: Watts
  public let energy: Joules
  public let dollars: Dollars
}
