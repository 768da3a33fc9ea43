import Testing
import Units

@testable import Economics

@Suite struct RunCostTests {
  private let price = Sourced(DollarsPerGPUHour(2), tag: .assumed, source: "a test")

  @Test func `the published step of DeepSeek-V3 gives its published GPU-hours`() throws {
    let run = RunCost(
      step: Span(seconds: 19.926), tokensPerStep: 15_360 * 4096, tokens: Tokens(14.8e12), gpus: 2048,
      price: price)
    let published = try shippedRun(named: "deepseek-v3").published
    let hours = try #require(published.gpuHours?.value)
    let dollars = try #require(published.dollars?.value)
    let rate = try #require(published.gpuHoursPerTrillionTokens?.value)
    #expect(abs(run.gpuHours / hours - 1) < 0.002)
    #expect(abs(run.gpuHoursPerTrillionTokens / rate - 1) < 0.002)
    #expect(abs(try #require(run.rent).dollars / dollars - 1) < 0.002)
    #expect(abs(run.days.value - 54.25) < 0.1)
  }

  @Test func `days, steps and hours are one number`() {
    let run = RunCost(step: Span(seconds: 3600), tokensPerStep: 1000, tokens: Tokens(48_000), gpus: 10)
    #expect(run.steps == 48 && run.days == Days(2) && run.gpuHours == GPUHours(480))
    #expect(run.rent == nil && run.goodput == Ratio(1))
  }

  @Test func `a goodput of a half doubles time and money`() throws {
    func run(_ goodput: Ratio) -> RunCost {
      RunCost(
        step: Span(seconds: 10), tokensPerStep: 100, tokens: Tokens(1e6), gpus: 8, price: price,
        goodput: goodput)
    }
    #expect(run(Ratio(0.5)).days.value == run(Ratio(1)).days.value * 2)
    #expect(try #require(run(Ratio(0.5)).rent).dollars == #require(run(Ratio(1)).rent).dollars * 2)
  }

  @Test func `every shipped run can be read, and an unknown one is refused by name`() throws {
    #expect(try shippedRuns().map(\.name) == ["deepseek-v3", "gpt3-175b", "gpt-1t"])
    #expect(throws: (any Error).self) { try shippedRun(named: "deepseek-v4") }
  }

  @Test func `the published total is the published rate times the tokens`() throws {
    let run = try shippedRun(named: "deepseek-v3")
    let rate = try #require(run.published.gpuHoursPerTrillionTokens).value.value
    let hours = try #require(run.published.gpuHours).value.value
    #expect(abs(rate * run.tokens.value.value / 1e12 - hours) < 1)
    #expect(
      abs(hours * (try #require(run.price).value.value) - (try #require(run.published.dollars).value.value))
        < 1)
  }
}
