import Documents

/// What must come before what in one training step: the operations of all stages of one pipeline, which all data ranks
/// and all steps repeat.
///
/// Compute runs in its recorded order on each stage. Messages of one type run in order; a receive comes behind the
/// computation before the one that it feeds, a send behind the one that it carries on, and both halves of a message end
/// together. The step begins with the parameters' all-gather and ends with the chain of gradient reductions, clipping and
/// the optimizer. Reductions and gathers end when all data ranks have come, clipping when all ranks have.
///
/// Source: ByteDance-Seed/StragglerAnalysis, `analyzer/dependency_model.py`.
struct StragglerModel {
  struct Node: Hashable {
    var operation: StragglerOperation
    var ordinal: Int32
    var stage: Int
  }

  /// One operation of the step and data rank that the model is built from, in seconds of the step.
  struct Sample {
    var node: Node
    var start: Double
    var end: Double
    var chunk: Int32
  }

  /// Clocks of ranks may differ by this much, in seconds.
  static let clockTolerance = 5e-5

  private(set) var nodes: [Node] = []
  private(set) var index: [Node: Int] = [:]
  /// Nodes that a node waits for.
  private(set) var dependencies: [[Int]] = []
  /// Nodes that communicate with each other, and each node's group; -1 for none.
  private(set) var groups: [[Int]] = []
  private(set) var groupOfNode: [Int] = []
  /// Groups that all data ranks take part in.
  private(set) var isAcrossData: [Bool] = []
  /// What starts, and which group ends, in an order that keeps all dependencies.
  private(set) var order: [Step] = []

  enum Step {
    case start(Int)
    case end(group: Int)
  }

  private var samples: [[Sample]] = []
  private let file: String

  /// - Parameter stages: The samples of each stage.
  init(stages: [[Sample]], usesData: Bool, file: String) throws {
    self.file = file
    samples = stages.map { $0.sorted { Self.isBefore($0, $1) } }
    for sample in samples.joined() {
      guard index.updateValue(nodes.count, forKey: sample.node) == nil else {
        throw error("an operation stands twice in a step", found: Self.name(sample.node))
      }
      nodes.append(sample.node)
    }
    dependencies = Array(repeating: [], count: nodes.count)
    groupOfNode = Array(repeating: -1, count: nodes.count)
    var matched: [Node: Bool] = [:]
    for stage in samples.indices {
      chain(computations(stage).map(\.node))
      try tieMessages(stage, &matched)
      tieFirstBackward(stage)
    }
    try pairMessages(matched)
    for stage in samples.indices { tieDataParallel(stage, usesData) }
    group(.embeddingGradientsAllReduce, across: false)
    group(.clipMainGradients, across: true)
    try sort()
  }

  private func error(_ problem: String, found: String? = nil, allowed: String? = nil) -> Diagnostic {
    Diagnostic(
      .data, problem, file: file, path: "the first step of data rank 0", found: found, allowed: allowed)
  }

  static func name(_ node: Node) -> String {
    "\(node.operation.rawValue) \(node.ordinal) of stage \(node.stage)"
  }

  private static func isBefore(_ a: Sample, _ b: Sample) -> Bool {
    (a.start, a.node.ordinal, a.node.operation.rawValue) < (
      b.start, b.node.ordinal, b.node.operation.rawValue
    )
  }

  // MARK: Finding operations

  private func computations(_ stage: Int) -> [Sample] {
    samples[stage].filter { $0.node.operation == .forwardCompute || $0.node.operation == .backwardCompute }
  }

  private func samples(_ stage: Int, _ operation: StragglerOperation) -> [Sample] {
    samples[stage].filter { $0.node.operation == operation }
  }

  private func node(_ stage: Int, _ operation: StragglerOperation, _ ordinal: Int32) -> Node? {
    let node = Node(operation: operation, ordinal: ordinal, stage: stage)
    return index[node] == nil ? nil : node
  }

  private mutating func depend(_ node: Node, on other: Node) {
    guard let place = index[node], let before = index[other] else { return }
    dependencies[place].append(before)
  }

  private mutating func chain(_ nodes: [Node]) {
    for (before, node) in zip(nodes, nodes.dropFirst()) { depend(node, on: before) }
  }

  // MARK: Messages

  /// Ties each message to the computation that it feeds or carries on; `matched` says of each whether it is real: at the
  /// ends of the pipeline profilers record messages that nobody sends.
  private mutating func tieMessages(_ stage: Int, _ matched: inout [Node: Bool]) throws {
    let pipeline = samples.count
    let chunks = (samples.joined().map(\.chunk).max() ?? 0) + 1
    let tolerance = Self.clockTolerance
    for operation in [StragglerOperation.forwardSend, .forwardReceive, .backwardSend, .backwardReceive] {
      let messages = samples(stage, operation)
      chain(messages.map(\.node))
      let computation: StragglerOperation = operation.isForward ? .forwardCompute : .backwardCompute
      let computations = samples(stage, computation)
      guard let lastStart = computations.map(\.start).max(), let firstEnd = computations.map(\.end).min()
      else { continue }
      let real = messages.filter {
        operation.isSend ? $0.end >= firstEnd - tolerance : $0.start <= lastStart + tolerance
      }
      // The first receive of a pass may be missing where it would have no sender.
      let first: Int32 = !operation.isSend && real.count + 1 == computations.count ? 1 : 0
      guard real.isEmpty || real.count + Int(first) == computations.count else {
        throw error(
          "messages do not match the computation",
          found: "\(real.count) of \(operation.rawValue) on stage \(stage)",
          allowed: "\(computations.count), as \(computation.rawValue)")
      }
      for (place, message) in real.enumerated() {
        let ordinal = first + Int32(place)
        guard let node = node(stage, computation, ordinal),
          let sample = computations.first(where: { $0.node == node })
        else {
          throw error(
            "a computation is missing", found: "\(computation.rawValue) \(ordinal) of stage \(stage)")
        }
        if operation.isSend {
          depend(message.node, on: node)
        } else {
          depend(node, on: message.node)
          if let before = self.node(stage, computation, ordinal - 1) { depend(message.node, on: before) }
        }
        let peer = Int(max(sample.chunk, 0)) * pipeline + stage + (operation.messageStep ?? 0)
        matched[message.node] = 0..<Int(max(chunks, 1)) * pipeline ~= peer
      }
    }
  }

  /// The first messages backward wait for the computation two before the first backward.
  private mutating func tieFirstBackward(_ stage: Int) {
    let computations = computations(stage)
    guard let first = computations.firstIndex(where: { $0.node.operation == .backwardCompute }), first >= 2
    else { return }
    for operation in [StragglerOperation.backwardReceive, .backwardSend] {
      if let message = node(stage, operation, 0) { depend(message, on: computations[first - 2].node) }
    }
  }

  /// Pairs the n-th real send of a type with the n-th real receive of the neighbour.
  private mutating func pairMessages(_ matched: [Node: Bool]) throws {
    func real(_ stage: Int, _ operation: StragglerOperation) -> [Node] {
      samples(stage, operation).map(\.node).filter { matched[$0] ?? false }
    }
    for stage in samples.indices {
      for operation in [StragglerOperation.forwardSend, .backwardSend] {
        guard let step = operation.messageStep, let counterpart = operation.counterpart else { continue }
        let peer = (stage + step + samples.count) % samples.count
        let (sends, receives) = (real(stage, operation), real(peer, counterpart))
        guard sends.count == receives.count else {
          throw error(
            "sends and receives of neighbouring stages differ",
            found: "\(sends.count) of \(operation.rawValue) on stage \(stage), \(receives.count) received",
            allowed: "as many of both")
        }
        for (send, receive) in zip(sends, receives) { group([send, receive], isAcrossData: false) }
      }
      for sample in samples[stage] where sample.node.operation.isMessage {
        if let place = index[sample.node], groupOfNode[place] < 0 {
          group([sample.node], isAcrossData: false)
        }
      }
    }
  }

  private mutating func group(_ members: [Node], isAcrossData across: Bool) {
    let places = members.compactMap { index[$0] }
    guard !places.isEmpty else { return }
    for place in places { groupOfNode[place] = groups.count }
    groups.append(places)
    isAcrossData.append(across)
  }

  private mutating func group(_ operation: StragglerOperation, across: Bool) {
    let ordinals = Set(nodes.filter { $0.operation == operation }.map(\.ordinal)).sorted()
    for ordinal in ordinals {
      group(nodes.filter { $0.operation == operation && $0.ordinal == ordinal }, isAcrossData: across)
    }
  }

  // MARK: Data parallelism and the step's end

  private mutating func tieDataParallel(_ stage: Int, _ usesData: Bool) {
    let computations = computations(stage)
    let gathers = samples(stage, .parametersAllGather)
    let reductions = samples(stage, .gradientsReduceScatter)
    let separate = samples(stage, .separateGradientsAllReduce)
    let isOverlapped = nodes.contains { $0.operation == .separateGradientsAllReduce }
    if usesData {
      chain((gathers + reductions).sorted { Self.isBefore($0, $1) }.map(\.node))
      tieGathers(gathers, computations)
      if isOverlapped { tieReductions(reductions, computations) }
      for sample in gathers + reductions + separate { group([sample.node], isAcrossData: true) }
    }
    var before: [Node] = []
    if let last = computations.max(by: { $0.end < $1.end }) {
      before = [last.node]
      if let collection = node(stage, .garbageCollection, 0) {
        depend(collection, on: last.node)
        before = [collection]
      }
    }
    if usesData, isOverlapped, let last = reductions.max(by: { $0.node.ordinal < $1.node.ordinal }) {
      before.append(last.node)
    }
    var tail = [node(stage, .layerNormGradientsAllReduce, 0), node(stage, .embeddingGradientsAllReduce, 0)]
    if usesData, isOverlapped {
      tail.append(node(stage, .separateGradientsAllReduce, 0))
    } else if usesData {
      tail += reductions.map(\.node).sorted { $0.ordinal < $1.ordinal }
    }
    tail += [node(stage, .clipMainGradients, 0), node(stage, .optimizer, 0)]
    let end = tail.compactMap { $0 }
    for node in before { if let first = end.first { depend(first, on: node) } }
    chain(end)
  }

  /// The first forward of a model chunk waits for the last gather of its parameters.
  private mutating func tieGathers(_ gathers: [Sample], _ computations: [Sample]) {
    var seen: Set<Int32> = []
    for gather in gathers.sorted(by: { $0.node.ordinal > $1.node.ordinal })
    where seen.insert(gather.chunk).inserted {
      let forwards = computations.filter { $0.node.operation == .forwardCompute && $0.chunk == gather.chunk }
      if let first = forwards.first { depend(first.node, on: gather.node) }
    }
  }

  /// The first reduction of a model chunk waits for its last backward.
  private mutating func tieReductions(_ reductions: [Sample], _ computations: [Sample]) {
    var seen: Set<Int32> = []
    for reduction in reductions.sorted(by: { $0.node.ordinal < $1.node.ordinal })
    where seen.insert(reduction.chunk).inserted {
      let backwards = computations.filter {
        $0.node.operation == .backwardCompute && $0.chunk == reduction.chunk
      }
      if let last = backwards.max(by: { $0.end < $1.end }) { depend(reduction.node, on: last.node) }
    }
  }

  // MARK: Order

  private mutating func sort() throws {
    var waiting = dependencies.map(\.count)
    var after: [[Int]] = Array(repeating: [], count: nodes.count)
    for (node, list) in dependencies.enumerated() { for before in list { after[before].append(node) } }
    var absent = groups.map(\.count)
    var ready = nodes.indices.filter { waiting[$0] == 0 }
    var next = 0
    func end(_ node: Int) {
      for other in after[node] {
        waiting[other] -= 1
        if waiting[other] == 0 { ready.append(other) }
      }
    }
    while next < ready.count {
      let node = ready[next]
      next += 1
      order.append(.start(node))
      let group = groupOfNode[node]
      if group < 0 {
        end(node)
      } else {
        absent[group] -= 1
        if absent[group] == 0 {
          order.append(.end(group: group))
          for member in groups[group] { end(member) }
        }
      }
    }
    let ended = Set(ready.filter { groupOfNode[$0] < 0 || absent[groupOfNode[$0]] == 0 })
    if let stuck = nodes.indices.first(where: { !ended.contains($0) }) {
      throw error(
        "operations wait for each other in a circle", found: Self.name(nodes[stuck]),
        allowed: "an order in which every operation can run")
    }
  }
}
