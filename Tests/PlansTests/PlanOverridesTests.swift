import Operators
import Plans
import Testing

@Suite struct PlanOverridesTests {
  @Test func `no overrides change nothing`() throws {
    let plan = try shippedPlan(named: "deepseek-v3").plan
    #expect(plan.applying(PlanOverrides()) == plan)
    #expect(PlanOverrides().isEmpty)
  }

  @Test func `every override reaches its field`() throws {
    var overrides = PlanOverrides()
    overrides.tensor = 2
    overrides.sequenceParallel = true
    overrides.context = 4
    overrides.pipeline = 8
    overrides.virtualStages = 2
    overrides.expert = 16
    overrides.expertTensor = 2
    overrides.data = 32
    overrides.zeroStage = 3
    (overrides.routing, overrides.expertPlacement) = (.recorded(path: "a.csv"), .eplb)
    overrides.redundantExperts = 48
    overrides.microBatch = 2
    overrides.globalBatch = 1024
    overrides.sequence = 8192
    overrides.schedule = .interleaved
    overrides.layout = try StageLayout(text: "E4,4*14,1MH")
    overrides.recompute = .full
    (overrides.linear, overrides.attention, overrides.head) = (.float16, .float16, .float16)
    (overrides.router, overrides.dispatch, overrides.combine) = (.float16, .float16, .float16)
    (overrides.parameters, overrides.gradients, overrides.gradientReduction) = (.float16, .float16, .float16)
    (overrides.optimizerMoments, overrides.master, overrides.residual) = (.float16, .float16, .float16)
    overrides.communicationSMs = 24
    (overrides.overlapGradientReduction, overrides.overlapParameterGather) = (false, false)
    (overrides.overlapTensorCollectives, overrides.overlapPipelineTransfers) = (.all, false)
    (overrides.fusedAttention, overrides.dropout, overrides.fusedCrossEntropy) = (false, true, false)
    let plan = Plan(name: "base", source: "test", globalBatch: 64, sequence: 2048).applying(overrides)

    #expect([plan.tensor, plan.context, plan.pipeline, plan.virtualStages] == [2, 4, 8, 2])
    #expect([plan.expert, plan.expertTensor, plan.data, plan.zeroStage] == [16, 2, 32, 3])
    #expect(plan.routing == .recorded(path: "a.csv") && plan.expertPlacement == .eplb)
    #expect(plan.redundantExperts == 48)
    #expect(
      [plan.microBatch, plan.globalBatch, plan.sequence, plan.communicationSMs] == [2, 1024, 8192, 24])
    #expect(plan.sequenceParallel && plan.schedule == .interleaved && plan.recompute == .full)
    #expect(plan.layout == overrides.layout)
    #expect(Set(plan.document.formats) == ["fp16"])
    #expect(
      plan.overlap
        == Overlap(
          gradientReduction: false, parameterGather: false, tensorCollectives: .all, pipelineTransfers: false)
    )
    #expect(!plan.operators.fusedAttention && plan.operators.dropout && !plan.operators.fusedCrossEntropy)
  }

  @Test func `a layout stays while the number of stages does`() throws {
    let plan = try shippedPlan(named: "deepseek-v3").plan
    var overrides = PlanOverrides()
    overrides.schedule = .zeroBubble
    #expect(plan.applying(overrides).layout == plan.layout)
    overrides.pipeline = 8
    #expect(plan.applying(overrides).layout == nil)
    overrides.schedule = .dualPipeV
    #expect(plan.applying(overrides).layout == plan.layout, "eight ranks of two stages are sixteen again")
  }

  @Test func `a stated data degree is derived again when another degree changes`() {
    var plan = Plan(name: "base", source: "test", globalBatch: 64, sequence: 2048)
    plan.data = 8
    var overrides = PlanOverrides()
    overrides.globalBatch = 128
    #expect(plan.applying(overrides).data == 8)
    overrides.tensor = 2
    #expect(plan.applying(overrides).data == nil)
  }
}
