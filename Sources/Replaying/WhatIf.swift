import Clusters
import Documents
import Fabrics
import Programs
import Timing
import Traces
import Units

/// One change of a recorded job or of where it runs, as `--what-if` writes it.
public enum WhatIf: Hashable, Sendable {
  /// `nic=x2`, `nic=100 GB/s`: every card's bandwidth, times a factor or as a card's new peak.
  case nic(Change)
  /// `nvlink=x2`.
  case nvlink(Change)
  /// `cluster=h100-eos`.
  case cluster(String)
  /// `slow=3:1.5`: a rank's computation takes so many times longer.
  case slow(rank: Int, factor: Double)
  /// `heal=3`: a rank's computation and host time are as the median of all others'.
  case heal(rank: Int)
  /// `algorithm=data:tree`: how reductions of a communicator run; `all` for every one.
  case algorithm(group: String, AllReduceAlgorithm)
  /// `all-to-all=balanced`: every member of an uneven all-to-all sends the same to each.
  case balanced
  /// `experts=2:5`: what lies on two members of each uneven all-to-all's group changes places.
  case experts(Int, Int)
  /// `compute=0.5`: computation takes so many times its recorded duration.
  case compute(Double)
  /// `routing=adaptive`: how flows choose among equal ways; changes which cables are full, not times.
  case routing(RouteChoice)
  /// `compute=median`: an event takes the median of all events of its name.
  case median

  /// How a link's bandwidth is changed: by a factor, or to a rate.
  public enum Change: Hashable, Sendable {
    case factor(Double)
    case rate(BytesPerSecond)
  }

  /// - Throws: A `Diagnostic` with status `usage`.
  public init(_ text: String) throws(Diagnostic) {
    func refuse(_ allowed: String) -> Diagnostic {
      Diagnostic(.usage, "there is no such change", path: "--what-if", found: "\"\(text)\"", allowed: allowed)
    }
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else { throw refuse(Self.forms) }
    let value = parts[1]
    let pair = value.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    func factor(_ text: String) -> Double? {
      Double(text).flatMap { (1e-3...1e3).contains($0) ? $0 : nil }
    }
    switch parts[0] {
    case "nic", "nvlink":
      guard let change = Change(value) else { throw refuse("\(parts[0])=x2 or \(parts[0])=100 GB/s") }
      self = parts[0] == "nic" ? .nic(change) : .nvlink(change)
    case "cluster" where !value.isEmpty: self = .cluster(value)
    case "slow":
      guard pair.count == 2, let rank = Int(pair[0]), rank >= 0, let times = factor(pair[1]) else {
        throw refuse("slow=RANK:TIMES, from 0.001 to 1000 times")
      }
      self = .slow(rank: rank, factor: times)
    case "heal":
      guard let rank = Int(value), rank >= 0 else { throw refuse("heal=RANK") }
      self = .heal(rank: rank)
    case "algorithm":
      guard pair.count == 2, let algorithm = AllReduceAlgorithm(rawValue: pair[1]) else {
        throw refuse("algorithm=GROUP:ring, algorithm=GROUP:tree, GROUP may be all")
      }
      self = .algorithm(group: pair[0], algorithm)
    case "all-to-all" where value == "balanced": self = .balanced
    case "experts":
      guard pair.count == 2, let a = Int(pair[0]), let b = Int(pair[1]), a >= 0, b >= 0 else {
        throw refuse("experts=MEMBER:MEMBER")
      }
      self = .experts(a, b)
    case "routing":
      switch value {
      case "fixed": self = .routing(.fixed)
      case "hashed": self = .routing(.hashed(seed: 1))
      case "adaptive": self = .routing(.adaptive)
      default: throw refuse("routing=fixed, routing=hashed, routing=adaptive")
      }
    case "compute" where value == "median": self = .median
    case "compute":
      guard let times = factor(value) else {
        throw refuse("compute=TIMES, from 0.001 to 1000, or compute=median")
      }
      self = .compute(times)
    default: throw refuse(Self.forms)
    }
  }

  public static let forms =
    "nic=, nvlink=, cluster=, routing=, slow=RANK:TIMES, heal=RANK, algorithm=GROUP:ring|tree, all-to-all=balanced, "
    + "experts=A:B, compute=TIMES|median"
}

extension WhatIf.Change {
  fileprivate init?(_ text: String) {
    if text.hasPrefix("x"), let factor = Double(text.dropFirst()), (1e-3...1e3).contains(factor) {
      self = .factor(factor)
      return
    }
    let compact = text.replacing(" ", with: "")
    for unit in BytesPerSecond.units.reversed() where compact.hasSuffix(unit.name) {
      guard let number = Double(compact.dropLast(unit.name.count)), number > 0, number * unit.worth < 1e15
      else {
        continue
      }
      self = .rate(BytesPerSecond(number * unit.worth))
      return
    }
    return nil
  }

  func factor(of peak: BytesPerSecond) -> Double {
    switch self {
    case .factor(let factor): factor
    case .rate(let rate): rate.value / peak.value
    }
  }
}

extension Cluster {
  /// The same cluster with all that its cards reach times a factor.
  func withNIC(times factor: Double) -> Cluster {
    var other = self
    let note = "chosen: \(factor) times what was"
    func faster(_ rate: Sourced<BytesPerSecond>) -> Sourced<BytesPerSecond> {
      Sourced(rate.value * factor, tag: .assumed, source: note)
    }
    other.nic.peak = faster(nic.peak)
    other.nic.achieved = faster(nic.achieved)
    other.collectives.nicBandwidth = faster(collectives.nicBandwidth)
    other.allToAll?.changeDirections { $0.nicBandwidth = faster($0.nicBandwidth) }
    return other
  }

  /// The same cluster with all that NVLink reaches times a factor.
  func withNVLink(times factor: Double) -> Cluster {
    var other = self
    let note = "chosen: \(factor) times what was"
    func faster(_ rate: Sourced<BytesPerSecond>) -> Sourced<BytesPerSecond> {
      Sourced(rate.value * factor, tag: .assumed, source: note)
    }
    other.nvlink.peak = faster(nvlink.peak)
    other.nvlink.achieved = faster(nvlink.achieved)
    other.collectives.nvlinkBandwidth = faster(collectives.nvlinkBandwidth)
    other.collectives.nvlinkAllReduceBandwidth = collectives.nvlinkAllReduceBandwidth.map(faster)
    other.allToAll?.changeDirections {
      $0.nvlinkBandwidth = faster($0.nvlinkBandwidth)
      $0.intranodeBandwidth = faster($0.intranodeBandwidth)
    }
    return other
  }
}

extension AllToAllCalibration {
  fileprivate mutating func changeDirections(_ change: (inout AllToAllDirection) -> Void) {
    change(&dispatch)
    change(&cachedDispatch)
    change(&combine)
  }
}

/// A recorded job with changes made to it.
public struct WhatIfCase: Sendable {
  public var imported: ImportedProgram
  public var cluster: Cluster?
  public var settings: ReplaySettings

  public init(_ imported: ImportedProgram, on cluster: Cluster?, settings: ReplaySettings) {
    self.imported = imported
    self.cluster = cluster
    self.settings = settings
  }

  /// - Throws: A `Diagnostic` for a rank, group or member that is not there.
  public mutating func apply(_ change: WhatIf, _ recording: Recording) throws {
    switch change {
    case .nic(let change):
      cluster = try needed(cluster, "nic").withNIC(
        times: change.factor(of: needed(cluster, "nic").nic.peak.value))
    case .nvlink(let change):
      cluster = try needed(cluster, "nvlink").withNVLink(
        times: change.factor(of: needed(cluster, "nvlink").nvlink.peak.value))
    case .cluster(let name):
      cluster = try resolveCluster(name).cluster
    case .slow(let rank, let factor):
      try imported.separate(rank: rank)
      settings.rankFactors[rank, default: 1] *= factor
    case .heal(let rank):
      try imported.separate(rank: rank)
      try imported.heal(rank: rank)
    case .algorithm(let group, let algorithm):
      let names = imported.program.communicators.map(\.name)
      guard group == "all" || names.contains(group) else {
        throw Diagnostic(
          .usage, "no group has this name", path: "--what-if algorithm", found: group,
          allowed: (["all"] + names).joined(separator: ", "))
      }
      settings.algorithms[group] = algorithm
    case .balanced: try imported.balance()
    case .experts(let a, let b): try imported.exchangeExperts(a, b)
    case .routing(let choice): settings.routing = choice
    case .compute(let factor): settings.computeFactor *= factor
    case .median: imported.takeMedians(recording)
    }
  }

  private func needed(_ cluster: Cluster?, _ name: String) throws(Diagnostic) -> Cluster {
    guard let cluster else {
      throw Diagnostic(
        .usage, "without a cluster communication takes what was recorded", path: "--what-if \(name)",
        hint: "name a cluster with --cluster")
    }
    return cluster
  }
}
