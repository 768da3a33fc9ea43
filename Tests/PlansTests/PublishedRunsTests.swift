import Models
import Operators
import Plans
import Testing

/// Runs that really happened fit the GPUs they happened on; nothing in the memory model was fitted to them.
@Suite struct PublishedRunsTests {
  struct Run: Sendable, CustomTestStringConvertible {
    var name: String
    var hidden, layers, heads, tensor, pipeline, virtualStages, gpus, batch, microBatch: Int
    var testDescription: String { name }

    /// A row of the tables: name, hidden, layers, heads, tensor, pipeline, virtual stages, GPUs, batch,
    /// micro-batch.
    init(
      _ name: String, _ hidden: Int, _ layers: Int, _ heads: Int, _ tensor: Int, _ pipeline: Int,
      _ virtualStages: Int, _ gpus: Int, _ batch: Int, _ microBatch: Int
    ) {
      self.name = name
      (self.hidden, self.layers, self.heads, self.tensor) = (hidden, layers, heads, tensor)
      (self.pipeline, self.virtualStages, self.gpus) = (pipeline, virtualStages, gpus)
      (self.batch, self.microBatch) = (batch, microBatch)
    }
  }

  /// Megatron-LM on A100: arXiv 2104.04473, table 1; micro-batch and virtual stages from `run_table_1.sh`.
  static let a100 = [
    Run("1.7B", 2304, 24, 24, 1, 1, 1, 32, 512, 16),
    Run("3.6B", 3072, 30, 32, 2, 1, 1, 64, 512, 16),
    Run("7.5B", 4096, 36, 32, 4, 1, 1, 128, 512, 16),
    Run("18.4B", 6144, 40, 48, 8, 1, 1, 256, 1024, 8),
    Run("39.1B", 8192, 48, 64, 8, 2, 1, 512, 1536, 4),
    Run("76.1B", 10_240, 60, 80, 8, 4, 3, 1024, 1792, 2),
    Run("145.6B", 12_288, 80, 96, 8, 8, 2, 1536, 2304, 2),
    Run("310.1B", 16_384, 96, 128, 8, 16, 2, 1920, 2160, 1),
    Run("529.6B", 20_480, 105, 128, 8, 35, 3, 2520, 2520, 1),
    Run("1008B", 25_600, 128, 160, 8, 64, 1, 3072, 3072, 1),
  ]

  /// Megatron-LM on H100: the repository's `model_table.png`, weak scaling; micro-batch assumed one sequence.
  static let h100 = [
    Run("1.7B", 2048, 24, 16, 1, 1, 1, 48, 192, 1),
    Run("16B", 6144, 32, 48, 4, 1, 1, 192, 192, 1),
    Run("32B", 7168, 48, 56, 8, 1, 1, 384, 192, 1),
    Run("70B", 8192, 84, 64, 8, 2, 1, 768, 384, 1),
    Run("119B", 10_240, 92, 80, 8, 4, 1, 1536, 768, 1),
    Run("177B", 12_288, 96, 96, 8, 6, 1, 2304, 1152, 1),
    Run("462B", 18_432, 112, 144, 8, 16, 1, 6144, 3072, 1),
  ]

  static func valid(_ run: Run, sequence: Int, memory: Double, _ change: (inout Plan) -> Void) throws
    -> ValidPlan
  {
    var plan = Plan(name: run.name, source: "test", globalBatch: run.batch, sequence: sequence)
    plan.tensor = run.tensor
    plan.pipeline = run.pipeline
    plan.virtualStages = run.virtualStages
    plan.microBatch = run.microBatch
    plan.schedule = run.virtualStages > 1 ? .interleaved : .oneForwardOneBackward
    change(&plan)
    var model = gpt(hidden: run.hidden, layers: run.layers, heads: run.heads)
    model.maximumSequence = sequence
    return try validate(plan, model: model, cluster: cluster(nodes: run.gpus / 8, memory: memory))
  }

  @Test(arguments: a100)
  func `Megatron's A100 runs fit with full recomputation`(run: Run) throws {
    let plan = try Self.valid(run, sequence: 2048, memory: 84.9e9) {
      $0.zeroStage = 0
      $0.recompute = .full
      $0.operators = OperatorOptions(fusedAttention: false, dropout: true, fusedCrossEntropy: false)
    }
    let report = try memory(of: plan, reserve: .shipped())
    #expect(report.fits, "\(report.worst)")
  }

  @Test(arguments: h100)
  func `Megatron's H100 runs fit with a distributed optimizer`(run: Run) throws {
    let plan = try Self.valid(run, sequence: 4096, memory: 84.9e9) { $0.sequenceParallel = $0.tensor > 1 }
    let report = try memory(of: plan, reserve: .shipped())
    #expect(report.fits, "\(report.worst)")
  }

  /// arXiv 2205.05198, figure 1 and table 3: the 530B model without either technique exceeds 80 GB, with both
  /// it ran.
  @Test func `selective recomputation makes the 530B model fit`() throws {
    let run = Run("530B", 20_480, 105, 128, 8, 35, 3, 280, 280, 1)
    func fits(_ recompute: Recompute, sequenceParallel: Bool) throws -> Bool {
      let plan = try Self.valid(run, sequence: 2048, memory: 84.9e9) {
        $0.zeroStage = 0
        $0.sequenceParallel = sequenceParallel
        $0.recompute = recompute
        $0.operators = OperatorOptions(fusedAttention: false, dropout: true, fusedCrossEntropy: false)
      }
      return try memory(of: plan, reserve: .shipped()).fits
    }
    #expect(try fits(.selective, sequenceParallel: true))
    #expect(try !fits(.none, sequenceParallel: true))
    #expect(try !fits(.selective, sequenceParallel: false))
  }
}
