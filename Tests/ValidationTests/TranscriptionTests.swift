import Documents
import Testing
import Units

@testable import Validation

/// The rows are right when figures that a publication prints side by side agree with each other.
@Suite struct TranscriptionTests {
  private func gpt(_ published: PublishedCase) throws -> GPTShape {
    guard case .gpt(let shape) = published.model else { throw Diagnostic(.data, "not a GPT") }
    return shape
  }

  /// Leading number of `145.6B on 384`.
  private func billions(_ name: String) -> Double? {
    name.split(separator: "B").first.flatMap { Double($0) }
  }

  @Test func `every family is read, with as many figures as were published`() throws {
    let counts = try publishedFamilies().map { ($0.name, $0.figures) }
    let expected = [
      ("deepseek-v3", 22), ("deepseek-v3-pair", 1), ("megatron-sc21", 10), ("megatron-sc21-table2", 6),
      ("megatron-h100", 11), ("selective-recompute", 9), ("deepep", 20),
    ]
    #expect(counts.map(\.0) == expected.map(\.0) && counts.map(\.1) == expected.map(\.1))
  }

  @Test(arguments: ["megatron-sc21", "megatron-sc21-table2", "megatron-h100"])
  func `hidden size, layers and vocabulary give the parameters that the row is named after`(family: String)
    throws
  {
    for published in try publishedFamily(named: family).cases {
      let named = try #require(billions(published.name))
      #expect(abs(try gpt(published).parameters / 1e9 / named - 1) < 0.035, "\(family) \(published.name)")
    }
  }

  @Test func `the trillion-parameter row has 1008 billion by the paper's formula`() throws {
    let last = try #require(try publishedFamily(named: "megatron-sc21").cases.last)
    #expect(abs(try gpt(last).parameters / 1e9 - 1008) < 0.5)
  }

  @Test func `Megatron's FLOP rules are its printed equations`() {
    let shape = GPTShape(hidden: 12_288, layers: 96, heads: 96, vocabulary: 51_200, sequence: 2048)
    let (b, s, l, h, v) = (1536.0, 2048.0, 96.0, 12_288.0, 51_200.0)
    let withRecompute = 96 * b * s * l * h * h * (1 + s / (6 * h) + v / (16 * l * h))
    let model = 72 * b * s * l * h * h * (1 + s / (6 * h) + v / (12 * l * h))
    #expect(abs(shape.fullRecomputeFLOPs(sequences: 1536).value / withRecompute - 1) < 1e-12)
    #expect(abs(shape.modelFLOPs(sequences: 1536).value / model - 1) < 1e-12)
  }

  @Test(arguments: [
    ("22B", 41.5, 43.7), ("175B", 51.4, 52.8), ("530B", 56.0, 57.0), ("1T", 56.3, 57.0),
  ])
  func `seconds of selective recomputation give the printed utilisations`(
    size: String, model: Double, hardware: Double
  ) throws {
    let family = try publishedFamily(named: "selective-recompute")
    let published = try #require(family.cases.first { $0.name == "\(size) selective" })
    let step = Span(seconds: published.figures[0].value)
    let utilisation = try #require(published.value(of: .utilizationMegatron, step: step))
    #expect(abs(utilisation * 100 - model) < 0.5)
    // Equation 8 as printed; it adds the attention core's products three times, although they are repeated once.
    let shape = try gpt(published)
    let (h, l, v) = (Double(shape.hidden), Double(shape.layers), Double(shape.vocabulary))
    let extra = (1 + 2048 / (3 * h) + v / (12 * l * h)) / (1 + 2048 / (6 * h) + v / (12 * l * h))
    #expect(abs(utilisation * extra * 100 - hardware) < 0.5)
  }

  @Test func `eight replicas of 530B run at the printed 54 percent`() throws {
    let last = try #require(try publishedFamily(named: "selective-recompute").cases.last)
    #expect(last.gpus == 2240)
    let utilisation = try #require(last.value(of: .utilizationMegatron, step: Span(seconds: 39.15)))
    #expect(abs(utilisation * 100 - 54.2) < 0.5)
  }

  @Test func `full recomputation costs the printed 29 to 32 percent of throughput`() throws {
    let cases = try publishedFamily(named: "selective-recompute").cases
    for (size, gain) in [("22B", 29.0), ("175B", 31.8), ("530B", 29.7), ("1T", 32.1)] {
      let full = try #require(cases.first { $0.name == "\(size) full" }).figures[0].value
      let selective = try #require(cases.first { $0.name == "\(size) selective" }).figures[0].value
      #expect(abs((full / selective - 1) * 100 - gain) < 0.5)
    }
  }

  @Test(arguments: [
    ("174.6B on 384", 84.0), ("174.6B on 768", 43), ("174.6B on 1536", 23), ("529.6B on 560", 156),
  ])
  func `throughput gives the days that the second table prints for 300 billion tokens`(
    name: String, days: Double
  ) throws {
    let family = try publishedFamily(named: "megatron-sc21-table2")
    let published = try #require(family.cases.first { $0.name == name })
    let rate = published.figures[0].value * 1e12 * Double(published.gpus)
    let perStep = try gpt(published).fullRecomputeFLOPs(sequences: try #require(published.globalBatch)).value
    let tokensPerStep = Double(try #require(published.globalBatch)) * 2048
    #expect(abs(300e9 / tokensPerStep * perStep / rate / 86_400 / days - 1) < 0.03)
  }

  @Test func `TFLOPS on H100 give the printed utilisations`() throws {
    let printed = [41.0, 47, 49, 46, 42, 43, 44, 48, 47]
    for (published, percent) in zip(try publishedFamily(named: "megatron-h100").cases, printed) {
      let peak = try #require(published.peak).value.value
      #expect(abs(published.figures[0].value * 1e14 / peak - percent) <= 0.6, "\(published.name)")
    }
  }

  @Test func `the parts of DeepSeek-V3's step add up to it`() throws {
    let parts: [Metric] = [
      .forwardSeconds, .bubbleSeconds, .backwardInputSeconds, .backwardWeightSeconds, .overlappedSeconds,
      .optimizerSeconds,
    ]
    for published in try publishedFamily(named: "deepseek-v3").cases {
      func value(_ metric: Metric) throws -> Double {
        try #require(published.figures.first { $0.metric == metric }).value
      }
      let sum = try parts.reduce(0) { try $0 + value($1) }
      #expect(abs(sum - (try value(.stepSeconds))) < 0.05)
      let tokens = 15_360.0 * 4096
      #expect(abs(tokens / (try value(.stepSeconds)) * 86_400 / (try value(.tokensPerDay)) - 1) < 1e-3)
    }
  }
}
