import Documents
import Foundation
import Testing
import Units

@testable import Validation

@Suite struct ComparisonTests {
  private func family(mean: String = "8 %") throws -> PublishedFamily {
    let text = """
      family: invented
      title: Two rows
      source: a test
      settings: none
      tolerance: {mean: \(mean), row: 20 %}
      peak: {value: 100 TFLOPS, tag: assumed, source: a test}
      cluster: one
      model: {vocabulary: 100, sequence: 10}
      plan: {parallel: {tensor: 1}, schedule: 1f1b}
      metric: step_seconds
      cases:
        - case: first
          gpus: 1
          model: {hidden: 4, layers: 2, heads: 2}
          plan: {batch: {global: 8}}
          published: [{value: 10}]
        - case: second
          gpus: 2
          model: {hidden: 4, layers: 2, heads: 2}
          plan: {batch: {global: 8}}
          published: [{value: 20, explanation: known}, {metric: bubble_seconds, value: 1, tolerance: 50 %}]
      """
    return try PublishedFamily(try parseYAML(Data(text.utf8), file: "invented.yaml"))
  }

  @Test func `errors are relative and signed, and their mean is of magnitudes`() throws {
    let compared = compare(try family()) { published in
      published.name == "first"
        ? Prediction(step: Span(seconds: 11))
        : Prediction(step: Span(seconds: 19), values: [.bubbleSeconds: 1])
    }
    let errors = compared.figures.compactMap { $0.error?.value }
    #expect(errors.count == 3)
    #expect(abs(errors[0] - 0.1) < 1e-12 && abs(errors[1] + 0.05) < 1e-12 && errors[2] == 0)
    #expect(abs(try #require(compared.meanAbsoluteError).value - 0.05) < 1e-12)
    #expect(compared.passes && compared.worst?.caseName == "first")
    #expect(compared.figures[1].published.explanation == "known")
  }

  @Test func `a family fails by its mean although every row is within its tolerance`() throws {
    let predict: (PublishedCase) -> Prediction = {
      Prediction(step: Span(seconds: $0.figures[0].value * 1.19), values: [.bubbleSeconds: 1.1])
    }
    let strict = compare(try family(), predict: predict)
    #expect(strict.figures.allSatisfy(\.passes) && !strict.passes)
    #expect(compare(try family(mean: "20 %"), predict: predict).passes)
  }

  @Test func `one row beyond its tolerance fails the family`() throws {
    let compared = compare(try family(mean: "90 %")) {
      Prediction(
        step: Span(seconds: $0.figures[0].value * ($0.name == "first" ? 0.79 : 1)),
        values: [.bubbleSeconds: 1])
    }
    #expect(compared.figures.map(\.passes) == [false, true, true] && !compared.passes)
  }

  @Test func `what is not predicted fails and says so`() throws {
    let compared = compare(try family()) { published in
      guard published.name == "first" else { throw Diagnostic(.data, "does not fit") }
      return Prediction()
    }
    #expect(compared.figures.allSatisfy { $0.predicted == nil } && !compared.passes)
    #expect(compared.figures[0].failure == "step_seconds was not predicted")
    #expect(try #require(compared.figures[1].failure).contains("does not fit"))
    #expect(compared.meanAbsoluteError == nil && compared.worst == nil)
  }

  @Test func `a prediction that is not a number is none`() throws {
    let compared = compare(try family()) { _ in
      Prediction(values: [.stepSeconds: .nan, .bubbleSeconds: .infinity])
    }
    #expect(compared.figures.allSatisfy { $0.predicted == nil && !$0.passes })
  }

  @Test func `throughput follows from a step's length by the row's own rule`() throws {
    let published = try family().cases[1]
    let shape = GPTShape(hidden: 4, layers: 2, heads: 2, vocabulary: 100, sequence: 10)
    let step = Span(seconds: 1e-3)
    let expected = shape.modelFLOPs(sequences: 8).value / 1e-3 / 2
    #expect(try #require(published.value(of: .teraflopsMegatron, step: step)) == expected * 1e-12)
    #expect(try #require(published.value(of: .utilizationMegatron, step: step)) == expected / 100e12)
    #expect(published.value(of: .tokensPerDay, step: step) == 80 / 1e-3 * 86_400)
    #expect(published.value(of: .bubbleSeconds, step: step) == nil)
  }

  @Test(arguments: ["row: 20 %}\npeek: 1", "row: 20}", "row: 20 %}\ncases: []"])
  func `a wrong file is refused with its name`(tail: String) throws {
    let text = "family: x\ntitle: x\nsource: x\nsettings: x\ntolerance: {\(tail)\n"
    let error = #expect(throws: Diagnostic.self) {
      try PublishedFamily(try parseYAML(Data(text.utf8), file: "wrong.yaml"))
    }
    if !tail.contains("cases") { #expect(error?.file == "wrong.yaml") }
  }
}
