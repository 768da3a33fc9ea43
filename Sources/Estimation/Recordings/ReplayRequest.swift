import Clusters
import Documents
import Models
import Plans
import Programs
import Replaying
import Schedules
import Traces
import Units

/// What `rehearse replay` is asked for.
public struct ReplayRequest: Sendable {
  /// A shipped cluster or a file; nil: communication takes what was recorded, without the waiting.
  public var cluster: String?
  /// In place of the cluster's own number.
  public var gpus: Int?
  public var changes: [WhatIf] = []
  public var order = CrossQueueOrder.recorded
  /// Profiler steps; nil: the whole file.
  public var steps: ClosedRange<Int>?
  /// The model whose tokens DeepEP's kernels carry, and tokens of one rank.
  public var model: String?
  public var tokens: Int?
  /// The GPU of the recording, where it is another than the cluster's.
  public var recordedGPU: String?
  /// Ranks that the job is carried to, and along which of its groups.
  public var ranks: Int?
  public var growth = GrowthDirection.data

  public init() {}
}

/// A recorded job replayed as it was, and with its changes.
public struct ReplayStudy: Sendable {
  public let recording: Recording
  public let base: Replay
  public let report: ReplayReport
  /// Present where something is changed.
  public let changed: Replay?
  public let changedReport: ReplayReport?
  /// Cables of the fabric and what they carry; nil without a cluster, or where it would take too long.
  public let traffic: FabricTraffic?
  public let changedTraffic: FabricTraffic?
  public let clusterName: String?
  public let changedClusterName: String?
  public let notes: [String]
  /// Training steps with every slow operation as long as elsewhere, where the recording tells operations' steps.
  public let stragglers: StragglerAnalysis?
  /// The same pair of chunks from the project's own lowering, where the recording is of one.
  public let pair: Span?
  public let changes: [WhatIf]

  /// - Throws: A `Diagnostic`.
  public init(_ recording: Recording, _ request: ReplayRequest) throws {
    let recording = request.steps.map { recording.limited(to: $0) } ?? recording
    self.recording = recording
    changes = request.changes
    guard !recording.ranks.isEmpty else {
      throw Diagnostic(
        .usage, "the recording marks no such steps", path: "--steps",
        found: request.steps.map { "\($0.lowerBound)-\($0.upperBound)" })
    }
    stragglers = recording.format == .straggler ? try StragglerAnalysis(recording) : nil
    let cluster = try request.cluster.map { name in
      let found = try resolveCluster(name).cluster
      return try request.gpus.map { try found.resized(gpus: $0) } ?? found
    }
    var options = ImportOptions()
    options.order = request.order
    var pair: Span?
    var notes: [String] = []
    if let model = request.model {
      guard let cluster else {
        throw Diagnostic(
          .usage, "a model's exchanges are timed on a cluster", path: "--model",
          hint: "name one with --cluster")
      }
      let world = recording.worldSize ?? recording.ranks.count
      let exchanges = try ModelExchanges(model, tokens: request.tokens, ranks: world, on: cluster)
      options.exchanges = exchanges.sizes
      pair = exchanges.pair
    }
    self.pair = pair
    let imported = try importProgram(recording, options: options)
    var settings = ReplaySettings()
    if let cluster {
      let scaling = try ComputeScaling(recording, named: request.recordedGPU, on: cluster)
      settings.computeFactor = scaling.compute
      settings.memoryFactor = scaling.memory
      notes.append(scaling.note)
    }
    clusterName = cluster?.name
    base = try Replay(imported, on: cluster, settings: settings)
    report = ReplayReport(base, recordedStep: imported.recordedStep)
    traffic = try FabricTraffic(base, routing: settings.routing)
    var edited = WhatIfCase(imported, on: cluster, settings: settings)
    if let ranks = request.ranks {
      edited.imported = try edited.imported.resharded(to: ranks, along: request.growth)
    }
    for change in request.changes {
      if case .cluster = change, cluster == nil {
        throw Diagnostic(
          .usage, "a change of cluster needs one to start from", path: "--what-if",
          hint: "name one with --cluster")
      }
      try edited.apply(change, recording)
      if case .cluster = change, let other = edited.cluster {
        let scaling = try ComputeScaling(
          recording, named: request.recordedGPU ?? cluster?.gpu.name, on: other)
        edited.settings.computeFactor = scaling.compute
        edited.settings.memoryFactor = scaling.memory
        notes.append(scaling.note)
      }
    }
    if request.ranks != nil || !request.changes.isEmpty {
      let replay = try Replay(edited.imported, on: edited.cluster, settings: edited.settings)
      changed = replay
      changedReport = ReplayReport(replay, recordedStep: nil)
      changedTraffic = try FabricTraffic(replay, routing: edited.settings.routing)
    } else {
      changed = nil
      changedReport = nil
      changedTraffic = nil
    }
    changedClusterName = edited.cluster?.name
    self.notes = recording.notes + edited.imported.notes + notes
  }
}

/// How computation that was recorded on one GPU is taken on another.
struct ComputeScaling {
  var compute = 1.0
  var memory: Double?
  var note: String

  /// Kernels limited by arithmetic follow the GPUs' bfloat16 peaks, all others their memory bandwidths.
  ///
  /// Which are which is told from their names, because recordings have no FLOPs.
  /// - Parameter name: The GPU of the recording; nil: what the recording says of its device.
  init(_ recording: Recording, named name: String?, on cluster: Cluster) throws {
    let gpu = cluster.gpu
    guard let recorded = try name.map({ try resolveGPU($0) }) ?? Self.recordedGPU(recording) else {
      let device = recording.ranks.lazy.compactMap { rank in
        rank.properties.first { $0.name.lowercased().contains("device") }?.value
      }.first
      note =
        "computation takes its recorded durations"
        + (device.map { ", of \($0.prefix(60)), of which no shipped GPU is known to be the same" }
          ?? ": the recording does not name its GPU")
      return
    }
    guard let old = recorded.peak(.bfloat16)?.value.value, let new = gpu.peak(.bfloat16)?.value.value else {
      throw Diagnostic(
        .data, "a GPU has no bfloat16 peak to scale by", path: "--recorded-gpu",
        found: "\(recorded.name), \(gpu.name)")
    }
    compute = old / new
    memory = recorded.memoryBandwidth.value.value / gpu.memoryBandwidth.value.value
    guard compute != 1 || memory != 1 else {
      memory = nil
      note = "computation takes its recorded durations: \(recorded.name) and \(gpu.name) are alike"
      return
    }
    note =
      "computation of \(recorded.name) is taken on \(gpu.name) by roofline: kernels whose names speak of products, "
      + "convolutions or attention times \(Self.short(compute)) (bfloat16 peaks), all others times "
      + "\(Self.short(memory ?? 1)) (memory bandwidths)"
  }

  private static func short(_ number: Double) -> String { "\((number * 1000).rounded() / 1000)" }

  private static func recordedGPU(_ recording: Recording) throws -> GPU? {
    for rank in recording.ranks {
      for property in rank.properties where property.value.count < 4096 {
        let words = property.value.lowercased()
        // The longer names first: H800 is no H80.
        for name in ["h800", "h100", "a100"] where words.contains(name) { return try resolveGPU(name) }
      }
    }
    return nil
  }
}

/// A shipped GPU by its name.
private func resolveGPU(_ name: String) throws -> GPU {
  for clusterName in shippedClusterNames {
    let cluster = try resolveCluster(clusterName).cluster
    if cluster.gpu.name.lowercased() == name.lowercased() { return cluster.gpu }
  }
  for clusterName in shippedClusterNames {
    let cluster = try resolveCluster(clusterName).cluster
    if cluster.gpu.name.lowercased().contains(name.lowercased()) { return cluster.gpu }
  }
  throw Diagnostic(
    .usage, "no shipped cluster has such a GPU", path: "--recorded-gpu", found: name,
    allowed: "the GPU of a shipped cluster: a100, h100, h800")
}
