import Documents
import Foundation
import Models
import Operators
import Plans
import TestSupport
import Testing

@Suite struct PlanReadingTests {
  static let smallest = """
    name: smallest
    source: test
    batch: {global: 8, sequence: 4096}
    """

  @Test func `what a plan leaves out is the default`() throws {
    let read = try plan(yaml: Self.smallest)
    #expect(read == Plan(name: "smallest", source: "test", globalBatch: 8, sequence: 4096))
    #expect(read.recompute == .none && read.zeroStage == 1 && read.schedule == .oneForwardOneBackward)
  }

  @Test func `every key is read`() throws {
    let read = try plan(
      yaml: """
        name: all
        description: every key
        source: test
        assumed: [one, two]
        model: gpt
        cluster: a100
        parallel: {tensor: 8, sequence_parallel: true, context: 2, pipeline: 4, virtual_stages: 3, expert: 16,
          expert_tensor: 2, data: 5, zero: 3}
        routing: zipf:0.75
        expert_placement: eplb
        redundant_experts: 32
        batch: {micro: 2, global: 80, sequence: 2048}
        schedule: interleaved-1f1b
        layout: [E1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1H]
        recompute: [norm, swiglu]
        precision: {linear: fp8, attention: fp16, head: fp32, router: fp16, residual: fp32, dispatch: fp8, combine: fp32,
          parameters: fp16, gradients: bf16, gradient_reduction: fp16, optimizer_moments: bf16, master: fp16}
        optimizer: adamw
        communication_sms: 24
        overlap: {gradient_reduction: false, parameter_gather: false, tensor_collectives: all, pipeline_transfers: false}
        all_to_all: two_hop
        operators: {fused_attention: false, causal: false, dropout: true, fused_cross_entropy: false}
        """)
    #expect(read.assumed == ["one", "two"] && read.description == "every key")
    #expect(read.model == "gpt" && read.cluster == "a100")
    #expect(read.tensor == 8 && read.context == 2 && read.pipeline == 4 && read.virtualStages == 3)
    #expect(read.expert == 16 && read.expertTensor == 2 && read.data == 5 && read.zeroStage == 3)
    #expect(
      read.sequenceParallel && read.schedule == .interleaved && read.recompute == .units(["norm", "swiglu"]))
    #expect(read.microBatch == 2 && read.globalBatch == 80 && read.sequence == 2048)
    #expect(read.communicationSMs == 24 && read.allToAll == .twoHop)
    #expect(
      read.routing == .zipf(exponent: 0.75) && read.expertPlacement == .eplb && read.redundantExperts == 32)
    #expect(read.layout?.text == "E1,2*10,1H")
    #expect(
      read.precision.operators
        == Precision(
          linear: .float8, attention: .float16, head: .float32, router: .float16, residual: .float32))
    #expect([read.precision.dispatch, read.precision.combine] == [.float8, .float32])
    #expect([read.precision.parameters, read.precision.master] == [.float16, .float16])
    #expect([read.precision.gradients, read.precision.gradientReduction] == [.bfloat16, .float16])
    #expect(read.precision.optimizerMoments == .bfloat16)
    #expect(
      read.overlap
        == Overlap(
          gradientReduction: false, parameterGather: false, tensorCollectives: .all, pipelineTransfers: false)
    )
    #expect(
      read.operators
        == OperatorOptions(fusedAttention: false, causal: false, dropout: true, fusedCrossEntropy: false))
    #expect(try writtenAndRead(read) == [read, read])
  }

  @Test(
    arguments: [
      ("parallel: {tensr: 8}", "parallel.tensr", "did you mean tensor?"),
      ("parallel: {tensor: 0}", "parallel.tensor", nil),
      ("parallel: {tensor: 99999999999}", "parallel.tensor", nil),
      ("parallel: {tensor: 1.5}", "parallel.tensor", nil),
      ("parallel: {zero: 4}", "parallel.zero", nil),
      ("parallel: [8]", "parallel", nil),
      ("schedule: dualpip", "schedule", "did you mean dualpipe?"),
      ("recompute: nrom", "recompute", "did you mean norm?"),
      ("recompute: [norm, norm]", "recompute", nil),
      ("recompute: [norm, 3]", "recompute[1]", nil),
      ("precision: {linear: int8}", "precision.linear", nil),
      ("precision: {linaer: fp8}", "precision.linaer", "did you mean linear?"),
      ("layout: E4,q", "layout", nil),
      ("layout: []", "layout", nil),
      ("communication_sms: -1", "communication_sms", nil),
      ("routing: zipff:1", "routing", "did you mean zipf?"),
      ("routing: zipf:5", "routing", "zipf:0.5"),
      ("routing: zipf:nan", "routing", "zipf:0.5"),
      ("routing: 'recorded:'", "routing", "did you mean recorded?"),
      ("expert_placement: epbl", "expert_placement", "did you mean eplb?"),
      ("redundant_experts: -8", "redundant_experts", nil),
      ("overlap: {pipeline_transfers: maybe}", "overlap.pipeline_transfers", nil),
      ("operators: {dropout: 0.1}", "operators.dropout", nil),
      ("shedule: 1f1b", "shedule", "did you mean schedule?"),
      ("assumed: none", "assumed", nil),
    ] as [(String, String, String?)])
  func `what cannot be read is refused with its path`(line: String, path: String, hint: String?) {
    let found = diagnostic { try plan(yaml: Self.smallest + "\n" + line) }
    #expect(found?.path == path && found?.file == "plan.yaml", "\(String(describing: found))")
    #expect(found?.status == .data)
    if let hint { #expect(found?.hint == hint) }
  }

  @Test(arguments: [
    ("name", "name: ' '\nsource: s\nbatch: {global: 1, sequence: 1}"),
    ("source", "name: n\nbatch: {global: 1, sequence: 1}"), ("batch", "name: n\nsource: s"),
    ("batch.global", "name: n\nsource: s\nbatch: {sequence: 1}"),
    ("batch.sequence", "name: n\nsource: s\nbatch: {global: 1}"),
  ])
  func `a plan states its name, its source and its batch`(path: String, yaml: String) {
    #expect(diagnostic { try plan(yaml: yaml) }?.path == path)
  }

  @Test func `text that YAML would take for something else survives writing`() throws {
    for text in [
      "true", "1", "a: b", "- x", "\"quoted\" \\ back", "line\nbreak", "# no comment", "é → \u{1F600}",
      "null", "y", "\u{7f}\u{85}",
    ] {
      var awkward = Plan(name: text, source: text, globalBatch: 1, sequence: 1)
      awkward.assumed = [text, "[\(text)]"]
      #expect(try writtenAndRead(awkward) == [awkward, awkward])
    }
  }

  /// A plan file with bytes changed, dropped or doubled is read or refused, never more.
  @Test func `damaged plans are read or refused with a diagnostic`() throws {
    let original = Array(try shippedPlan(named: "deepseek-v3").plan.yaml.utf8)
    var random = SeededGenerator(seed: 42)
    let alphabet = Array("0123456789-:,.[]{}\"'#&*!|>%@ \n\tEMHx\u{ff}".utf8)
    var refused = 0
    for _ in 0..<1500 {
      var bytes = original
      for _ in 0...random.below(4) {
        let place = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[place] = alphabet[random.below(alphabet.count)]
        case 1: bytes.insert(alphabet[random.below(alphabet.count)], at: place)
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(30)))
        default:
          bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + random.below(40))], at: place)
        }
      }
      do {
        let read = try Plan(parseYAML(Data(bytes), file: "fuzz.yaml"))
        #expect(try writtenAndRead(read) == [read, read])
        _ = try? validate(read, model: deepseekV3, cluster: cluster(nodes: 256))
      } catch let error as Diagnostic {
        refused += 1
        #expect(error.file == "fuzz.yaml")
      }
    }
    #expect(refused > 300)
  }
}

/// The plan as its YAML and its JSON read back.
private func writtenAndRead(_ plan: Plan) throws -> [Plan] {
  [
    try Plan(parseYAML(Data(plan.yaml.utf8), file: "written.yaml")),
    try Plan(parseJSON(Data(plan.json.utf8), file: "written.json")),
  ]
}
