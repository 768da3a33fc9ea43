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
    let found = diagnostic {
      try defaultPlan(
        for: gpt(hidden: 1024, layers: 8, heads: 16), cluster: cluster(nodes: 3), globalBatch: 7,
        reserve: .shipped())
    }
    #expect(found?.path == "batch.global")
  }
}
