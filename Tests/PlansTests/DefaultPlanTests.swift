import Documents
import Models
import Plans
import Testing
import Units

@Suite struct DefaultPlanTests {
  @Test func `a small model is only copied`() throws {
    let plan = try defaultPlan(
      for: gpt(hidden: 1024, layers: 8, heads: 16), cluster: cluster(nodes: 1), reserve: .shipped()
    ).plan
    #expect(plan.tensor == 1 && plan.pipeline == 1 && plan.recompute == .none && plan.sequence == 2048)
  }

  @Test func `a large dense model takes tensor parallelism first`() throws {
    let resolved = try defaultPlan(
      for: gpt(hidden: 12_288, layers: 96, heads: 96), cluster: cluster(nodes: 128), reserve: .shipped())
    #expect(resolved.plan.tensor == 8 && resolved.plan.sequenceParallel)
    #expect(resolved.origin == "default rule" && resolved.hash.count == 64)
    let valid = try validate(
      resolved.plan, model: gpt(hidden: 12_288, layers: 96, heads: 96), cluster: cluster(nodes: 128))
    #expect(try memory(of: valid, reserve: .shipped()).fits)
    #expect(valid.microBatches >= 4 * resolved.plan.pipeline)
  }

  @Test func `a mixture spreads its experts first`() throws {
    let plan = try defaultPlan(for: deepseekV3, cluster: cluster(nodes: 256), reserve: .shipped()).plan
    #expect(plan.expert == 64 && plan.tensor * plan.pipeline <= 16)
    let valid = try validate(plan, model: deepseekV3, cluster: cluster(nodes: 256))
    #expect(try memory(of: valid, reserve: .shipped()).fits)
  }

  @Test func `the published plan is proposed wherever it goes together`() throws {
    func proposed(nodes: Int) throws -> String {
      try proposedPlan(for: deepseekV3, cluster: cluster(nodes: nodes), reserve: .shipped()).origin
    }
    #expect(try proposed(nodes: 256) == "shipped: deepseek-v3")
    #expect(try proposed(nodes: 128) == "shipped: deepseek-v3", "expert data parallelism of one is left")
    #expect(try proposed(nodes: 32) == "default rule")
  }

  @Test func `where nothing fits the nearest plan is given`() throws {
    let tiny = cluster(nodes: 1, memory: 1e9)
    let plan = try defaultPlan(
      for: gpt(hidden: 4096, layers: 32, heads: 32), cluster: tiny, reserve: .shipped()
    ).plan
    #expect(plan.tensor * plan.pipeline == 8 && plan.recompute == .full)
  }

  @Test func `a batch that no plan divides is refused`() {
    var overrides = PlanOverrides()
    overrides.globalBatch = 7
    let found = diagnostic {
      try defaultPlan(
        for: gpt(hidden: 1024, layers: 8, heads: 16), cluster: cluster(nodes: 3), overrides: overrides,
        reserve: .shipped())
    }
    #expect(found?.path == "batch.global")
  }

  @Test func `choices that are made already are kept, and the others go together with them`() throws {
    let model = gpt(hidden: 12_288, layers: 96, heads: 96)
    var overrides = PlanOverrides()
    overrides.pipeline = 16
    overrides.context = 2
    let plan = try defaultPlan(
      for: model, cluster: cluster(nodes: 128), overrides: overrides, reserve: .shipped()
    ).plan
    #expect(plan.pipeline == 16 && plan.context == 2)
    let valid = try validate(plan, model: model, cluster: cluster(nodes: 128))
    #expect(valid.microBatches >= 64)
    #expect(try memory(of: valid, reserve: .shipped()).fits)
    #expect(plan.applying(overrides) == plan, "flags that are laid over once more change nothing")
  }

  @Test func `a pipeline that does not divide the GPUs is refused as such`() {
    var overrides = PlanOverrides()
    overrides.pipeline = 7
    let found = diagnostic {
      try defaultPlan(
        for: gpt(hidden: 1024, layers: 8, heads: 16), cluster: cluster(nodes: 1), overrides: overrides,
        reserve: .shipped())
    }
    #expect(found?.path == "parallel")
  }

  @Test func `tokens of a step never exceed what a plan may state`() throws {
    var overrides = PlanOverrides()
    overrides.sequence = 1
    let plan = try defaultPlan(
      for: gpt(hidden: 1024, layers: 8, heads: 16), cluster: cluster(nodes: 1), overrides: overrides,
      reserve: .shipped()
    ).plan
    #expect(plan.globalBatch <= degreeLimit)
  }
}
