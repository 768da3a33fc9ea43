import Clusters
import Models
import Operators
import Plans
import Testing
import Units

@Suite struct MemoryTests {
  /// 8 GPUs, a GPT without tied embeddings, bfloat16 with float32 accumulation.
  static func valid(
    _ change: (inout Plan) -> Void = { _ in },
    model: Model = gpt(hidden: 1024, layers: 8, heads: 16, tied: false)
  )
    throws -> ValidPlan
  {
    var plan = Plan(name: "memory", source: "test", globalBatch: 64, sequence: 2048)
    plan.zeroStage = 0
    plan.precision.gradients = .bfloat16
    change(&plan)
    return try validate(plan, model: model, cluster: cluster(nodes: 1))
  }

  static func states(_ rank: MemoryBreakdown) -> [Int64] {
    [rank[.parameters], rank[.gradients], rank[.optimizerMoments], rank[.master]].map(\.count)
  }

  /// 2 Ψ + 2 Ψ + 12 Ψ, divided by eight from left to right. Source: arXiv 1910.02054, figure 1.
  @Test func `ZeRO's stages divide sixteen bytes a parameter`() throws {
    let parameters = Int64(gpt(hidden: 1024, layers: 8, heads: 16, tied: false).parameters.total)
    let expected: [[Int64]] = [
      [2 * parameters, 2 * parameters, 8 * parameters, 4 * parameters],
      [2 * parameters, 2 * parameters, parameters, parameters / 2],
    ]
    for stage in 0...1 {
      let report = memory(of: try Self.valid { $0.zeroStage = stage }, reserve: noReserve)
      #expect(Self.states(report.worst) == expected[stage])
    }
    // From stage 2 on, two buffers of the largest unit are whole: a layer's 12 h² + 13 h.
    let layer = Int64(12 * 1024 * 1024 + 13 * 1024)
    let two = memory(of: try Self.valid { $0.zeroStage = 2 }, reserve: noReserve).worst
    #expect(Self.states(two) == [2 * parameters, parameters / 4 + 4 * layer, parameters, parameters / 2])
    let three = memory(of: try Self.valid { $0.zeroStage = 3 }, reserve: noReserve).worst
    #expect(
      Self.states(three) == [
        parameters / 4 + 4 * layer, parameters / 4 + 4 * layer, parameters, parameters / 2,
      ])
  }

  @Test func `float32 parameters need no master`() throws {
    let plan = try Self.valid { $0.precision.parameters = .float32 }
    #expect(memory(of: plan, reserve: noReserve).worst[.master] == .zero)
  }

  @Test func `tied embeddings are held once on one rank and twice on two`() throws {
    let matrix = Int64(51_200 * 1024)
    func parameters(tied: Bool, pipeline: Int) throws -> [Int64] {
      let plan = try Self.valid(
        { $0.pipeline = pipeline }, model: gpt(hidden: 1024, layers: 8, heads: 16, tied: tied))
      return memory(of: plan, reserve: noReserve).ranks.map { $0[.parameters].count / 2 }
    }
    #expect(try parameters(tied: false, pipeline: 1)[0] - parameters(tied: true, pipeline: 1)[0] == matrix)
    #expect(try parameters(tied: false, pipeline: 2) == parameters(tied: true, pipeline: 2))
  }

  @Test func `a float32 residual stream doubles what a bfloat16 one keeps`() throws {
    func report(_ format: Format) throws -> MemoryBreakdown {
      let plan = try Self.valid {
        $0.pipeline = 2
        $0.recompute = .full
        $0.precision.residual = format
      }
      return memory(of: plan, reserve: noReserve).ranks[1]
    }
    let (short, long) = (try report(.bfloat16), try report(.float32))
    #expect(long[.pipelineBuffers].count == 2 * short[.pipelineBuffers].count)
    #expect(long[.activations] > short[.activations] && long[.parameters] == short[.parameters])
    let refused = diagnostic { try report(.float8) }
    #expect(refused?.path == "precision.residual")
  }

  @Test func `the embedding is shared by the ranks that hold both ends, and copied where they differ`() throws
  {
    func sharing(_ schedule: ScheduleName, tied: Bool = true, pipeline: Int = 2) throws -> EmbeddingSharing {
      try Self.valid(
        {
          $0.schedule = schedule
          $0.pipeline = pipeline
          $0.virtualStages = schedule == .interleaved ? 2 : 1
        }, model: gpt(hidden: 1024, layers: 8, heads: 16, tied: tied)
      ).embeddingSharing
    }
    #expect(try sharing(.oneForwardOneBackward) == .acrossRanks && sharing(.interleaved) == .acrossRanks)
    #expect(try sharing(.dualPipe) == .withinRank && sharing(.dualPipeV) == .withinRank)
    #expect(try sharing(.oneForwardOneBackward, pipeline: 1) == .withinStage)
    #expect(try sharing(.oneForwardOneBackward, tied: false) == .none)
  }

  /// Bytes of a layer by arXiv 2205.05198, equations 1 to 4 and section 5: sequence × batch × hidden times …
  @Test(arguments: [1, 4, 8], [false, true])
  func `a GPT layer keeps what Megatron's formulas say`(tensor: Int, sequenceParallel: Bool) throws {
    let (hidden, heads, sequence, batch) = (1024.0, 16.0, 2048.0, 2.0)
    func kept(_ recompute: Recompute) throws -> Double {
      func activations(layers: Int) throws -> Double {
        let plan = try Self.valid(
          {
            $0.tensor = tensor
            $0.sequenceParallel = sequenceParallel
            $0.microBatch = 2
            $0.recompute = recompute
            $0.operators = OperatorOptions(fusedAttention: false, dropout: true, fusedCrossEntropy: false)
          }, model: gpt(hidden: 1024, layers: layers, heads: 16))
        return Double(
          memory(of: plan, inFlight: InFlight(counts: [[1]]), reserve: noReserve).worst[.activations].count)
      }
      return try activations(layers: 5) - activations(layers: 4)
    }
    let t = Double(tensor)
    let core = 5 * heads * sequence / hidden / t
    let rest = sequenceParallel ? 34 / t : 10 + 24 / t
    let unit = sequence * batch * hidden
    let whole = try kept(.none) / unit
    #expect(abs(whole - (rest + core)) < 0.02 * (rest + core), "\(whole) against \(rest + core)")
    let selective = try kept(.selective) / unit
    #expect(abs(selective - rest) < 0.02 * rest, "\(selective) against \(rest)")
    #expect(try kept(.full) / unit == 2 / (sequenceParallel ? t : 1))
  }

  @Test func `pipeline depth decides the activations of 1F1B`() throws {
    let plan = try Self.valid { $0.pipeline = 4 }
    #expect(InFlight.formula(for: plan).counts == [[4], [3], [2], [1]])
    let ranks = memory(of: plan, reserve: noReserve).ranks
    #expect(ranks[1][.activations].count * 2 == ranks[2][.activations].count * 3)
    let counted = memory(of: plan, inFlight: InFlight(counts: [[1], [1], [1], [1]]), reserve: noReserve).ranks
    #expect(counted[1][.activations].count * 3 == ranks[1][.activations].count)
  }

  @Test func `the formulas of the papers give the chunks in flight`() throws {
    func counts(_ schedule: ScheduleName, pipeline: Int = 8, virtualStages: Int = 1) throws -> [[Int]] {
      var plan = Plan(name: "in flight", source: "test", globalBatch: 64, sequence: 2048)
      plan.schedule = schedule
      plan.pipeline = pipeline
      plan.virtualStages = virtualStages
      let valid = try validate(plan, model: gpt(hidden: 64, layers: 32, heads: 4), cluster: cluster(nodes: 1))
      return InFlight.formula(for: valid).counts
    }
    #expect(try counts(.gpipe) == Array(repeating: [64], count: 8))
    #expect(try counts(.zeroBubble) == Array(repeating: [8], count: 8))
    #expect(try counts(.dualPipe).allSatisfy { $0.reduce(0, +) == 9 })
    #expect(
      try counts(.dualPipeV).allSatisfy { $0.reduce(0, +) == 17 }, "stages + 1, and there are 16 stages")
    // (2 (p - 1) + (v - 1) p + 1) chunks of a v-th of a rank's layers: 23 for p = 8, v = 2.
    #expect(try counts(.interleaved, virtualStages: 2)[0] == [15, 8])
  }

  @Test func `experts are divided among fewer ranks than dense layers`() throws {
    let valid = try validate(
      shippedPlan(named: "deepseek-v3").plan, model: deepseekV3, cluster: cluster(nodes: 256))
    let report = try memory(of: valid, reserve: .shipped())
    #expect(report.ranks.count == 16)
    // A rank of eight mixture layers: 4 experts of 3 x 7168 x 2048 each, twice two bytes.
    let experts = Double(8 * 4 * 3 * 7168 * 2048)
    let middle = report.ranks[7]
    let perLayerDense = (Double(middle[.parameters].count) / 2 - experts) / 8
    #expect((225e6...240e6).contains(perLayerDense), "attention, router and shared expert: \(perLayerDense)")
    let moments = (experts / 4 + perLayerDense * 8 / 256) * 2 * 2
    #expect(abs(Double(middle[.optimizerMoments].count) - moments) < 1e6)
  }

  @Test func `a plan that does not fit says where`() throws {
    let plan = try validate(
      Plan(name: "large", source: "test", globalBatch: 64, sequence: 2048),
      model: gpt(hidden: 8192, layers: 32, heads: 64),
      cluster: cluster(nodes: 1))
    let report = try memory(of: plan, reserve: .shipped())
    #expect(!report.fits && report.worst.pipelineRank == 0 && report.peak > report.capacity.value)
    #expect(report.worst.items.map(\.kind) == MemoryItem.Kind.allCases)
    #expect(report.peak.count == report.worst.items.reduce(0) { $0 + $1.bytes.count })
  }
}
