import Models
import Operators
import Plans
import Programs
import Schedules
import TestSupport
import Testing
import Units

/// Which parameters travel together, when, and among whom.
@Suite struct `Buckets of a lowered step` {
  private struct Reduction: Hashable {
    var bucket: Bucket
    var group: String
    var kind: TaskKind
    var bytes: Int64
  }

  private func lowered(_ planned: Planned) throws -> (plan: ValidPlan, program: Program) {
    let (plan, order) = try planned.lowered()
    let program = lower(plan, order: order, seed: 1)
    _ = try VerifiedProgram(program)
    return (plan, program)
  }

  private func tasks(_ code: Code, _ purpose: TaskPurpose) -> [Int] {
    (0..<code.count).filter { code.purpose[$0] == purpose }
  }

  private func reductions(_ code: Code, _ purpose: TaskPurpose, in program: Program) -> [Reduction] {
    tasks(code, purpose).map { task in
      Reduction(
        bucket: Bucket(tag: code.tag[task]),
        group: program.communicators[Int(code.communicator[task])].name, kind: code.kind[task],
        bytes: code.bytes[task])
    }
  }

  static let schedules: [Planned] = [
    Planned(schedule: .gpipe, pipeline: 3, microBatches: 5),
    Planned(pipeline: 1, microBatches: 2),
    Planned(pipeline: 4, microBatches: 6),
    Planned(schedule: .interleaved, pipeline: 2, virtualStages: 2, microBatches: 8),
    Planned(schedule: .zeroBubble, pipeline: 4, microBatches: 6),
    Planned(schedule: .dualPipe, pipeline: 4, microBatches: 10),
    Planned(schedule: .dualPipeV, pipeline: 3, microBatches: 7),
  ]

  @Test(arguments: schedules.indices, 0...7)
  func `every task names the segment it works on, and runs its section`(index: Int, combination: Int) throws {
    var planned = Self.schedules[index]
    planned.data = 2
    planned.isMixture = true
    planned.predictionDepth = combination & 1
    planned.isTied = combination & 2 != 0
    planned.hasSelectionBias = true
    planned.change = {
      $0.expert = 2
      $0.recompute = combination & 4 != 0 ? .full : .none
      $0.zeroStage = combination % 4
    }
    let (plan, program) = try lowered(planned)
    for code in program.codes {
      for task in 0..<code.count {
        guard let chunk = code.chunk(ofTask: task) else {
          let isOptimizer = code.slots[Int(code.slot[task])].phase == .optimizer
          #expect(code.segment[task] == -1 && (isOptimizer || code.lane[task] == .reduction))
          continue
        }
        guard code.segment[task] >= 0 else {
          #expect(code.lane[task] != .compute)
          continue
        }
        let segment = plan.segments(ofStage: Int(chunk.stage))[Int(code.segment[task])]
        let sections: [Section]
        switch segment {
        case .embedding: sections = [.embedding]
        case .layer(let layer):
          #expect(code.layer[task] == Int32(layer))
          sections = [.attention, .experts, .sharedExperts]
        case .head, .predictionHead: sections = [.head]
        case .prediction: sections = [.prediction]
        }
        if code.kind[task] == .compute {
          let work = program.works[Int(code.work[task])]
          #expect(sections.contains(work.section), "\(work.name) of \(segment)")
          #expect((code.pass[task] == .backward) == (work.pass != .forward))
        } else {
          #expect(code.layer[task] >= 0 && code.purpose[task] != .unspecified)
        }
      }
    }
  }

  @Test(arguments: schedules.indices)
  func `both directions together number the step's micro-batches once`(index: Int) throws {
    let (plan, program) = try lowered(Self.schedules[index])
    var batches: [Int32: Set<Int32>] = [:]
    for code in program.codes {
      for chunk in code.slots.compactMap(\.forward) {
        #expect(batches[chunk.stage, default: []].insert(chunk.batch).inserted)
      }
    }
    #expect(batches.count == plan.stages)
    for numbers in batches.values { #expect(numbers.sorted() == (0..<plan.microBatches).map(Int32.init)) }
  }

  @Test(arguments: schedules.indices, [0, 1])
  func `parameters of a rank are in its buckets, each once, as in its memory`(index: Int, zeroStage: Int)
    throws
  {
    for (isTied, depth) in [(false, 0), (true, 0), (false, 1), (false, 2), (true, 1)] {
      var planned = Self.schedules[index]
      (planned.data, planned.isTied, planned.predictionDepth) = (2, isTied, depth)
      planned.change = {
        $0.zeroStage = zeroStage
        $0.precision.parameters = .float32
      }
      let (plan, program) = try lowered(planned)
      let zero = Sourced(Bytes.zero, tag: .assumed, source: "test")
      let memory = memory(
        of: plan,
        reserve: MemoryReserve(
          context: zero, communicationLibrary: zero,
          fragmentation: Sourced(Ratio(0), tag: .assumed, source: "test")))
      for (rank, code) in program.codes.enumerated() {
        let reduced = reductions(code, .gradients, in: program)
        #expect(reduced.allSatisfy { $0.kind == (zeroStage == 0 ? .allReduce : .reduceScatter) })
        #expect(Set(reduced.map(\.bucket)).count == reduced.count)
        #expect(
          reduced.reduce(0) { $0 + $1.bytes } == memory.ranks[rank][.parameters].count,
          "rank \(rank) of \(plan.plan.schedule)")
        if zeroStage > 0 {
          let gathered = reductions(code, .parameters, in: program).map(\.bucket)
          #expect(Set(gathered) == Set(reduced.map(\.bucket)) && gathered.count == reduced.count)
        }
      }
    }
  }

  @Test(arguments: schedules.indices)
  func `an embedding used at both ends is reduced after both uses, copies first among themselves`(index: Int)
    throws
  {
    for (isTied, depth) in [(true, 0), (false, 1)] {
      var planned = Self.schedules[index]
      (planned.data, planned.isTied, planned.predictionDepth) = (2, isTied, depth)
      let (plan, program) = try lowered(planned)
      let embedding = program.communicators.first { $0.name == "embedding" }
      #expect((embedding != nil) == (plan.embeddingSharing == .acrossRanks))
      let matrix = Int64(1024 * Planned.hidden * 4)
      for (rank, code) in program.codes.enumerated() {
        let shared = tasks(code, .sharedEmbedding)
        let isEnd = rank == 0 || rank == plan.plan.pipeline - 1
        guard plan.embeddingSharing == .acrossRanks, isEnd else {
          #expect(shared.isEmpty)
          continue
        }
        let task = try #require(shared.first)
        #expect(shared.count == 1 && code.bytes[task] == matrix && code.kind[task] == .allReduce)
        #expect(code.bucket(ofTask: task) == Bucket(stage: 0, segment: 0))
        // Behind it on the lane its own bucket, and nothing else of gradients.
        let after = tasks(code, .gradients).filter { $0 > task }
        #expect(after.count == 1 && code.bytes[after[0]] >= matrix)
        #expect(code.dependencies(of: after[0]).contains(Int32(task)))
        #expect(tasks(code, .gradients).last == after[0])
      }
      guard plan.embeddingSharing == .withinRank else { continue }
      for code in program.codes {
        guard let last = tasks(code, .gradients).last,
          tasks(code, .gradients).contains(where: { code.tag[$0] == 0 })
        else { continue }
        #expect(code.bucket(ofTask: last) == Bucket(stage: 0, segment: 0))
        #expect(code.slots[Int(code.slot[last])].phase == .optimizer)
      }
    }
    var planned = Self.schedules[index]
    planned.data = 2
    let (plan, program) = try lowered(planned)
    #expect(plan.embeddingSharing == .none)
    #expect(program.codes.allSatisfy { tasks($0, .sharedEmbedding).isEmpty })
  }

  @Test(arguments: schedules.indices, 0...3)
  func `experts are counted once a step in each layer whose router has a bias`(index: Int, zeroStage: Int)
    throws
  {
    for overlaps in [true, false] {
      var planned = Self.schedules[index]
      (planned.data, planned.isMixture, planned.hasSelectionBias) = (2, true, true)
      planned.predictionDepth = 1
      planned.change = {
        $0.expert = 2
        $0.zeroStage = zeroStage
        $0.overlap.gradientReduction = overlaps
      }
      let (plan, program) = try lowered(planned)
      for (rank, code) in program.codes.enumerated() {
        let expected = (0..<plan.partsPerRank).flatMap { part -> [Reduction] in
          let stage = plan.stage(rank: rank, part: part)
          return plan.segments(ofStage: stage).enumerated().compactMap { index, segment in
            guard case .layer = segment else { return nil }
            return Reduction(
              bucket: Bucket(stage: stage, segment: index), group: "data", kind: .allReduce, bytes: 8 * 4)
          }
        }
        let counts = reductions(code, .expertCounts, in: program)
        #expect(Set(counts) == Set(expected) && counts.count == expected.count)
      }
      planned.hasSelectionBias = false
      let plain = try lowered(planned).program
      #expect(plain.codes.allSatisfy { tasks($0, .expertCounts).isEmpty })
    }
  }

  @Test func `tensor ranks that route different tokens add their counts too`() throws {
    var planned = Planned(microBatches: 2, data: 2, isMixture: true)
    planned.hasSelectionBias = true
    planned.change = {
      $0.tensor = 2
      $0.sequenceParallel = true
    }
    let (_, program) = try lowered(planned)
    #expect(
      reductions(program.codes[0], .expertCounts, in: program).map(\.group) == [
        "tensor", "data", "tensor", "data",
      ])
  }

  @Test func `a plan may be float32 throughout`() throws {
    var planned = Planned(pipeline: 2, microBatches: 4, data: 2, isMixture: true)
    planned.change = { plan in
      plan.expert = 2
      plan.precision = PlanPrecision()
      plan.precision.operators = Precision(
        linear: .float32, attention: .float32, head: .float32, router: .float32, residual: .float32)
      (plan.precision.dispatch, plan.precision.combine) = (.float32, .float32)
      plan.precision.parameters = .float32
    }
    let (plan, program) = try lowered(planned)
    #expect(plan.residualBytesPerToken == Planned.hidden * 4)
    for code in program.codes {
      for task in 0..<code.count where code.kind[task] != .compute {
        #expect([1, 4, 8].contains(code.elementBytes[task]))
        if code.kind[task] == .send {
          #expect(code.bytes[task] == Int64(Planned.sequence * Planned.hidden * 4))
        }
      }
    }
    #expect(program.exchanges.allSatisfy { $0.bytesPerToken == Double(Planned.hidden * 4) })
    for work in program.works {
      for kernel in work.kernels {
        switch kernel {
        case .matrixProduct(let product): #expect(product.format == .float32)
        case .fusedAttention(let attention): #expect(attention.format == .float32)
        case .memoryPass: break
        }
      }
    }
  }
}
