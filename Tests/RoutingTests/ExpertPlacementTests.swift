import Foundation
import TestSupport
import Testing

@testable import Routing

/// Vectors of the published balancer.
private struct BalancerCases: Decodable {
  var cases: [Case]

  struct Case: Decodable {
    var name: String
    var policy: String
    var numReplicas: Int
    var numGroups: Int
    var numNodes: Int
    var numGpus: Int
    var weight: [[Float]]
    var phy2log: [[Int]]
    var log2phy: [[[Int]]]
    var logcnt: [[Int]]
    var gpuLoad: [[Double]]
    var gpuLoadMaxOverMean: [Double]
  }
}

@Suite struct ExpertPlacementTests {
  @Test func `placements are those of the published balancer`() throws {
    let paths = try goldenPaths(in: "eplb", ending: ".json")
    #expect(!paths.isEmpty)
    for path in paths {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      let file = try decoder.decode(BalancerCases.self, from: Data(contentsOf: URL(filePath: path)))
      for vector in file.cases {
        let balancing = ExpertBalancing(
          replicas: vector.numReplicas, groups: vector.numGroups, nodes: vector.numNodes, gpus: vector.numGpus
        )
        #expect(balancing.isHierarchical == (vector.policy == "hierarchical"))
        for (layer, loads) in vector.weight.enumerated() {
          let placement = balancing.placement(loads: loads)
          #expect(placement.expertOfSlot == vector.phy2log[layer], "\(vector.name), layer \(layer)")
          #expect(placement.slotsOfExpert.map(\.count) == vector.logcnt[layer])
          #expect(placement.slotsOfExpert == vector.log2phy[layer].map { $0.filter { $0 >= 0 } })
          let each = placement.loads(loads.map(Double.init))
          for (found, expected) in zip(each, vector.gpuLoad[layer]) {
            #expect(abs(found - expected) <= 1e-5 * max(1, expected))
          }
          let imbalance = placement.imbalance(loads.map(Double.init))
          #expect(abs(imbalance - vector.gpuLoadMaxOverMean[layer]) <= 1e-5)
        }
      }
    }
  }

  @Test func `experts in order lie on the GPUs in order`() {
    let placement = ExpertPlacement(contiguous: 8, gpus: 4)
    #expect(placement.expertOfSlot == Array(0..<8))
    #expect(placement.slotsPerGPU == 2)
    #expect(placement.gpu(ofSlot: 5) == 2)
    #expect(placement.slot(of: 5, token: 17) == 5)
    #expect(placement.loads([1, 2, 3, 4, 5, 6, 7, 8]) == [3, 7, 11, 15])
    #expect(placement.imbalance([1, 2, 3, 4, 5, 6, 7, 8]) == 15.0 / 9)
    #expect(placement.imbalance(Array(repeating: 0, count: 8)) == 1)
  }

  @Test func `replicas take tokens in turn and share their expert's load`() {
    let placement = ExpertPlacement(slotsOfExpert: [[0, 3], [1], [2]], gpus: 2)
    #expect((0..<4).map { placement.slot(of: 0, token: $0) } == [0, 3, 0, 3])
    #expect(placement.loads([8, 1, 2]) == [5, 6])
  }

  @Test func `every placement holds every expert, every group within one node`() {
    for seed in 0..<40 {
      var generator = SeededGenerator(seed: UInt64(seed), stream: "placements")
      let nodes = [1, 2, 4][seed % 3]
      let groups = nodes * (1 + seed % 2)
      let experts = groups * Int.random(in: 1...6, using: &generator)
      let gpus = nodes * Int.random(in: 1...3, using: &generator)
      let slotsPerGPU = (experts + gpus - 1) / gpus + Int.random(in: 0...2, using: &generator)
      // Nodes get whole groups; with several groups of unlike size to a node, slots must suffice for each.
      guard slotsPerGPU * gpus / nodes >= experts / nodes else { continue }
      let loads = (0..<experts).map { _ in Float.random(in: 0...100, using: &generator).rounded() }
      let balancing = ExpertBalancing(replicas: slotsPerGPU * gpus, groups: groups, nodes: nodes, gpus: gpus)
      let placement = balancing.placement(loads: loads)
      #expect(Set(placement.expertOfSlot) == Set(0..<experts))
      #expect(placement.slotsOfExpert.joined().sorted() == Array(0..<slotsPerGPU * gpus))
      let slotsPerNode = slotsPerGPU * gpus / nodes
      for group in 0..<groups {
        let members = group * (experts / groups)..<(group + 1) * (experts / groups)
        #expect(Set(members.flatMap { placement.slotsOfExpert[$0] }.map { $0 / slotsPerNode }).count == 1)
      }
      let total = loads.reduce(0) { $0 + Double($1) }
      #expect(abs(placement.loads(loads.map(Double.init)).reduce(0, +) - total) < 1e-6 * (total + 1))
    }
  }
}
