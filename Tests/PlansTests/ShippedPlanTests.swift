import Documents
import Plans
import Testing

@Suite struct ShippedPlanTests {
  @Test(arguments: shippedPlanNames)
  func `a shipped plan states its source and what it assumes`(name: String) throws {
    let resolved = try resolvePlan(name)
    #expect(resolved.plan.name == name && resolved.plan.source.contains("arXiv"))
    #expect(
      !resolved.plan.assumed.isEmpty && resolved.origin == "shipped: \(name)" && resolved.hash.count == 64)
  }

  @Test func `an unknown plan is refused with the nearest name`() {
    let found = diagnostic { try resolvePlan("deepseek-v4") }
    #expect(found?.status == .unavailableFile && found?.hint == "did you mean deepseek-v3?")
    #expect(diagnostic { try resolvePlan("./missing.yaml") }?.status == .unavailableFile)
  }
}
