import Models
import Operators
import Plans
import Programs
import Schedules
import TestSupport
import Testing

@Suite struct `Lowering an order` {
  private func program(_ planned: Planned) throws -> (
    plan: ValidPlan, program: Program, verified: VerifiedProgram
  ) {
    let (plan, order) = try planned.lowered()
    let program = lower(plan, order: order, seed: 1)
    return (plan, program, try VerifiedProgram(program))
  }

  private func count(
    _ code: Code, _ kind: TaskKind, in program: Program, group: String? = nil, lane: Lane? = nil
  ) -> Int {
    (0..<code.count).count {
      code.kind[$0] == kind && (lane == nil || code.lane[$0] == lane)
        && (group == nil || program.communicators[Int(code.communicator[$0])].name == group)
    }
  }

  static let schedules: [Planned] = [
    Planned(schedule: .gpipe, pipeline: 3, microBatches: 5),
    Planned(pipeline: 4, microBatches: 6),
    Planned(schedule: .interleaved, pipeline: 4, virtualStages: 2, microBatches: 8),
    Planned(schedule: .zeroBubble, pipeline: 4, microBatches: 6),
    Planned(schedule: .dualPipe, pipeline: 4, microBatches: 10),
    Planned(schedule: .dualPipeV, pipeline: 3, microBatches: 7),
  ]

  @Test(arguments: schedules.indices, 0...7)
  func `gives a program that runs, whatever is combined`(schedule: Int, combination: Int) throws {
    for zeroStage in [combination % 4, 3 - (combination + schedule) % 4] {
      var planned = Self.schedules[schedule]
      planned.data = 2
      planned.isMixture = combination % 2 == 1
      let isMixture = planned.isMixture
      planned.change = { plan in
        plan.zeroStage = zeroStage
        plan.tensor = combination & 2 != 0 ? 2 : 1
        plan.sequenceParallel = plan.tensor > 1 && (isMixture || zeroStage % 2 == 0)
        plan.expert = isMixture ? 2 : 1
        plan.recompute = combination & 4 != 0 ? .full : .none
        plan.overlap.tensorCollectives = TensorOverlap.allCases[zeroStage % 3]
        plan.overlap.gradientReduction = combination % 3 != 0
        plan.overlap.parameterGather = combination % 3 != 1
      }
      let (plan, program, verified) = try program(planned)
      #expect(verified.roles.isSymmetric && verified.roles.count == plan.plan.pipeline)
      for code in program.codes { #expect(code.memory.reduce(0, +) == 0, "activations are given back") }
    }
  }

  @Test(arguments: schedules.indices) func `sends each tensor once between neighbouring stages`(index: Int)
    throws
  {
    let (plan, program, verified) = try program(Self.schedules[index])
    let sends = program.codes.reduce(0) { $0 + count($1, .send, in: program) }
    let receives = program.codes.reduce(0) { $0 + count($1, .receive, in: program) }
    // The V turns within its last rank.
    let boundaries = plan.stages - 1 - (plan.plan.schedule == .dualPipeV ? 1 : 0)
    #expect(sends == 2 * boundaries * plan.microBatches && receives == sends)
    #expect(verified.meetings.count >= sends)
    for code in program.codes {
      for task in 0..<code.count where code.kind[task] == .send {
        #expect(code.bytes[task] == Int64(Planned.sequence * Planned.hidden * 2))
      }
    }
  }

  @Test func `cuts messages among tensor ranks, which gather them again where the residual is whole`() throws
  {
    var planned = Planned(pipeline: 2, microBatches: 3)
    planned.change = { $0.tensor = 2 }
    let whole = try program(planned).program
    planned.change = {
      $0.tensor = 2
      $0.sequenceParallel = true
    }
    let cut = try program(planned).program
    for program in [whole, cut] {
      let bytes = program.codes[0].bytes.indices.filter { program.codes[0].kind[$0] == .send }
        .map { program.codes[0].bytes[$0] }
      #expect(bytes == Array(repeating: Int64(Planned.sequence * Planned.hidden * 2 / 2), count: 3))
    }
    #expect(
      count(whole.codes[0], .allGather, in: whole, group: "tensor") == 3, "one for each gradient that arrives"
    )
    #expect(count(whole.codes[1], .allGather, in: whole, group: "tensor") == 3)
  }

  @Test func `has four all-reduces a layer with tensor parallelism, as Megatron's`() throws {
    // Source: Megatron-LM, arXiv 1909.08053, section 3: two in the forward pass and two in the backward pass.
    var planned = Planned(microBatches: 3)
    planned.change = { $0.tensor = 2 }
    var (_, program, _) = try program(planned)
    var code = program.codes[0]
    #expect(count(code, .allReduce, in: program, group: "tensor") == 3 * 2 * 4)
    for task in 0..<code.count where code.kind[task] == .allReduce && code.lane[task] == .communication {
      #expect(code.bytes[task] == Int64(Planned.sequence * Planned.hidden * 2))
    }
    // Full recomputation runs the forward's again: six.
    planned.change = {
      $0.tensor = 2
      $0.recompute = .full
    }
    (_, program, _) = try self.program(planned)
    code = program.codes[0]
    #expect(count(code, .allReduce, in: program, group: "tensor") == 3 * 2 * 6)
  }

  @Test func `has four all-gathers and four reduce-scatters a layer with sequence parallelism`() throws {
    // Source: Korthikanti et al., arXiv 2205.05198, section 4.2.2.
    for overlaps in [false, true] {
      var planned = Planned(microBatches: 3)
      planned.change = {
        $0.tensor = 2
        $0.sequenceParallel = true
        $0.overlap.tensorCollectives = overlaps ? .all : .none
      }
      let (_, program, _) = try program(planned)
      let code = program.codes[0]
      // Overlapped forward collectives come in two pieces.
      #expect(count(code, .allGather, in: program, group: "tensor") == 3 * 2 * (overlaps ? 6 : 4))
      #expect(count(code, .reduceScatter, in: program, group: "tensor") == 3 * 2 * (overlaps ? 6 : 4))
      let bytes = (0..<code.count).filter { code.lane[$0] == .communication }.reduce(0) {
        $0 + code.bytes[$1]
      }
      #expect(bytes == Int64(3 * 2 * 8 * Planned.sequence * Planned.hidden * 2))
    }
  }

  @Test func `dispatches and combines once a layer in each direction`() throws {
    var planned = Planned(pipeline: 2, microBatches: 4, layersPerStage: 3, data: 4, isMixture: true)
    planned.change = { $0.expert = 4 }
    let (plan, program, _) = try program(planned)
    #expect(program.exchanges.count == 4, "forward and backward, there and back")
    for code in program.codes {
      for kind in [TaskKind.dispatch, .combine] {
        #expect(count(code, kind, in: program, group: "expert") == 2 * 3 * 4)
      }
      for task in 0..<code.count where code.kind[task] == .dispatch {
        let exchange = program.exchanges[Int(code.work[task])]
        #expect(exchange.tokens == Double(plan.residualTokens))
        #expect(
          code.bytes[task]
            == Int64((exchange.tokens * exchange.ranksPerToken * exchange.bytesPerToken).rounded()))
        // Two of eight experts on four ranks: 4 (1 - C(6, 2) / C(8, 2)) ranks on average.
        #expect(abs(exchange.ranksPerToken - 4 * (1 - 15.0 / 28)) < 0.05)
      }
      let known = (0..<code.count).filter {
        code.kind[$0] == .dispatch && code.tag[$0] == Exchange.knownLayoutTag
      }
      #expect(known.count == 3 * 4, "backwards know where the tokens went")
    }
  }

  @Test func `cuts experts by tensor in both directions alike`() throws {
    var planned = Planned(microBatches: 2, data: 2, isMixture: true)
    planned.change = {
      $0.tensor = 2
      $0.sequenceParallel = true
      $0.expert = 2
      $0.expertTensor = 2
    }
    let (_, program, _) = try program(planned)
    let code = program.codes[0]
    for kind in [TaskKind.allGather, .reduceScatter] {
      #expect(count(code, kind, in: program, group: "expert_tensor") == 2 * 2 * 2)
    }
  }

  @Test func `reduces DualPipe's gradients over both ranks that hold a stage`() throws {
    let (plan, program, verified) = try program(
      Planned(schedule: .dualPipe, pipeline: 4, microBatches: 8, data: 3))
    let data = try #require(program.communicators.first { $0.name == "data" })
    for rank in 0..<plan.ranks {
      let stages = data.group(ofRank: rank).map { plan.grid.coordinates(of: Int($0)).pipeline }
      let own = plan.grid.coordinates(of: rank).pipeline
      #expect(Set(stages) == [own, 3 - own] && stages.count == 6)
    }
    func reductions(_ code: Code) -> [Int64] {
      (0..<code.count).filter { code.kind[$0] == .reduceScatter }.map { code.bytes[$0] }
    }
    for rank in 0..<2 {
      #expect(!reductions(program.codes[rank]).isEmpty)
      #expect(reductions(program.codes[rank]) == reductions(program.codes[3 - rank]))
    }
    #expect(verified.roles.count == 4)
  }

  @Test(arguments: schedules.indices)
  func `reduces every gradient once, or once a micro-batch from ZeRO stage 2 on`(index: Int) throws {
    for zeroStage in 0...3 {
      for overlaps in [true, false] {
        var planned = Self.schedules[index]
        planned.data = 2
        planned.change = {
          $0.zeroStage = zeroStage
          $0.overlap.gradientReduction = overlaps
        }
        let (plan, program, _) = try program(planned)
        let kind: TaskKind = zeroStage == 0 ? .allReduce : .reduceScatter
        let times = zeroStage >= 2 ? plan.microBatches / (plan.plan.schedule == .dualPipe ? 2 : 1) : 1
        for (rank, code) in program.codes.enumerated() {
          let reduced = (0..<code.count).filter {
            code.kind[$0] == kind && code.lane[$0] == .reduction
              && program.communicators[Int(code.communicator[$0])].name == "data"
          }.reduce(0) { $0 + code.bytes[$1] }
          let parameters = (0..<plan.partsPerRank).reduce(0) {
            $0 + parameterCount(plan.contents(rank: rank, part: $1), plan)
          }
          #expect(reduced == Int64(parameters * times * 4), "zero \(zeroStage), rank \(rank)")
        }
      }
    }
  }

  /// Parameters of a stage of the tiny GPT: a layer's matrices and norms, embedding, head.
  private func parameterCount(_ stage: StageContents, _ plan: ValidPlan) -> Int {
    let options = plan.plan.operators
    func sum(_ operators: [Operator]) -> Int { operators.reduce(0) { $0 + $1.parameters } }
    var count = 0
    for layer in stage.layers {
      count += sum(
        plan.model.attentionOperators(
          layer: layer, batch: plan.batch, slice: plan.slice, precision: plan.plan.precision.operators,
          options: options))
      count += sum(
        plan.model.feedForwardOperators(
          layer: layer, batch: plan.batch, slice: plan.slice, precision: plan.plan.precision.operators,
          options: options))
    }
    if stage.embedding {
      count += sum(
        plan.model.embeddingOperators(
          batch: plan.batch, slice: plan.slice, precision: plan.plan.precision.operators, options: options))
    }
    if stage.head {
      count += sum(
        plan.model.headOperators(
          batch: plan.batch, slice: plan.slice, precision: plan.plan.precision.operators, options: options))
    }
    return count
  }

  @Test func `gathers sharded parameters once for each forward and each backward`() throws {
    for recompute in [Recompute.none, .full] {
      var planned = Planned(microBatches: 3, data: 2)
      planned.change = {
        $0.zeroStage = 3
        $0.recompute = recompute
      }
      let (_, program, _) = try program(planned)
      // Embedding, two layers, head; three micro-batches; forward and backward.
      #expect(count(program.codes[0], .allGather, in: program, group: "data") == 4 * 3 * 2)
    }
  }

  @Test func `has the gradients' reduction wait for the last weight gradient`() throws {
    var planned = Planned(microBatches: 2, data: 2)
    planned.change = { $0.overlap.gradientReduction = false }
    let (_, program, _) = try program(planned)
    let code = program.codes[0]
    let reduction = try #require((0..<code.count).first { code.kind[$0] == .reduceScatter })
    let last = try #require((0..<reduction).last { code.kind[$0] == .compute })
    #expect(program.works[Int(code.work[last])].pass == .weightGradient)
    #expect(code.dependencies(of: reduction).contains(Int32(last)))
  }

  @Test func `computes each pass of each segment once`() throws {
    let (_, program, _) = try program(Planned(pipeline: 2, microBatches: 5))
    // First rank: embedding and two layers of two halves each, forward, input gradient, weight gradient; the
    // embedding has no input gradient. Last rank: two layers and the head. One optimizer each.
    for (code, embedding) in zip(program.codes, [true, false]) {
      let compute = (0..<code.count).filter { code.kind[$0] == .compute }
      let passes = compute.map { program.works[Int(code.work[$0])].pass }
      #expect(passes.count { $0 == .inputGradient } == 5 * (embedding ? 4 : 5))
      #expect(passes.count { $0 == .weightGradient } == 5 * 5)
      #expect(passes.count { $0 == .forward } == 5 * 5 + 1)
      #expect(
        code.slots.count { $0.phase == .forward } == 5 && code.slots.count { $0.phase == .backward } == 5)
    }
  }

  @Test(arguments: schedules.indices) func `holds up messages without hanging where they are not overlapped`(
    index: Int
  ) throws {
    var planned = Self.schedules[index]
    planned.change = { $0.overlap = .none }
    #expect(throws: Never.self) { try program(planned) }
  }

  @Test func `holds the activations that its order holds`() throws {
    // Ranks whose stages are plain layers, so that every chunk keeps alike.
    let cases: [(Planned, ClosedRange<Int>)] = [
      (Planned(schedule: .gpipe, pipeline: 4, microBatches: 5), 1...2),
      (Planned(pipeline: 4, microBatches: 6), 1...2),
      (Planned(schedule: .interleaved, pipeline: 4, virtualStages: 2, microBatches: 8), 1...2),
      (Planned(schedule: .zeroBubble, pipeline: 4, microBatches: 6), 1...2),
      (Planned(schedule: .dualPipe, pipeline: 8, microBatches: 20), 1...6),
      (Planned(schedule: .dualPipeV, pipeline: 4, microBatches: 10), 1...3),
    ]
    for (planned, ranks) in cases {
      let (_, order) = try planned.lowered()
      let (_, program, verified) = try program(planned)
      var interpreter = Interpreter(verified)
      try interpreter.run()
      let peaks = order.activationPeaks(until: .weightGradient)
      for rank in ranks {
        let kept = try #require(program.codes[rank].memory.first { $0 > 0 })
        #expect(interpreter.peakMemory[rank] == kept * Int64(peaks[rank]), "\(planned.schedule) rank \(rank)")
      }
    }
  }

  @Test func `is the same for the same seed`() throws {
    var planned = Planned(pipeline: 2, microBatches: 4, data: 2, isMixture: true)
    planned.change = { $0.expert = 2 }
    let (plan, order) = try planned.lowered()
    #expect(lower(plan, order: order, seed: 5) == lower(plan, order: order, seed: 5))
    #expect(lower(plan, order: order, seed: 5).exchanges != lower(plan, order: order, seed: 6).exchanges)
  }
}
