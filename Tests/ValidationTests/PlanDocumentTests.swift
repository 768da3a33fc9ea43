import Documents
import Testing
import Units

@testable import Validation

@Suite struct PlanDocumentTests {
  /// The cases that carry a plan of their own, with it.
  private func documents() throws -> [(published: PublishedCase, shape: GPTShape, plan: Node)] {
    try publishedFamilies().flatMap(\.cases).compactMap { published in
      guard case .document(let plan) = published.plan, case .gpt(let shape) = published.model else {
        return nil
      }
      return (published, shape, plan)
    }
  }

  @Test func `a case's plan is a whole plan: the family's settings with its own laid over them`() throws {
    let family = try publishedFamily(named: "megatron-sc21")
    guard case .document(let plan) = family.cases[5].plan else { throw Diagnostic(.data, "no plan") }
    #expect(try plan.required("name").text() == "megatron-sc21, 76.1B")
    #expect(try plan.required("source").text() == family.source)
    #expect(try plan.required("parallel").required("virtual_stages").integer() == 3)
    #expect(try plan.required("parallel").required("zero").integer() == 0)
    #expect(try plan.required("batch").required("sequence").integer() == 2048)
    #expect(try plan.required("overlap").required("gradient_reduction").bool() == false)
    guard case .document(let first) = family.cases[0].plan else { throw Diagnostic(.data, "no plan") }
    #expect(try first.required("overlap").required("gradient_reduction").bool() == true)
  }

  @Test func `GPUs, batch, layers and heads divide as Megatron demands`() throws {
    let all = try documents()
    #expect(all.count == 36)
    for (published, shape, plan) in all {
      let parallel = try plan.required("parallel")
      let tensor = try parallel.required("tensor").integer()
      let pipeline = try parallel.required("pipeline").integer()
      let virtual = try parallel.optional("virtual_stages")?.integer() ?? 1
      let micro = try plan.required("batch").required("micro").integer()
      let global = try plan.required("batch").required("global").integer()
      let name = "\(published.family), \(published.name)"
      #expect(published.gpus % (tensor * pipeline) == 0, "\(name)")
      let replicas = published.gpus / (tensor * pipeline)
      #expect(global % (replicas * micro) == 0, "\(name)")
      #expect(shape.layers % (pipeline * virtual) == 0, "\(name)")
      #expect(shape.heads % tensor == 0 && shape.hidden % shape.heads == 0, "\(name)")
      if virtual > 1 { #expect(global / (replicas * micro) % pipeline == 0, "\(name)") }
      #expect(try plan.required("schedule").text() == (virtual > 1 ? "interleaved-1f1b" : "1f1b"), "\(name)")
      if tensor == 1 { #expect(try parallel.required("sequence_parallel").bool() == false, "\(name)") }
    }
  }

  @Test func `every case of a paper's table has 48 replicas where the table says so`() throws {
    for (published, _, plan) in try documents().filter({ $0.published.family == "megatron-h100" }).prefix(9) {
      let parallel = try plan.required("parallel")
      let degree = try parallel.required("tensor").integer() * parallel.required("pipeline").integer()
      #expect(published.gpus / degree == 48)
    }
  }
}
