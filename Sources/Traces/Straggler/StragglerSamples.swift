import Documents
import Units

/// The operations of all steps and data ranks, laid out by the nodes of the model.
struct StragglerSamples {
  let model: StragglerModel
  let file: String
  /// Numbers of the steps, in order of time; only those that all ranks have whole.
  private(set) var steps: [Int32] = []
  private(set) var dataRanks: [Int] = []
  private(set) var stages = 0
  /// Seconds from the first start to the last end, of each step.
  private(set) var recorded: [Double] = []
  /// `[node][step][data rank]` in seconds: durations of computation, transfers of communication.
  private(set) var durations: [Double] = []
  private(set) var communications: [StragglerAnalysis.Communication] = []
  private(set) var incompleteSteps: [Int32] = []
  private(set) var unknownEvents = 0

  /// A rank's place: its index among the data ranks, and its stage.
  private struct Place {
    var data: Int
    var stage: Int
  }

  private static func property(_ rank: RankRecording, _ name: String) -> Int? {
    rank.properties.first { $0.name == name }.flatMap { Int($0.value) }
  }

  init(_ recording: Recording) throws {
    let file = recording.ranks.first?.file ?? ""
    self.file = file
    func refuse(_ problem: String, found: String? = nil, allowed: String? = nil) -> Diagnostic {
      Diagnostic(.data, problem, file: file, path: "the ranks", found: found, allowed: allowed)
    }
    // Tensor ranks do the same at the same time: the first of them speaks for all.
    let ranks = recording.ranks.filter { (Self.property($0, "tp_rank") ?? 0) == 0 }
    var places: [Place] = []
    let dataRanks = Set(ranks.compactMap { Self.property($0, "dp_rank") }).sorted()
    var stages = 0
    var occupied: Set<[Int]> = []
    for rank in ranks {
      guard let data = Self.property(rank, "dp_rank").flatMap({ dataRanks.firstIndex(of: $0) }),
        let stage = Self.property(rank, "stage"), rank.chunks.count == rank.count
      else { throw refuse("a rank has no place in the pipeline, or no steps", found: "rank \(rank.rank)") }
      places.append(Place(data: data, stage: stage))
      occupied.insert([data, stage])
      stages = max(stages, stage + 1)
    }
    guard !ranks.isEmpty, ranks.count == stages * dataRanks.count, occupied.count == ranks.count else {
      throw refuse(
        "the ranks do not fill a grid of data ranks and stages", found: "\(ranks.count) ranks",
        allowed: "\(stages) stages of \(dataRanks.count) data ranks")
    }
    let numbers = Self.order(of: ranks)
    guard let first = numbers.first else { throw refuse("the recording has no steps") }
    self.dataRanks = dataRanks
    self.stages = stages
    var origins: [Int32: Int64] = [:]
    for rank in ranks {
      for (event, chunk) in rank.chunks.enumerated() {
        origins[chunk.step] = min(origins[chunk.step] ?? .max, rank.start[event])
      }
    }
    var samples: [[StragglerModel.Sample]] = Array(repeating: [], count: stages)
    for (rank, place) in zip(ranks, places) where place.data == 0 {
      samples[place.stage] = Self.samples(rank, step: first, stage: place.stage, from: origins[first] ?? 0)
    }
    model = try StragglerModel(stages: samples, usesData: dataRanks.count > 1, file: file)
    fill(ranks, places, numbers, origins)
    guard !steps.isEmpty else { throw refuse("no step has the operations of the first on all ranks") }
  }

  /// Steps by the time of their first event.
  private static func order(of ranks: [RankRecording]) -> [Int32] {
    var starts: [Int32: Int64] = [:]
    for rank in ranks {
      for (event, chunk) in rank.chunks.enumerated() {
        starts[chunk.step] = min(starts[chunk.step] ?? .max, rank.start[event])
      }
    }
    return starts.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
  }

  private static func samples(
    _ rank: RankRecording, step: Int32, stage: Int, from origin: Int64
  ) -> [StragglerModel.Sample] {
    (0..<rank.count).compactMap { event in
      guard rank.chunks[event].step == step,
        let operation = StragglerOperation(rawValue: rank.names[Int(rank.name[event])])
      else { return nil }
      let start = 1e-12 * Double(rank.start[event] - origin)
      return StragglerModel.Sample(
        node: .init(operation: operation, ordinal: rank.chunks[event].ordinal, stage: stage), start: start,
        end: start + 1e-12 * Double(rank.duration[event]), chunk: rank.chunks[event].model)
    }
  }

  // MARK: Columns

  private mutating func fill(
    _ ranks: [RankRecording], _ places: [Place], _ numbers: [Int32], _ origins: [Int32: Int64]
  ) {
    let (data, nodes) = (dataRanks.count, model.nodes.count)
    let stepIndex = Dictionary(uniqueKeysWithValues: numbers.enumerated().map { ($1, $0) })
    let instances = numbers.count * data
    var starts = [Double](repeating: .nan, count: nodes * instances)
    var ends = starts
    var isWhole = [Bool](repeating: true, count: numbers.count)
    var last = [Double](repeating: 0, count: numbers.count)
    for (rank, place) in zip(ranks, places) {
      // Names are few and events many.
      let operations = rank.names.map { StragglerOperation(rawValue: $0) }
      for event in 0..<rank.count {
        let chunk = rank.chunks[event]
        guard let step = stepIndex[chunk.step] else { continue }
        let start = 1e-12 * Double(rank.start[event] - (origins[chunk.step] ?? 0))
        let end = start + 1e-12 * Double(rank.duration[event])
        last[step] = max(last[step], end)
        guard let operation = operations[Int(rank.name[event])] else {
          unknownEvents += 1
          continue
        }
        let node = StragglerModel.Node(operation: operation, ordinal: chunk.ordinal, stage: place.stage)
        guard let index = model.index[node], ends[index * instances + step * data + place.data].isNaN else {
          isWhole[step] = false
          continue
        }
        starts[index * instances + step * data + place.data] = start
        ends[index * instances + step * data + place.data] = end
      }
    }
    for place in starts.indices where starts[place].isNaN { isWhole[place % instances / data] = false }
    for (step, number) in numbers.enumerated() where !isWhole[step] { incompleteSteps.append(number) }
    let kept = numbers.indices.filter { isWhole[$0] }
    steps = kept.map { numbers[$0] }
    recorded = kept.map { last[$0] }
    durations = transfers(starts, ends, kept, instances)
  }

  /// Durations of computation and transfers of communication in the steps that are kept; sums up both and the waiting.
  private mutating func transfers(_ starts: [Double], _ ends: [Double], _ kept: [Int], _ instances: Int)
    -> [Double]
  {
    let data = dataRanks.count
    var result: [Double] = []
    var sums: [String: (count: Int, transfer: Double, waiting: Double)] = [:]
    result.reserveCapacity(model.nodes.count * kept.count * data)
    for node in model.nodes.indices {
      let group = model.groupOfNode[node]
      let name = model.nodes[node].operation.rawValue
      for step in kept {
        for rank in 0..<data {
          let place = node * instances + step * data + rank
          guard group >= 0 else {
            result.append(ends[place] - starts[place])
            continue
          }
          var arrival = starts[place]
          let members = model.isAcrossData[group] ? 0..<data : rank..<rank + 1
          for other in model.groups[group] {
            for member in members { arrival = max(arrival, starts[other * instances + step * data + member]) }
          }
          // Clocks of ranks differ a little: a transfer may seem to end before it begins.
          let transfer = max(0, ends[place] - arrival)
          result.append(transfer)
          var sum = sums[name] ?? (0, 0, 0)
          sum.count += 1
          sum.transfer += transfer
          sum.waiting += max(0, ends[place] - starts[place] - transfer)
          sums[name] = sum
        }
      }
    }
    communications = sums.sorted { $0.key < $1.key }.map { name, sum in
      .init(
        name: name, count: sum.count, transfer: Span(seconds: sum.transfer / Double(sum.count)),
        waiting: Span(seconds: sum.waiting / Double(sum.count)))
    }
    return result
  }

  private var instances: Int { steps.count * dataRanks.count }

  /// Every operation as long as its type is over all ranks and steps: the mean of computation, the median of transfers.
  var idealDurations: [Double] {
    var result = durations
    for operation in StragglerOperation.allCases {
      let nodes = model.nodes.indices.filter { model.nodes[$0].operation == operation }
      let places = nodes.flatMap { $0 * instances..<($0 + 1) * instances }
      guard !places.isEmpty else { continue }
      let values = places.map { durations[$0] }
      let typical =
        operation.communicationKind == nil ? values.reduce(0, +) / Double(values.count) : Self.median(values)
      for place in places { result[place] = typical }
    }
    return result
  }

  private static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }

  /// `others`, but as recorded where a node of a data rank is to be kept.
  func mixed(_ others: [Double], _ isKept: (StragglerModel.Node, Int) -> Bool) -> [Double] {
    var result = others
    let data = dataRanks.count
    for node in model.nodes.indices {
      for rank in 0..<data where isKept(model.nodes[node], rank) {
        for step in steps.indices {
          let place = node * instances + step * data + rank
          result[place] = durations[place]
        }
      }
    }
    return result
  }
}
