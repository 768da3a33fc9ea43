import Documents
import Units

/// What stragglers cost a job with data and pipeline parallelism: its steps replayed with every operation as long as it is
/// elsewhere and at other times, against its steps replayed as recorded.
///
/// A communication's duration is told apart into waiting and transfer: it transfers from when the last member has come.
/// The replay is the longest path through ``StragglerModel``: computation takes its duration, communication begins when
/// all members have come and takes its transfer, and nothing else takes time. In the ideal step an operation of each type
/// takes the mean over all ranks and steps where it is computation, and the median where it is communication, as a few
/// very slow transfers would distort a mean. The slowdown S is the mean replayed step over the mean ideal step. Slowdowns
/// of a type, a stage or a data rank are those of the ideal step with only these operations as recorded; a worker's is the
/// lesser of its stage's and its data rank's.
///
/// Source: Lin et al., "Understanding Stragglers in Large Model Training Using What-if Analysis", OSDI 2025, equations 1 to
/// 5; ByteDance-Seed/StragglerAnalysis, `analyzer/wia.py`, `analysis_util.py`, `simulator.py`, `explain_slowdown.py`.
public struct StragglerAnalysis: Hashable, Sendable {
  /// One step's length as recorded, as replayed, and without stragglers.
  public struct Step: Hashable, Sendable {
    public var number: Int32
    public var recorded: Span
    public var replayed: Span
    public var ideal: Span
    public var slowdown: Double { replayed.seconds / ideal.seconds }
  }

  /// A ratio of step times that belongs to a name or a rank.
  public struct Slowdown<Key: Hashable & Sendable>: Hashable, Sendable {
    public var key: Key
    /// 1 where it costs nothing; below 1 where it is faster than the mean.
    public var ratio: Double
  }

  /// A worker of the pipeline: its data rank and stage.
  public struct Worker: Hashable, Sendable {
    public var dataRank: Int
    public var stage: Int
  }

  /// All operations of one type: how long one moves data in the mean, and how long it waits for others before.
  public struct Communication: Hashable, Sendable {
    public var name: String
    public var count: Int
    public var transfer: Span
    public var waiting: Span
  }

  /// In the order of the recording.
  public private(set) var steps: [Step] = []
  /// Means over ``steps``.
  public private(set) var recordedStep = Span.zero
  public private(set) var replayedStep = Span.zero
  public private(set) var idealStep = Span.zero
  /// S: ``replayedStep`` over ``idealStep``.
  public private(set) var slowdown = 1.0
  /// ``recordedStep`` over ``replayedStep``: what the replay leaves out, time between operations.
  public private(set) var unexplained = 1.0
  /// Largest first, by name where equal; both halves of a pass's messages are one.
  public private(set) var byOperation: [Slowdown<String>] = []
  /// Largest first.
  public private(set) var byStage: [Slowdown<Int>] = []
  public private(set) var byDataRank: [Slowdown<Int>] = []
  public private(set) var byWorker: [Slowdown<Worker>] = []
  /// M_S: the share of the slowdown that goes away when the last stage's operations take their ideal time.
  public private(set) var lastStageShare: Double?
  /// By name.
  public private(set) var communications: [Communication] = []
  /// Steps left out, as not all ranks have the operations that the first step has.
  public private(set) var incompleteSteps: [Int32] = []
  /// Events of types that the model does not know, left out.
  public private(set) var unknownEvents = 0

  /// - Throws: ``Diagnostic`` where the recording has no steps of a pipeline, or its operations do not fit together.
  /// - Complexity: O(events × (stages + data ranks + types)).
  public init(_ recording: Recording) throws {
    let samples = try StragglerSamples(recording)
    let replay = StragglerReplay(samples)
    unknownEvents = samples.unknownEvents
    incompleteSteps = samples.incompleteSteps
    let actual = replay.steps(samples.durations)
    let ideal = samples.idealDurations
    let best = replay.steps(ideal)
    guard let longest = (samples.recorded + actual + best).max(), longest < Self.longestStep else {
      throw Diagnostic(
        .data, "a step is too long", file: samples.file, path: "the steps",
        allowed: "at most \(Self.longestStep) s")
    }
    for (index, number) in samples.steps.enumerated() {
      steps.append(
        Step(
          number: number, recorded: Span(seconds: samples.recorded[index]),
          replayed: Span(seconds: actual[index]),
          ideal: Span(seconds: best[index])))
    }
    let (meanActual, meanBest) = (Self.mean(actual), Self.mean(best))
    let meanRecorded = Self.mean(samples.recorded)
    recordedStep = Span(seconds: meanRecorded)
    replayedStep = Span(seconds: meanActual)
    idealStep = Span(seconds: meanBest)
    guard meanBest > 0, meanActual > 0 else {
      throw Diagnostic(
        .data, "the steps have no length", file: samples.file, path: "the steps",
        found: "0 s in the ideal step")
    }
    slowdown = meanActual / meanBest
    unexplained = meanRecorded / meanActual
    /// The ideal step with some operations as recorded.
    func kept(_ isKept: (StragglerModel.Node, Int) -> Bool) -> Double {
      Self.mean(replay.steps(samples.mixed(ideal, isKept))) / meanBest
    }
    for name in Set(samples.model.nodes.map(\.operation.reportedName)).sorted() {
      byOperation.append(Slowdown(key: name, ratio: kept { node, _ in node.operation.reportedName == name }))
    }
    for stage in 0..<samples.stages {
      byStage.append(Slowdown(key: stage, ratio: kept { node, _ in node.stage == stage }))
    }
    for (index, rank) in samples.dataRanks.enumerated() {
      byDataRank.append(Slowdown(key: rank, ratio: kept { _, data in data == index }))
    }
    for rank in byDataRank {
      for stage in byStage {
        byWorker.append(
          Slowdown(key: Worker(dataRank: rank.key, stage: stage.key), ratio: min(rank.ratio, stage.ratio)))
      }
    }
    sortSlowdowns()
    let last = samples.stages - 1
    let without = Self.mean(replay.steps(samples.mixed(ideal) { node, _ in node.stage != last }))
    if meanActual > meanBest { lastStageShare = (meanActual - without) / (meanActual - meanBest) }
    communications = samples.communications
  }

  /// Seconds; what a ``Span`` holds, with room for sums.
  private static let longestStep = 4e6

  private mutating func sortSlowdowns() {
    byOperation.sort { ($1.ratio, $0.key) < ($0.ratio, $1.key) }
    byStage.sort { ($1.ratio, $0.key) < ($0.ratio, $1.key) }
    byDataRank.sort { ($1.ratio, $0.key) < ($0.ratio, $1.key) }
    byWorker.sort {
      ($1.ratio, $0.key.dataRank, $0.key.stage) < ($0.ratio, $1.key.dataRank, $1.key.stage)
    }
  }

  private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
}

/// Replays all steps at once: each node's ends in all instances, one after the other.
private struct StragglerReplay {
  private let model: StragglerModel
  private let steps: Int
  private let data: Int
  /// Nodes whose end is the step's: the optimizer's, or all where there is none.
  private let last: [Int]

  init(_ samples: StragglerSamples) {
    model = samples.model
    steps = samples.steps.count
    data = samples.dataRanks.count
    let optimizers = model.nodes.indices.filter { samples.model.nodes[$0].operation == .optimizer }
    last = optimizers.isEmpty ? Array(model.nodes.indices) : optimizers
  }

  /// The length of each step in seconds.
  ///
  /// - Parameter durations: `[node][step][data rank]`, transfers where it is communication.
  func steps(_ durations: [Double]) -> [Double] {
    let instances = steps * data
    var starts = [Double](repeating: 0, count: durations.count)
    var ends = starts
    for step in model.order {
      switch step {
      case .start(let node):
        for before in model.dependencies[node] {
          for instance in 0..<instances {
            starts[node * instances + instance] = max(
              starts[node * instances + instance], ends[before * instances + instance])
          }
        }
        guard model.groupOfNode[node] < 0 else { continue }
        for place in node * instances..<(node + 1) * instances {
          ends[place] = starts[place] + durations[place]
        }
      case .end(let group):
        for instance in 0..<instances {
          var start = 0.0
          let members =
            model.isAcrossData[group]
            ? instance / data * data..<(instance / data + 1) * data : instance..<instance + 1
          for node in model.groups[group] {
            for member in members { start = max(start, starts[node * instances + member]) }
          }
          for node in model.groups[group] {
            ends[node * instances + instance] = start + durations[node * instances + instance]
          }
        }
      }
    }
    return (0..<steps).map { step in
      var end = 0.0
      for node in last {
        for rank in 0..<data { end = max(end, ends[node * instances + step * data + rank]) }
      }
      return end
    }
  }
}
