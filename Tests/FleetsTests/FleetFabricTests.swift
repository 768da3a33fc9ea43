import Clusters
import Documents
import Fabrics
import Fleets
import Routing
import Testing
import Timing
import Units

/// Leaves of four nodes: eight-port switches have four ports for cards, and a plane has one card of a node.
private func small(_ name: String = "h800-2048") throws -> Step { try Step(cluster: name, ports: 8) }

extension FleetReport {
  fileprivate func carriedByTrunks() -> Int64 { trunks.indices.reduce(0) { $0 + carried(trunk: $1).count } }
}

@Suite struct `A whole cluster's fabric` {
  @Test(arguments: ["h800-2048", "h800-2048-torus"], [RouteChoice.fixed, .hashed(seed: 3), .adaptive])
  func `takes into each switch what it sends out, to the byte`(name: String, choice: RouteChoice) throws {
    // A torus has switches of its own size; expert groups lie under several of them.
    let step = try name == "h800-2048" ? small() : Step(cluster: name)
    let report = try step.run(step.skewed(), choice: choice)
    #expect(report.carriedByTrunks() > 0)
    #expect(report.carried(.nicOut) == report.carried(.nicIn))
    let graph = try FabricGraph(step.cluster, rates: .peak)
    let leaves = (0..<64).map { rank -> Int32 in
      let card = 64 + rank
      let cable = graph.out(of: card).first { graph.kinds[Int(graph.targets[Int($0)])] == .networkSwitch }
      return cable.map { graph.targets[Int($0)] } ?? -1
    }
    #expect(report.imbalances(leafOfCard: leaves).values.allSatisfy { $0 == 0 })
  }

  @Test func `combines as many pairs of token and expert as it dispatches`() throws {
    let step = try Step()
    let counters = try step.run(step.skewed()).counters
    #expect(counters.dispatchedPairs == counters.combinedPairs)
    // 4,096 tokens of 16 members choose 8 experts each; a dispatch and a combine for each exchange of a group.
    #expect(counters.dispatchedPairs == Int64(counters.exchanges / 2) * 4096 * 16 * 8)
  }

  @Test func `is no faster with colliding routes than with fixed ones that spread targets`() throws {
    let step = try small()
    let fixed = try step.run()
    let hashed = try step.run(choice: .hashed(seed: 1))
    #expect(hashed.makespan >= fixed.makespan.scaled(by: 0.999))
    let most = fixed.tiers.map(\.most.value).max() ?? 0
    #expect(hashed.tiers.map(\.most.value).max() ?? 0 > most)
  }

  @Test func `goes round a card that fails in mid-step`() throws {
    let step = try Step()
    let whole = try step.run()
    var perturbations = Perturbations()
    perturbations.cards = [CardChange(rank: 5, share: 0, at: whole.makespan.scaled(by: 0.5))]
    let report = try step.run(.balanced, perturbations)
    #expect(report.makespan > whole.makespan)
    #expect(report.counters.rerouted > 0)
    #expect(report.carried(5, .nicOut) < whole.carried(5, .nicOut))
    // A card of the same node takes over.
    #expect((0..<8).contains { report.carried($0, .nicOut) > whole.carried($0, .nicOut) })
    #expect(report.carried(.nicOut) == report.carried(.nicIn))
  }

  @Test func `goes round a cable between leaf and spine that fails in mid-step`() throws {
    let step = try small()
    let whole = try step.run()
    var perturbations = Perturbations()
    perturbations.fabric = [
      FabricChange(Failure(.device("plane0/spine0")), at: whole.makespan.scaled(by: 0.5))
    ]
    let report = try step.run(.balanced, perturbations)
    #expect(report.makespan >= whole.makespan)
    #expect(report.carried(.nicOut) == whole.carried(.nicOut))
    let lost = report.trunks.indices.filter { report.trunks[$0].name.contains("plane0/spine0") }
    #expect(
      lost.reduce(0) { $0 + report.carried(trunk: $1).count }
        < lost.reduce(0) { $0 + whole.carried(trunk: $1).count })
  }

  @Test func `refuses a failure with no way around, and names the ends`() throws {
    let step = try Step()
    var perturbations = Perturbations()
    perturbations.cards = (8..<16).map { CardChange(rank: $0, share: 0, at: Span(seconds: 0.01)) }
    let error = #expect(throws: Diagnostic.self) { try step.run(.balanced, perturbations) }
    #expect(error?.problem.contains("no way from node") == true)
    perturbations = Perturbations()
    perturbations.fabric = [FabricChange(Failure(.device("node1/gpu0"), path: "--fail"), at: .zero)]
    let lost = #expect(throws: Diagnostic.self) { _ = try step.run(.balanced, perturbations) }
    #expect(lost?.found?.contains("node1/gpu0") == true)
    perturbations.fabric = [FabricChange(Failure(.device("plane9/leaf0"), path: "--fail"), at: .zero)]
    let missing = #expect(throws: Diagnostic.self) { try step.run(.balanced, perturbations) }
    #expect(missing?.problem.contains("no such device") == true)
  }

  @Test func `is the same for one thread or two, failures included`() throws {
    let step = try small()
    var perturbations = Perturbations()
    perturbations.jitter = 0.02
    perturbations.cards = [CardChange(rank: 21, share: 0, at: Span(seconds: 0.02))]
    let one = try step.run(step.skewed(), perturbations, threads: 1)
    let two = try step.run(step.skewed(), perturbations, threads: 2)
    #expect(one.makespan == two.makespan)
    #expect(one.counters == two.counters)
    #expect(one.trunks.indices.allSatisfy { one.carried(trunk: $0) == two.carried(trunk: $0) })
    #expect(one.longestWaits(50).map(\.time) == two.longestWaits(50).map(\.time))
  }

  @Test func `is faster with experts balanced than in order, where routing is skewed`() throws {
    let step = try Step()
    guard
      let sample = RoutingSample(model: step.model, popularity: .zipf(exponents: [1]), seed: 1, tokens: 1),
      case .drawn(let draw, _) = try step.skewed(1)
    else { throw NoExperts() }
    let balancing = ExpertBalancing(replicas: 64 + 16, groups: 1, nodes: 1, gpus: 16)
    let placements = Dictionary(
      uniqueKeysWithValues: sample.layers.map {
        ($0.layer, balancing.placement(loads: $0.frequencies.map(Float.init)))
      })
    let inOrder = try step.run(.drawn(draw))
    let balanced = try step.run(.drawn(draw, placements: placements))
    #expect(balanced.makespan < inOrder.makespan.scaled(by: 0.99))
    #expect(balanced.counters.dispatchedPairs == inOrder.counters.dispatchedPairs)
  }
}
