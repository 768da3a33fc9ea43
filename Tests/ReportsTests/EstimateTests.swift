import Documents
import Foundation
import Testing
import Units

@testable import Reports

@Suite struct EstimateTests {
  @Test(arguments: [1, 2, 16, 64], [false, true])
  func `no line of the terminal's report is wider than 80 columns`(pipeline: Int, colour: Bool) {
    for line in table(sampleEstimate(pipeline: pipeline), colour: colour).split(separator: "\n") {
      #expect(visibleWidth(String(line)) <= 80, "\(line)")
    }
  }

  @Test func `long names and sources fold and never widen the report`() {
    var estimate = sampleEstimate()
    let long = String(repeating: "interminable ", count: 12) + String(repeating: "x", count: 120)
    estimate.model.name = long
    estimate.plan.name = long
    estimate.plan.precision = long
    estimate.provenance.inputs[0].pathOrShippedName = long
    estimate.assumptions[0].source = long
    estimate.assumptions[0].value = "123456789.5 furlongs a fortnight"
    estimate.step.exposedCommunication[0].kind = long
    estimate.throughput.denominator = long
    estimate.comparisons[0].what = long
    for line in table(estimate).split(separator: "\n") {
      #expect(visibleWidth(String(line)) <= 80, "\(line)")
    }
  }

  @Test func `colour changes nothing but colour`() {
    let coloured = table(sampleEstimate(), colour: true)
    #expect(coloured.contains("\u{1B}["))
    #expect(coloured.replacing(/\u{1B}\[[0-9]+m/, with: "") == table(sampleEstimate()))
    #expect(!table(sampleEstimate()).contains("\u{1B}"))
  }

  @Test func `the JSON parses and has every promised key`() throws {
    let text = json(sampleEstimate())
    let top = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let promised = """
      model.parameters_total model.parameters_active model.parameters_with_mtp model.flops_per_token_causal
      model.flops_per_token_full model.name model.source cluster.name cluster.gpus cluster.nodes cluster.gpu
      step.seconds step.tokens step.parts.forward step.parts.backward_input step.parts.backward_weight
      step.parts.overlapped step.parts.bubble step.parts.optimizer step.exposed_communication step.critical_path
      throughput.tokens_per_second throughput.tokens_per_second_per_gpu throughput.tokens_per_day
      throughput.tflops_per_gpu_causal throughput.tflops_per_gpu_full throughput.mfu_causal throughput.mfu_full
      throughput.numerator throughput.denominator memory.peak_bytes memory.capacity_bytes memory.worst_rank
      memory.fits memory.ranks run.tokens run.days run.gpu_hours run.gpu_hours_per_trillion_tokens cost.usd
      cost.usd_per_gpu_hour cost.price_source cost.price_tag assumptions provenance.version provenance.seed
      provenance.inputs
      """
    for path in promised.split(whereSeparator: \.isWhitespace) {
      var value: Any? = top
      for key in path.split(separator: ".") { value = (value as? [String: Any])?[String(key)] }
      #expect(value != nil, "\(path) is missing")
    }
    #expect(text.hasSuffix("}\n"))
  }

  @Test func `a cost that nobody knows is null and says so`() throws {
    var estimate = sampleEstimate()
    estimate.cost = nil
    #expect(json(estimate).contains("\"usd\": null"))
    #expect(csv(estimate).contains("\ncost,usd,,,,\n"))
    #expect(table(estimate).contains("unknown"))
    let page = try html(estimate)
    #expect(page.contains("unknown"))
  }

  @Test func `JSON and CSV hold the same numbers`() throws {
    let estimate = sampleEstimate()
    for line in ["step,seconds,19.926,s,derived,simulated step", "memory,fits,true,,,", "plan,expert,64,,,"] {
      #expect(csv(estimate).contains("\n\(line)\n"))
    }
    #expect(json(estimate).contains("\"seconds\": 19.926,"))
  }

  @Test func `equal estimates give equal bytes`() throws {
    let one = sampleEstimate(pipeline: 8, microBatches: 40)
    let other = sampleEstimate(pipeline: 8, microBatches: 40)
    let pages = try (html(one), html(other))
    #expect(pages.0 == pages.1)
    #expect(json(one) == json(other))
    #expect(csv(one) == csv(other))
    #expect(table(one) == table(other))
    #expect(perfettoTrace(one.picture?.tracks ?? []) == perfettoTrace(other.picture?.tracks ?? []))
  }

  @Test func `a number that is not finite stops the report`() async {
    await #expect(processExitsWith: .failure) {
      var estimate = sampleEstimate()
      estimate.run.days = .nan
      _ = json(estimate)
    }
  }

  @Test func `the worst rank is the first of the fullest`() {
    let memory = sampleMemory(pipeline: 3, capacity: 80 << 30)
    #expect(memory.worst.pipelineRank == 0)
    var reversed = memory
    reversed.ranks.reverse()
    #expect(reversed.worst.pipelineRank == 0)
    var equal = memory
    equal.ranks = [memory.ranks[1], memory.ranks[1], memory.ranks[2]]
    equal.ranks[1].pipelineRank = 7
    #expect(equal.worst.pipelineRank == 1)
    #expect(!sampleMemory(pipeline: 1, capacity: 1 << 30).fits)
  }
}
