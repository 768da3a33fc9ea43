import Testing
import Units

@testable import Economics

@Suite struct SiteTests {
  private let run = RunCost(
    step: Span(seconds: 19.926), tokensPerStep: 15_360 * 4096, tokens: Tokens(14.8e12), gpus: 2048)

  @Test func `2,048 H800 draw within three percent of the published estimate once idle share is left out`()
    throws
  {
    // Epoch AI gives 2.818 MW for DeepSeek-V3's machine; 2048 x 700 W x 1.8 x 1.1 without the mean draw is 2.84 MW.
    let model = try PowerModel.shipped(gpu: "H800 SXM5")
    let rated = 2048.0 * 700 * model.serverMultiplier.value.value
    #expect(abs(rated * 1.1 / 2.818e6 - 1) < 0.03)
    let mean = model.sitePower(gpus: 2048, rated: Watts(700))
    #expect(abs(mean.value - rated * 0.75 * 1.25) < 1)
  }

  @Test func `energy is power times time, and its price follows`() throws {
    let use = try PowerModel.shipped(gpu: "H800").energy(of: run, rated: Watts(700))
    #expect(abs(use.energy.kilowattHours - use.power.value / 1000 * run.days.value * 24) < 1)
    #expect(abs(use.dollars.value - use.energy.kilowattHours * 0.0771) < 1)
  }

  @Test func `an H100 server has its own multiplier`() throws {
    #expect(try PowerModel.shipped(gpu: "H100 SXM5").serverMultiplier.value == Ratio(1.82))
    #expect(try PowerModel.shipped(gpu: "A100").serverMultiplier.value == Ratio(1.8))
  }

  @Test func `one interruption a day is the published rate for 2,048 H100`() throws {
    let perDay = try Reliability.shipped().interruptionsPerDay(gpus: 2048)
    #expect(abs(perDay - 419.0 / 54 * 2048 / 16_384) < 0.01)
  }

  @Test func `goodput falls with the size of the cluster and never below zero`() throws {
    let reliability = try Reliability.shipped()
    let sizes = [1, 64, 2048, 16_384, 1 << 22]
    let goodputs = sizes.map { reliability.goodput(gpus: $0).value }
    #expect(zip(goodputs, goodputs.dropFirst()).allSatisfy { $0 > $1 || $1 == 0 })
    #expect(goodputs[0] <= 1 && goodputs[2] > 0.98 && goodputs[4] == 0)
  }

  @Test func `goodput agrees with a run counted by hand`() {
    func sourced<T>(_ value: T) -> Sourced<T> { Sourced(value, tag: .assumed, source: "a test") }
    let reliability = Reliability(
      betweenInterruptions: sourced(GPUHours(100)), checkpointInterval: sourced(Span(seconds: 3600)),
      checkpointStall: sourced(Span(seconds: 36)), restart: sourced(Span(seconds: 1800)))
    // Ten GPUs: one interruption in ten hours, which loses half an hour of work and half an hour of restart.
    #expect(abs(reliability.goodput(gpus: 10).value - 0.9 / 1.01) < 1e-12)
  }

  @Test func `a bought cluster wears out with the run`() throws {
    let ownership = try #require(try Ownership.shipped(gpu: "H800"))
    let price = ownership.purchase(gpus: 2048)
    #expect(abs(price.value - 33_800 * 2048 * 1.64 / 0.81) < 1)
    #expect(abs(ownership.amortised(run) / price - run.days.value / (5 * 365.25)) < 1e-9)
    #expect(try Ownership.shipped(gpu: "A100") == nil)
  }

  @Test func `offers are found by the GPU's name`() throws {
    #expect(try shippedRents(gpu: "H800 SXM5").map(\.price.value.value) == [2, 3.42])
    #expect(try shippedRents(gpu: "abacus").isEmpty)
  }
}
