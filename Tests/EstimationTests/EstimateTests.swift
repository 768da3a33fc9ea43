import Documents
import Foundation
import Plans
import Reports
import Testing
import Units
import Validation

@testable import Estimation

private func request(
  _ model: String, on cluster: String, _ change: (inout EstimateRequest) -> Void = { _ in }
)
  -> EstimateRequest
{
  var request = EstimateRequest()
  request.model = model
  request.cluster = cluster
  change(&request)
  return request
}

/// A DeepSeek-V3 step with few micro-batches, which is quick without optimisation too.
private func deepSeek() -> EstimateRequest {
  request("deepseek-v3", on: "h800-2048") { $0.overrides.globalBatch = 32 * 128 }
}

private func parse(_ text: String) throws -> [String: Any] {
  try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

/// The value at a dotted path, nil where it is absent or null.
private func value(_ path: String, in document: [String: Any]) -> Any? {
  path.split(separator: ".").reduce(document as Any?) { ($0 as? [String: Any])?[String($1)] }
}

@Suite struct EstimateTests {
  @Test func `the report has every key that was promised`() throws {
    let document = try parse(json(try estimate(deepSeek()).estimate))
    let keys = [
      "model": ["parameters_total", "parameters_active", "flops_per_token_causal", "flops_per_token_full"],
      "step": ["seconds", "tokens"],
      "step.parts": ["forward", "backward_input", "backward_weight", "overlapped", "bubble", "optimizer"],
      "throughput": [
        "tokens_per_second", "tokens_per_second_per_gpu", "tokens_per_day", "tflops_per_gpu_causal",
        "tflops_per_gpu_full", "mfu_causal", "mfu_full",
      ],
      "memory": ["peak_bytes", "capacity_bytes", "worst_rank", "fits"],
      "run": ["tokens", "days", "gpu_hours", "gpu_hours_per_trillion_tokens"], "cost": ["usd"],
      "provenance": ["version", "seed", "inputs"],
    ]
    for (section, names) in keys {
      for name in names { #expect(value("\(section).\(name)", in: document) != nil, "\(section).\(name)") }
    }
  }

  @Test func `the parts add up to the step, on every rank and on average`() throws {
    let estimate = try estimate(deepSeek()).estimate
    #expect(estimate.step.parts.sum == estimate.step.length)
    #expect(estimate.step.ranks.count == 16)
    for rank in estimate.step.ranks {
      #expect(abs((rank.sum - estimate.step.length).picoseconds) < 10)
      #expect(rank.bubble >= .zero)
    }
  }

  @Test func `equal requests give equal bytes`() throws {
    let first = try estimate(deepSeek())
    let second = try estimate(deepSeek())
    #expect(json(first.estimate) == json(second.estimate))
    #expect(csv(first.estimate) == csv(second.estimate))
    #expect(try html(first.estimate) == html(second.estimate))
    #expect(perfettoTrace(first.step.tracks()) == perfettoTrace(second.step.tracks()))
  }

  @Test func `every input is in the provenance with its hash`() throws {
    let inputs = try estimate(deepSeek()).estimate.provenance.inputs
    #expect(inputs.map(\.name) == ["model", "cluster", "gpu", "gpu", "plan"])
    for input in inputs {
      #expect(input.sha256.count == 64)
      #expect(input.pathOrShippedName.hasPrefix("shipped") || input.name == "gpu")
    }
  }

  @Test func `published figures stand only beside the published run`() throws {
    #expect(try estimate(deepSeek()).estimate.comparisons.isEmpty)
    let inputs = try EstimateInputs(request("deepseek-v3", on: "h800-2048"))
    #expect(inputs.isAsPublished)
    #expect(inputs.tokens.value.value == 14.8e12)
    #expect(inputs.price?.value.value == 2)
  }

  @Test func `a plan that does not fit says so and is estimated all the same`() throws {
    let estimate = try estimate(
      request("llama-3.1-70b", on: "h800-node") {
        $0.overrides.tensor = 1
        $0.overrides.sequenceParallel = false
        $0.overrides.pipeline = 1
        $0.overrides.zeroStage = 0
        $0.overrides.globalBatch = 8
      }
    ).estimate
    #expect(!estimate.memory.fits)
    #expect(estimate.memory.peak > estimate.memory.capacity)
    #expect(estimate.step.length > .zero)
  }

  @Test func `a model without a published run takes a round number of tokens, and says so`() throws {
    let estimate = try estimate(request("llama-3.1-8b", on: "h800-node") { $0.overrides.globalBatch = 64 })
      .estimate
    #expect(estimate.run.tokens == 1_000_000_000_000)
    #expect(estimate.assumptions.contains { $0.what == "tokens of the run" && $0.tag == .assumed })
    #expect(estimate.comparisons.isEmpty)
  }

  @Test func `GPUs that do not fill nodes are a wrong command line`() {
    #expect(throws: Diagnostic.self) {
      try EstimateInputs(request("llama-3.1-8b", on: "h800-2048") { $0.gpus = 12 })
    }
    #expect(throws: Never.self) {
      try EstimateInputs(request("llama-3.1-8b", on: "h800-2048") { $0.gpus = 4 })
    }
  }

  @Test(arguments: ScheduleName.allCases)
  func `transfers that are not overlapped run in every schedule and save no time`(name: ScheduleName) throws {
    func length(overlapped: Bool) throws -> Span {
      let request = request("llama-3.1-8b", on: "h100-1024") {
        $0.gpus = 16
        $0.overrides.tensor = 4
        $0.overrides.sequenceParallel = true
        $0.overrides.pipeline = 4
        $0.overrides.schedule = name
        $0.overrides.virtualStages = name == .interleaved ? 2 : 1
        $0.overrides.globalBatch = 16
        $0.overrides.overlapPipelineTransfers = overlapped
      }
      return try estimate(request).estimate.step.length
    }
    #expect(try length(overlapped: false) >= length(overlapped: true))
  }

  @Test func `the picture's lanes never overlap and end with the step`() throws {
    let (estimate, step) = try estimate(deepSeek())
    let picture = try #require(estimate.picture)
    #expect(picture.rows.count == 16)
    for row in picture.rows {
      for isCommunication in [false, true] {
        let lane = row.intervals.filter { $0.work.isCommunication == isCommunication }
        for (before, after) in zip(lane, lane.dropFirst()) { #expect(before.end <= after.start) }
      }
    }
    #expect(picture.length == step.timeline.makespan)
  }

  @Test func `counted activations are those of DualPipe's table`() throws {
    let step = try estimate(deepSeek()).step
    let counts = step.inFlight().counts
    #expect(counts.allSatisfy { $0.reduce(0, +) <= 17 })
    #expect(counts[8].reduce(0, +) == 17)
  }
}

@Suite struct PredictionTests {
  @Test func `one overlapped pair of four mixture layers takes what the recorded profile shows`() throws {
    let family = try publishedFamily(named: "deepseek-v3-pair")
    let compared = compare(family, predict: predict)
    #expect(compared.passes, "\(compared.figures.map { ($0.predicted, $0.failure) })")
  }

  @Test func `a GPT case becomes its model, its cluster and its plan`() throws {
    let family = try publishedFamily(named: "selective-recompute")
    let published = try #require(family.cases.first { $0.name == "22B full" })
    let step = try #require(try predict(published).step)
    #expect((0.7...2.1).contains(step.seconds))
  }
}
