import Clusters
import Documents
import Models
import Operators
import Plans
import TestSupport
import Testing

@Suite struct ValidationTests {
  static func deepseek() throws -> Plan { try shippedPlan(named: "deepseek-v3").plan }

  @Test func `DeepSeek-V3's published plan goes together`() throws {
    let valid = try validate(Self.deepseek(), model: deepseekV3, cluster: cluster(nodes: 256))
    #expect(valid.ranks == 2048 && valid.dataParallel == 128 && valid.expertDataParallel == 2)
    #expect(valid.microBatches == 120, "15,360 sequences over 128 pipelines")
    #expect(valid.stages == 16 && valid.partsPerRank == 2)
    #expect(valid.contents(rank: 0, part: 0).embedding && valid.contents(rank: 0, part: 1).head)
    #expect(valid.contents(rank: 15, part: 0).head && valid.contents(rank: 15, part: 1).embedding)
    #expect(valid.denseCopies == 256 && valid.expertCopies == 4)
    #expect(valid.denseGradientGroup(containing: 0).count == 256)
    #expect(Array(valid.expertGradientGroup(containing: 3)) == [3, 67, 1923, 1987])
    #expect(
      valid.expertNodes == 8 && valid.nodesPerToken == 4, "eight groups on eight nodes, four of them a token")
    #expect(valid.notes.isEmpty, "\(valid.notes)")
  }

  /// A change to DeepSeek-V3's plan with the path that must be named.
  static let broken: [(String, @Sendable (inout Plan) -> Void)] = [
    (
      "parallel",
      {
        $0.pipeline = 12
        $0.layout = nil
      }
    ),
    (
      "parallel",
      {
        $0.tensor = 128
        $0.pipeline = 32
        $0.layout = nil
      }
    ),
    ("parallel.tensor", { $0.tensor = 3 }),
    ("parallel.tensor", { $0.tensor = 256 }),
    ("parallel.data", { $0.data = 64 }),
    ("parallel.expert", { $0.expert = 48 }),
    ("parallel.expert", { $0.expert = 256 }),
    ("parallel.expert", { $0.expertTensor = 4 }),
    ("parallel.expert_tensor", { $0.expertTensor = 3 }),
    ("parallel.context", { $0.context = 0 }),
    ("parallel.pipeline", { $0.pipeline = -16 }),
    ("parallel.pipeline", { $0.pipeline = .max }),
    ("parallel.zero", { $0.zeroStage = 4 }),
    ("parallel.virtual_stages", { $0.virtualStages = 2 }),
    (
      "parallel.virtual_stages",
      {
        $0.schedule = .interleaved
        $0.layout = nil
      }
    ),
    (
      "parallel.virtual_stages",
      {
        $0.schedule = .interleaved
        $0.virtualStages = 2
        $0.layout = nil
        $0.globalBatch = 128 * 16
      }
    ),
    (
      "parallel.pipeline",
      {
        $0.pipeline = 1
        $0.layout = nil
        $0.globalBatch = 2048 * 2
      }
    ),
    (
      "parallel.pipeline",
      {
        $0.schedule = .dualPipeV
        $0.pipeline = 1
        $0.layout = nil
        $0.globalBatch = 2048 * 2
      }
    ),
    (
      "parallel.pipeline",
      {
        $0.schedule = .oneForwardOneBackward
        $0.pipeline = 64
        $0.expert = 1
        $0.layout = nil
      }
    ),
    ("batch.global", { $0.globalBatch = 15_361 }),
    ("batch.global", { $0.globalBatch = 128 * 20 }),
    ("batch.global", { $0.globalBatch = 128 * 33 }),
    ("batch.global", { $0.globalBatch = 64 }),
    ("batch.micro", { $0.microBatch = 0 }),
    (
      "batch.sequence",
      {
        $0.context = 2
        $0.sequence = 4098
        $0.globalBatch = 64 * 120
      }
    ),
    (
      "batch.sequence",
      {
        $0.tensor = 4
        $0.sequenceParallel = true
        $0.sequence = 4098
        $0.globalBatch = 32 * 120
      }
    ),
    (
      "parallel.sequence_parallel",
      {
        $0.tensor = 4
        $0.globalBatch = 32 * 120
      }
    ),
    ("communication_sms", { $0.communicationSMs = 132 }),
    ("routing", { $0.routing = .zipf(exponent: -1) }),
    ("redundant_experts", { $0.redundantExperts = 64 }),
    ("redundant_experts", { ($0.expertPlacement, $0.redundantExperts) = (.eplb, 60) }),
    ("redundant_experts", { ($0.expertPlacement, $0.redundantExperts) = (.eplb, 256 * 64) }),
    (
      "expert_placement",
      {
        $0.expert = 1
        $0.expertPlacement = .eplb
      }
    ),
    ("layout", { $0.pipeline = 8 }),
    ("layout", { $0.schedule = .dualPipeV }),
    ("precision.router", { $0.precision.operators.router = .float32 }),
    ("precision.gradients", { $0.precision.gradients = .float8 }),
  ]

  @Test(arguments: broken.indices)
  func `a broken rule is refused with the path of the choice`(index: Int) throws {
    let (path, change) = Self.broken[index]
    var plan = try Self.deepseek()
    plan.data = nil
    change(&plan)
    let found = diagnostic {
      try validate(plan, model: deepseekV3, cluster: cluster(nodes: 256), file: "plan.yaml")
    }
    #expect(found?.path == path && found?.file == "plan.yaml", "\(String(describing: found))")
    #expect(found?.found != nil && found?.allowed != nil)
  }

  @Test func `grouped attention's key and value heads limit tensor parallelism`() throws {
    var grouped = gpt(hidden: 4096, layers: 32, heads: 32)
    grouped.attention = .grouped(GroupedAttention(queryHeads: 32, keyValueHeads: 8, headDimension: 128))
    var plan = Plan(name: "gqa", source: "test", globalBatch: 64, sequence: 2048)
    plan.tensor = 8
    _ = try validate(plan, model: grouped, cluster: cluster(nodes: 2))
    plan.tensor = 16
    #expect(
      diagnostic { try validate(plan, model: grouped, cluster: cluster(nodes: 2)) }?.problem.contains(
        "key/value") == true)
  }

  @Test func `a dense model has no experts to spread`() {
    var plan = Plan(name: "dense", source: "test", globalBatch: 64, sequence: 2048)
    plan.expert = 8
    let found = diagnostic {
      try validate(plan, model: gpt(hidden: 1024, layers: 4, heads: 8), cluster: cluster(nodes: 1))
    }
    #expect(found?.path == "parallel.expert")
  }

  @Test func `FP8 is refused where the GPU does not know it`() throws {
    let old = cluster(nodes: 256, formats: [.bfloat16, .float16])
    let found = diagnostic { try validate(Self.deepseek(), model: deepseekV3, cluster: old) }
    #expect(found?.path == "precision.linear" && found?.allowed == "bf16, fp16")
  }

  @Test func `learned positions end the sequence`() {
    let plan = Plan(name: "long", source: "test", globalBatch: 64, sequence: 4096)
    let found = diagnostic {
      try validate(plan, model: gpt(hidden: 1024, layers: 4, heads: 8), cluster: cluster(nodes: 1))
    }
    #expect(found?.path == "batch.sequence")
  }

  /// Megatron SC21's 529.6B model: 105 layers, three virtual stages of one layer on 35 ranks.
  @Test func `interleaved stages lie as Megatron lays them`() throws {
    var plan = Plan(name: "sc21", source: "arXiv 2104.04473, table 1", globalBatch: 2520, sequence: 2048)
    plan.tensor = 8
    plan.pipeline = 35
    plan.virtualStages = 3
    plan.schedule = .interleaved
    plan.recompute = .full
    plan.operators = OperatorOptions(fusedAttention: false, dropout: true, fusedCrossEntropy: false)
    let valid = try validate(
      plan, model: gpt(hidden: 20_480, layers: 105, heads: 128), cluster: cluster(nodes: 315))
    #expect(valid.dataParallel == 9 && valid.microBatches == 280 && valid.stages == 105)
    #expect(valid.contents(rank: 3, part: 2).layers == 73..<74)
    #expect(valid.contents(rank: 34, part: 2).head)
  }

  @Test func `what is allowed but costly is said`() throws {
    var plan = Plan(name: "zero-3", source: "test", globalBatch: 64, sequence: 2048)
    plan.zeroStage = 3
    plan.pipeline = 4
    plan.tensor = 4
    let notes = try validate(
      plan, model: gpt(hidden: 1024, layers: 6, heads: 8), cluster: cluster(nodes: 8, gpusPerNode: 2)
    ).notes
    #expect(notes.contains { $0.contains("E2,2,1,1H") }, "\(notes)")
    #expect(notes.contains { $0.contains("leaves the node") })
    #expect(notes.contains { $0.contains("gathered") })
  }

  @Test(arguments: [(8, 1), (16, 2), (64, 4), (128, 8)])
  func `limited groups limit a token's nodes`(expert: Int, nodes: Int) throws {
    var plan = Plan(name: "experts", source: "test", globalBatch: 128, sequence: 4096)
    plan.expert = expert
    #expect(try validate(plan, model: deepseekV3, cluster: cluster(nodes: 16)).nodesPerToken == nodes)
  }

  @Test func `absurd numbers are refused without a trap`() {
    for value in [Int.min, -1, 0, 1 << 40, .max] {
      let changes: [(inout Plan) -> Void] = [
        { $0.tensor = value }, { $0.context = value }, { $0.pipeline = value }, { $0.virtualStages = value },
        { $0.expert = value }, { $0.expertTensor = value }, { $0.data = value }, { $0.zeroStage = value },
        { $0.microBatch = value }, { $0.globalBatch = value }, { $0.sequence = value },
        { $0.communicationSMs = value == 0 ? -5 : value },
      ]
      for change in changes {
        var plan = Plan(name: "absurd", source: "test", globalBatch: 64, sequence: 2048)
        change(&plan)
        if plan.zeroStage == 0 { continue }
        #expect(
          diagnostic { try validate(plan, model: deepseekV3, cluster: cluster(nodes: 1)) } != nil, "\(plan)")
      }
    }
  }

  @Test func `whatever a random plan says, a valid one multiplies up`() throws {
    var random = SeededGenerator(seed: 7)
    var valid = 0
    for _ in 0..<4000 {
      var plan = Plan(name: "random", source: "test", globalBatch: 1 << (4 + random.below(8)), sequence: 4096)
      plan.tensor = 1 << random.below(4)
      plan.sequenceParallel = plan.tensor > 1
      plan.context = 1 << random.below(3)
      plan.pipeline = 1 + random.below(8)
      plan.expert = 1 << random.below(6)
      plan.expertTensor = 1 << random.below(3)
      plan.microBatch = 1 << random.below(3)
      plan.schedule = ScheduleName.allCases[random.below(6)]
      plan.virtualStages = plan.schedule == .interleaved ? 2 : 1
      guard let good = try? validate(plan, model: deepseekV3, cluster: cluster(nodes: 8)) else { continue }
      valid += 1
      #expect(plan.tensor * plan.context * good.dataParallel * plan.pipeline == 64)
      #expect(plan.expertTensor * plan.expert * good.expertDataParallel * plan.pipeline == 64)
      #expect(good.microBatches * good.dataParallel * plan.microBatch == plan.globalBatch)
      var seen = Array(repeating: 0, count: good.stages)
      for rank in 0..<plan.pipeline {
        for part in 0..<good.partsPerRank { seen[good.stage(rank: rank, part: part)] += 1 }
      }
      #expect(seen.allSatisfy { $0 == plan.schedule.copiesOfStage })
      #expect(good.layout.stages.reduce(0) { $0 + $1.layers.count } == 61)
    }
    #expect(valid > 50)
  }
}
