import Clusters
import Documents
import Fabrics
import Programs
import Simulation
import Timelines
import Timing
import Traces
import Units

/// A recorded job run on a clock: communication timed anew, or as recorded.
public struct Replay: Sendable {
  public let imported: ImportedProgram
  public let verified: VerifiedProgram
  public let costs: ProgramCosts
  public let timeline: Timeline
  /// Nil: communications take their recorded transfer.
  public let cluster: Cluster?
  public let settings: ReplaySettings

  /// - Parameter cluster: Where the job runs; nil: what communications took when recorded, without the waiting.
  /// - Throws: A `Diagnostic` for a program that would hang, or a job that the cluster has no room for.
  /// - Complexity: O(tasks × log tasks).
  public init(
    _ imported: ImportedProgram, on cluster: Cluster?, settings: ReplaySettings = ReplaySettings()
  ) throws(Diagnostic) {
    if let cluster, cluster.gpus < imported.program.ranks {
      throw Diagnostic(
        .usage, "the recording has more ranks than the cluster GPUs", path: "--cluster \(cluster.name)",
        found: "\(imported.program.ranks) ranks", allowed: "at most \(cluster.gpus)")
    }
    if let cluster, cluster.host != nil {
      throw Diagnostic(
        .usage, "ranks that share processors replay no recordings", path: "--cluster \(cluster.name)",
        allowed: "a cluster of GPUs")
    }
    let verified: VerifiedProgram
    do {
      verified = try VerifiedProgram(imported.program)
    } catch {
      throw Diagnostic(.data, "the recording does not run to its end", found: error.description)
    }
    self.imported = imported
    self.verified = verified
    self.cluster = cluster
    self.settings = settings
    let pricing = ReplayPricing(imported, verified, cluster, settings)
    costs = ProgramCosts(verified) { code, task in pricing.cost(code: code, task: task) }
    let seconds = costs.serialSeconds(of: verified)
    guard seconds < Span.longestTask.seconds * 10 else {
      throw Diagnostic(
        .data, "the recording's times add up to more than can be counted", found: "\(seconds) s",
        allowed: "30 days")
    }
    timeline = Simulator.run(verified, costs: costs)
  }

  public var step: Span { timeline.makespan }
}

/// What is changed of a recorded job.
public struct ReplaySettings: Hashable, Sendable {
  /// What computation takes, as a multiple of the recorded durations.
  public var computeFactor = 1.0
  /// The same for kernels that move memory rather than compute; nil: alike.
  public var memoryFactor: Double?
  /// Of single ranks, on top.
  public var rankFactors: [Int: Double] = [:]
  /// Named communicator (or `all`) and how its reductions run.
  public var algorithms: [String: AllReduceAlgorithm] = [:]
  /// How flows choose among equal ways through the fabric.
  public var routing = RouteChoice.hashed(seed: 1)

  public init() {}
}

/// Prices a recorded program's tasks.
private struct ReplayPricing {
  let imported: ImportedProgram
  let settings: ReplaySettings
  let times: CollectiveTimes?
  let cluster: Cluster?
  /// A rank that runs each code.
  let rankOfCode: [Int]
  let shapes: [[GroupShape]]
  let isMemory: [Bool]

  init(
    _ imported: ImportedProgram, _ verified: VerifiedProgram, _ cluster: Cluster?, _ settings: ReplaySettings
  ) {
    self.imported = imported
    self.settings = settings
    self.cluster = cluster
    times = cluster.map { CollectiveTimes($0) }
    let program = imported.program
    rankOfCode = program.codes.indices.map { code in
      program.codeOfRank.firstIndex(of: Int32(code)) ?? 0
    }
    let perNode = cluster?.gpusPerNode.value ?? 8
    shapes = rankOfCode.map { rank in
      program.communicators.map { GroupShape(of: $0.group(ofRank: rank), gpusPerNode: perNode) }
    }
    isMemory = program.works.map { !isProductKernel($0.name) }
  }

  func cost(code: Int, task: Int) -> Cost {
    let columns = imported.program.codes[code]
    let rank = rankOfCode[code]
    guard columns.kind[task] != .compute else {
      let work = Int(columns.work[task])
      let factor =
        (isMemory[work] ? settings.memoryFactor ?? settings.computeFactor : settings.computeFactor)
        * settings.rankFactors[rank, default: 1]
      // A communication that is timed as recorded is no computation.
      let isTransfer = imported.transfers[code][task] != nil
      let duration = imported.durations.duration[code][task] ?? .zero
      return Cost(alone: imported.delays[code][task] + (isTransfer ? duration : duration.scaled(by: factor)))
    }
    let recorded = Cost(alone: imported.transfers[code][task] ?? .zero)
    guard let times, let cluster else { return recorded }
    let kind = columns.kind[task]
    let shape = shapes[code][Int(columns.communicator[task])]
    guard imported.hasBytes[code][task] else { return recorded }
    switch kind {
    case .send, .receive:
      let communicator = imported.program.communicators[Int(columns.communicator[task])]
      let group = communicator.group(ofRank: rank)
      let peer = Int(group[group.startIndex + Int(columns.peer[task])])
      let perNode = cluster.gpusPerNode.value
      return times.message(columns.bytes[task], crossesNodes: peer / perNode != rank / perNode)
    case .dispatch, .combine:
      return times.exchange(
        kind, imported.program.exchanges[Int(columns.work[task])], shape: shape,
        layoutIsKnown: columns.tag[task] == Exchange.knownLayoutTag)
    case .barrier where !imported.program.exchanges.isEmpty:
      // The exchange of counts before a dispatch or combine is part of what that takes.
      return .free
    case .allToAll:
      if let splits = imported.program.splits(code: code, task: task) {
        let communicator = imported.program.communicators[Int(columns.communicator[task])]
        let nodes = communicator.group(ofRank: rank).map { Int($0) / cluster.gpusPerNode.value }
        let load = AllToAllLoad(splits, member: Int(communicator.indexOfRank[rank]), nodeOfMember: nodes)
        return times.allToAll(load, shape: shape)
      }
      return times.collective(kind, bytes: columns.bytes[task], shape: shape)
    default:
      let name = imported.program.communicators[Int(columns.communicator[task])].name
      return times.collective(
        kind, bytes: columns.bytes[task], shape: shape,
        algorithm: settings.algorithms[name] ?? settings.algorithms["all"])
    }
  }
}

/// Whether a kernel's name is that of a matrix product, a convolution or fused attention: limited by arithmetic, where
/// all others are limited by memory.
public func isProductKernel(_ name: String) -> Bool {
  let lowered = name.lowercased()
  return ["gemm", "conv", "cutlass", "wgmma", "flash", "fmha", "matmul", "cublas", "xmma", "attn", "mma_"]
    .contains { lowered.contains($0) }
}
