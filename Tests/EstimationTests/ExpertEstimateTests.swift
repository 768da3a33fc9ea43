import Documents
import Foundation
import Plans
import Reports
import Testing

@testable import Estimation

@Suite struct `An estimate with uneven experts` {
  private func request(_ change: (inout PlanOverrides) -> Void) -> EstimateRequest {
    var request = EstimateRequest()
    (request.model, request.cluster, request.gpus) = ("mixtral-8x7b", "h100-1024", 64)
    request.overrides.expert = 8
    request.overrides.globalBatch = 256
    change(&request.overrides)
    return request
  }

  @Test func `says what they add, and what placing them wins back`() throws {
    let report = try estimate(
      request {
        ($0.routing, $0.expertPlacement, $0.redundantExperts) = (.zipf(exponent: 0.5), .eplb, 8)
      }
    ).estimate
    let experts = try #require(report.experts)
    #expect(experts.cases.map(\.name) == ["in order", "eplb, 8 redundant"])
    #expect(experts.expertsPerRank == 2)
    #expect(experts.cases[0].worstLoad > experts.cases[0].meanLoad - 1e-9 && experts.cases[0].meanLoad > 1.2)
    #expect(experts.cases[1].meanLoad < experts.cases[0].meanLoad)
    #expect(experts.balanced < experts.cases[1].step && experts.cases[1].step < experts.cases[0].step)
    #expect(report.step.length == experts.cases[1].step)
    let text = table(report)
    #expect(text.contains("zipf:0.5; rows of the fullest rank over the mean"))
    #expect(text.contains("wins back"))
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(json(report).contains("\"worst_load\""))
    #expect(csv(report).contains("experts"))
  }

  @Test func `is as before where they are balanced`() throws {
    let plain = try estimate(request { _ in }).estimate
    #expect(plain.experts == nil)
    let placed = try estimate(request { $0.expertPlacement = .eplb }).estimate
    #expect(placed.step == plain.step && placed.memory == plain.memory && placed.experts == nil)
  }

  @Test func `reads a recording, names it in its provenance, and refuses one of other experts`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func write(_ experts: Int) throws -> String {
      let path = folder.appending(path: "\(experts).csv").path
      let rows = (0..<experts).map { "0,\($0),\($0 == 0 ? 400 : 100)\n" }.joined()
      try Data(("layer,expert,count\n" + rows).utf8).write(to: URL(filePath: path))
      return path
    }
    let path = try write(8)
    let inputs = try EstimateInputs(request { $0.routing = .recorded(path: path) })
    #expect(inputs.plan.expertLoads.map { abs($0.meanImbalance - 400 / 137.5) < 1e-9 } == true)
    #expect(inputs.provenance.inputs.last?.name == "routing")
    #expect(inputs.provenance.inputs.last?.sha256 == sha256(try readFile(at: path)))
    let wrong = try write(16)
    let error = #expect(throws: Diagnostic.self) {
      try EstimateInputs(request { $0.routing = .recorded(path: wrong) })
    }
    #expect(error?.file == wrong && error?.found == "16 experts a layer")
  }
}
