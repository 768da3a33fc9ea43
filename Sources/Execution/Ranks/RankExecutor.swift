import Plans
import Programs

/// Runs one rank's code of a verified program, step after step.
///
/// Compute tasks run on the calling thread, one after the other; communication goes on between them and while the rank
/// has nothing to compute. Tasks start in the order of their lanes once their dependencies are done, as in the untimed
/// interpreter and in the simulator, so that what was proven of the program holds here.
final class RankExecutor {
  let program: Program
  let code: Code
  let state: ModelState
  let transport: any Transport
  let tokens: any TokenSource
  let losses: StepLosses
  let compute: SegmentCompute
  let optimizer: OptimizerStep
  let channels: Channels
  let links: StageLinks
  var chunks: ChunkPool
  /// Steps that were done before the one at hand.
  private(set) var step = 0
  private(set) var record: TaskRecord
  private var queues: LaneQueues
  private var running: [(any Operation)?]
  private var runningTask: [Int]
  /// Room for the shards that a reduction receives.
  let reductionScratch: FloatBuffer
  let staging = Staging()
  let norm = Buffer<Double>(count: 1)

  init(
    _ program: VerifiedProgram, state: ModelState, transport: any Transport, tokens: any TokenSource,
    options: ExecutionOptions, choices: (any ExpertChoices)? = nil
  ) throws {
    let rank = transport.rank
    let codeIndex = Int(program.program.codeOfRank[rank])
    self.program = program.program
    code = program.program.codes[codeIndex]
    self.state = state
    self.transport = transport
    self.tokens = tokens
    let plan = state.plan
    losses = StepLosses(batches: plan.microBatches)
    let given = choices.map { GivenChoices($0, plan: plan, rank: rank) }
    let expertGroups = program.program.communicators.first { $0.name == GroupKind.expert.rawValue }
    compute = SegmentCompute(
      state, expertGroup: expertGroups.map { Int($0.groupOfRank[rank]) } ?? 0, losses: losses, given: given)
    optimizer = OptimizerStep(state, options: options)
    channels = Channels(program.program)
    links = StageLinks(state)
    chunks = ChunkPool(state, code: code, microBatches: plan.microBatches, links: links)
    queues = LaneQueues(code, dependents: program.dependents[codeIndex])
    record = TaskRecord(tasks: code.count)
    running = Array(repeating: nil, count: Lane.count)
    runningTask = Array(repeating: -1, count: Lane.count)
    let largest = state.buckets.map(\.count).max() ?? 0
    // Shards of all members together are the buffer; with doubles and rounding there may be a few more.
    reductionScratch = FloatBuffer(
      count: largest + (plan.model.mixture?.routedExperts ?? 0) + 2 * plan.ranks + 2)
    try transport.open(channels: channels.groups)
  }

  /// Runs the program once.
  ///
  /// - Parameter step: Steps done before; says which sequences are read.
  func run(step: Int) throws {
    self.step = step
    queues.reset()
    losses.clear()
    compute.mixture.beginStep()
    while queues.remaining > 0 {
      let moved = try advanceLanes()
      if let task = queues.ready(Lane.compute.index) {
        try runCompute(task)
      } else if !moved, queues.remaining > 0 {
        try transport.waitForAny(running.compactMap { $0?.request })
      }
    }
  }

  // MARK: Lanes

  private func runCompute(_ task: Int) throws {
    record.started[task] = monotonicNanoseconds()
    let processor = threadNanoseconds()
    let work = program.works[Int(code.work[task])]
    if work.section == .optimizer {
      optimizer.run(step: step, norm: program.ranks > 1 ? norm.pointer.pointee : nil)
    } else if let chunk = code.chunk(ofTask: task) {
      let buffers = buffers(of: chunk, isForward: code.pass[task] == .forward)
      compute.run(work, chunk: buffers, part: Int(chunk.part), segment: Int(code.segment[task]))
    }
    record.processor[task] = threadNanoseconds() - processor
    complete(task, on: Lane.compute.index)
  }

  /// Starts what may start and moves on what is under way.
  ///
  /// - Returns: Whether anything was done.
  private func advanceLanes() throws -> Bool {
    var moved = false
    for lane in 0..<Lane.count where lane != Lane.compute.index {
      while true {
        if running[lane] == nil {
          guard let task = queues.ready(lane) else { break }
          record.begin(task)
          runningTask[lane] = task
          running[lane] = try counting(task) { try operation(for: task) }
        }
        guard let operation = running[lane] else { break }
        let task = runningTask[lane]
        guard try counting(task, { try operation.advance() }) else { break }
        running[lane] = nil
        complete(task, on: lane)
        moved = true
      }
    }
    return moved
  }

  /// Books what a call moves, and the processor time it takes, on a task.
  private func counting<Value>(_ task: Int, _ body: () throws -> Value) rethrows -> Value {
    let before = transport.counters
    let processor = threadNanoseconds()
    defer {
      let after = transport.counters
      record.sent[task] += after.bytesSent - before.bytesSent
      record.received[task] += after.bytesReceived - before.bytesReceived
      record.processor[task] += threadNanoseconds() - processor
    }
    return try body()
  }

  private func complete(_ task: Int, on lane: Int) {
    record.ended[task] = monotonicNanoseconds()
    queues.complete(task, on: lane)
    if let chunk = code.chunk(ofTask: task) {
      chunks.release(part: Int(chunk.part), microBatch: Int(chunk.microBatch))
    }
  }

  // MARK: Chunks

  /// A chunk's buffers, with what the neighbouring stage of this rank left for it.
  func buffers(of chunk: StageChunk, isForward: Bool) -> ChunkBuffers {
    let (part, microBatch) = (Int(chunk.part), Int(chunk.microBatch))
    let buffers = chunks.buffers(part: part, microBatch: microBatch) { prepare($0, batch: Int(chunk.batch)) }
    if isForward, !buffers.hasInput {
      buffers.hasInput = true
      if let previous = links.previous[part], let source = chunks[previous, microBatch] {
        buffers.input.pointer.update(from: source.output, count: buffers.input.count)
      }
    } else if !isForward, !buffers.hasGradient {
      buffers.hasGradient = true
      if let next = links.next[part], let source = chunks[next, microBatch] {
        buffers.gradient.pointer.update(from: source.gradient.pointer, count: buffers.gradient.count)
        chunks.release(part: next, microBatch: microBatch)
      }
    }
    return buffers
  }

  private func prepare(_ buffers: ChunkBuffers, batch: Int) {
    buffers.batch = batch
    guard buffers.tokens.count > 0 else { return }
    let plan = state.plan
    let (count, length) = (plan.plan.microBatch, plan.plan.sequence)
    let shifts = 2 + plan.model.multiTokenPredictionDepth
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: length + shifts - 1) { row in
      for slot in 0..<count {
        tokens.read(sequence: sequence(batch: batch, slot: slot), into: row)
        for shift in 0..<shifts {
          let target = buffers.tokens.pointer + (shift * count + slot) * length
          for position in 0..<length { target[position] = row[position + shift] }
        }
      }
    }
  }

  /// The number of a sequence of this rank among all that were ever read.
  func sequence(batch: Int, slot: Int) -> Int {
    let plan = state.plan
    let (count, data) = (plan.plan.microBatch, plan.dataParallel)
    let index = plan.grid.coordinates(of: state.rank).data
    return step * plan.plan.globalBatch + batch * data * count + index * count + slot
  }
}
