import Clusters
import Documents
import Foundation
import Networks
import Testing
import Units

@testable import Fabrics

/// The keys of a fabric by hand: two switches under one link each.
private let graphByHand = """
  fabric:
    kind: graph
    switch_ports: {value: 8, tag: assumed, source: "a test"}
    same_leaf_latency: {value: 2 us, tag: assumed, source: "a test"}
    cross_leaf_latency: {value: 3 us, tag: assumed, source: "a test"}
    graph:
      switches: [left, right]
      links:
        - {between: [node0/nic0, left]}
        - {between: [node0/nic1, left]}
        - {between: [node1/nic0, right]}
        - {between: [node1/nic1, right]}
        - {between: [left, right], count: 2, bandwidth: {value: 25 GB/s, tag: assumed, source: "a test"}}
  """

/// Writes a file that lays `fabric` and other keys over the small cluster's, and reads it.
private func read(_ keys: String, replacing fabric: Bool = true) throws -> Cluster {
  let folder = FileManager.default.temporaryDirectory.appending(path: "fabric-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  var text = try shippedText("small")
  if fabric, let start = text.range(of: "fabric:"), let end = text.range(of: "\ncollectives:") {
    text.replaceSubrange(start.lowerBound..<end.lowerBound, with: "")
  }
  text = text.replacing("nodes: {value: 4,", with: "nodes: {value: 2,")
  let file = folder.appending(path: "own.yaml")
  try Data((text + "\n" + keys + "\n").utf8).write(to: file)
  return try readCluster(at: file.path).cluster
}

private func shippedText(_ name: String) throws -> String {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Topologies")
  return try String(contentsOf: folder.appending(path: "\(name).yaml"), encoding: .utf8)
}

/// The file of a golden text beside this source; `REHEARSAL_REGENERATE=1` writes it anew instead of comparing.
private func expectGolden(_ text: String, _ name: String) throws {
  let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
  if ProcessInfo.processInfo.environment["REHEARSAL_REGENERATE"] == "1" {
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
  #expect(text == (try String(contentsOf: file, encoding: .utf8)), "\(name) differs")
}

@Suite struct `Fabrics in files` {
  @Test func `a graph by hand is built and routed`() throws {
    let graph = try FabricGraph(read(graphByHand))
    var router = Router(graph)
    let route = try router.route(from: 0, to: 2)
    #expect(
      names(route, graph) == [
        "node0/gpu0>node0/nic0", "node0/nic0>left", "left>right", "right>node1/nic0", "node1/nic0>node1/gpu0",
      ])
    #expect(latency(route, graph) == Span(microseconds: 2.5))
    #expect(
      names(try router.route(from: 0, to: 1), graph) == [
        "node0/gpu0>node0/nvswitch", "node0/nvswitch>node0/gpu1",
      ])
    let check = try FabricCheck(graph)
    #expect(check.bisection?.value == 50e9)
    #expect(FabricCounts(graph) == FabricCounts(endpoints: 4, switches: 2, links: 2))
  }

  @Test(arguments: [
    // replaced, replacement, part of the problem
    ("[left, right], count", "[left, wrong], count", "no such device"),
    ("[node0/nic0, left]", "[node0/gpu0, left]", "no such device"),
    ("[node0/nic0, left]", "[left, left]", "two different ends"),
    ("[node0/nic0, left]", "[node0/nic0]", "two different ends"),
    ("switches: [left, right]", "switches: [left, left]", "a name of its own"),
    ("switches: [left, right]", "switches: [left, right, node0/nic0]", "name of another device"),
    ("value: 25 GB/s", "value: 0 GB/s", "positive"), ("value: 25 GB/s", "value: -1 GB/s", "positive"),
    ("count: 2", "count: 0", "out of range"), ("count: 2", "count: 1000000000", "out of range"),
    ("count: 2", "count: 9", "more cables than ports"), ("count: 2", "cuont: 2", "unknown key"),
    ("kind: graph", "kind: torus", "another kind"), ("kind: graph", "kind: ring", "unknown choice"),
    ("value: 3 us", "value: 1 us", "faster"),
  ])
  func `a wrong graph is one error`(text: String, other: String, problem: String) throws {
    let error = try #require(throws: Diagnostic.self) {
      try FabricGraph(read(graphByHand.replacing(text, with: other)))
    }
    #expect(error.problem.contains(problem), "\(error)")
    #expect(error.path != nil)
  }

  @Test func `a GPU that no cable reaches is named`() throws {
    let text = graphByHand.replacing(
      "      - {between: [left, right], count: 2, bandwidth: {value: 25 GB/s, tag: assumed, source: \"a test\"}}\n",
      with: ""
    )
    .split(separator: "\n").filter { !$0.contains("[left, right], count") }.joined(separator: "\n")
    let graph = try FabricGraph(read(text))
    let error = try #require(throws: Diagnostic.self) { try FabricCheck(graph) }
    #expect(error.problem == "there is no way from node0/gpu0 to node1/gpu0")
  }

  @Test func `failures and PCIe are read`() throws {
    let cluster = try read(
      """
      pcie: {bandwidth: {value: 63 GB/s, tag: derived, source: "PCI Express 5.0, sixteen lanes"}}
      failures:
        - {device: node1/nic0}
        - {between: [node0/nic1, leaf0], remaining: {value: 50 %, tag: assumed, source: "a test"}}
      """, replacing: false)
    let graph = try FabricGraph(cluster, rates: .peak)
    #expect(graph.failures == ["node1/nic0 failed", "node0/nic1 - leaf0 at 50 %"])
    var router = Router(graph)
    let route = try router.route(from: 1, to: 3)
    #expect(route.map { graph.rate(of: $0).value } == [63e9, 25e9, 50e9, 63e9])
  }

  @Test(arguments: [
    ("- {device: node1/nic7}", "no such device"), ("- {between: [node0/nic1]}", "two different ends"),
    ("- {device: node1/nic0, between: [a, b]}", "not of both"), ("- {}", "missing"),
    ("- {device: node0/nic0, remaining: {value: 150 %, tag: assumed, source: x}}", "at most 1"),
    ("- {device: node0/nic0, remaining: 0.5}", "needs its source"),
    ("- {between: [node0/nic0, node1/nic0]}", "no cable"),
    ("- {between: [node0/nic0, leaf0], cable: 1}", "not so many"),
  ])
  func `wrong failures are one error`(line: String, problem: String) throws {
    let error = try #require(throws: Diagnostic.self) {
      try FabricGraph(read("failures:\n  \(line)", replacing: false))
    }
    #expect(error.problem.contains(problem), "\(error)")
    #expect(error.path?.contains("failures[0]") == true)
  }

  @Test(arguments: [
    "dragonfly: {groups: {value: 3, tag: assumed, source: x}}",
    "slim_fly: {q: {value: 4096, tag: assumed, source: x}}",
    "torus: {dimensions: {value: [0, 4], tag: assumed, source: x}}",
    "torus: {dimensions: {value: [65536, 65536, 65536], tag: assumed, source: x}}",
    "torus: {dimensions: [2, 2]}",
  ])
  func `incomplete and monstrous shapes are refused`(shape: String) throws {
    let kind = String(shape.prefix { $0 != ":" })
    let keys = graphByHand.split(separator: "\n").prefix { !$0.contains("graph:") }.joined(separator: "\n")
      .replacing("kind: graph", with: "kind: \(kind)")
    #expect(throws: Diagnostic.self) { try FabricGraph(read(keys + "\n  " + shape)) }
  }

  @Test func `drawings and summary are the ones that were looked at`() throws {
    var cluster = try cluster(.fatTree, nodes: 4, gpus: 2, cards: 2, ports: 8)
    cluster.name = "four <nodes>"
    cluster.failures = [Failure(.cable("leaf0", "spine0", number: 0))]
    let graph = try FabricGraph(cluster)
    try expectGolden(graph.svg(), "tree.svg")
    try expectGolden(graph.dot(), "tree.dot")
    try expectGolden(graph.summary() + "\n" + FabricCheck(graph).text(graph), "tree.txt")
    let prices = try FabricPrices.shipped()
    try expectGolden(prices.text(cluster.name, FabricCounts(graph)), "cost.txt")
    #expect(
      (graph.summary() + (try FabricCheck(graph).text(graph))).split(separator: "\n").allSatisfy {
        $0.count <= 80
      })
    _ = try JSONSerialization.jsonObject(with: Data(graph.json().utf8))
  }

  @Test func `large fabrics are drawn in part or refused`() throws {
    let part = try FabricGraph(resolveCluster("h800-2048").cluster).svg()
    #expect(part.contains("the first of 8 planes") && part.utf8.count < 400_000)
    let large = try FabricGraph(
      cluster(.slimFly, nodes: 1458, gpus: 1, cards: 1, shape: slimFly(27, cards: 1)))
    #expect(throws: Diagnostic.self) { try large.svg() }
  }
}

@Suite struct `Bandwidth tables` {
  @Test func `one message takes its latency and its bytes at the slowest link`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    var bench = try FabricBench(cluster, gpus: 16)
    let size = Bytes(Int64(1) << 30)
    let time = try bench.pointToPoint(8, size)
    #expect(time == cluster.fabric.sameLeafLatency.value + size / cluster.nic.achieved.value)
  }

  @Test func `an all-to-all across two nodes is bound by the cards`() throws {
    let cluster = try cluster(.fatTree, nodes: 2)
    var bench = try FabricBench(cluster, gpus: 16)
    let size = Bytes(Int64(1) << 30)
    // Eight sixteenths of each GPU's bytes leave by its card.
    let bytes = Double(size.count) / 2
    let latency = cluster.collectives.baseLatency.value + cluster.fabric.sameLeafLatency.value
    let least = latency.seconds + bytes / cluster.nic.achieved.value.value
    let time = try bench.time(.allToAll, .pairwise, size).time.seconds
    #expect(abs(time / least - 1) < 1e-9)
  }

  @Test func `rings of an all-reduce reach the cards' bandwidth, and NVLink's within a node`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    var bench = try FabricBench(cluster, gpus: 32)
    let size = Bytes(Int64(1) << 32)
    let bus = BenchRow(size, try bench.time(.allReduce, .ring, size).time, factor: 2.0 * 31 / 32).bus.value
    // Every GPU hands on its eight rings' shares; NVLink bounds it before the cards do.
    #expect(bus < 8 * cluster.nic.achieved.value.value && bus > 0.9 * cluster.nvlink.achieved.value.value)
    var node = try FabricBench(cluster, gpus: 8)
    let inside = BenchRow(size, try node.time(.allReduce, .ring, size).time, factor: 2.0 * 7 / 8).bus.value
    #expect(abs(inside / cluster.nvlink.achieved.value.value - 1) < 0.02)
  }

  @Test func `tables name both bandwidths and fit 80 columns`() throws {
    var bench = try FabricBench(resolveCluster("small").cluster)
    let text = try bench.text(sizes: [Bytes(1024), Bytes(1 << 20)])
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(text.contains("algbw") && text.contains("busbw"))
    #expect(throws: Diagnostic.self) { try FabricBench(resolveCluster("small").cluster, gpus: 3) }
    #expect(throws: Diagnostic.self) { try FabricBench(resolveCluster("small").cluster, gpus: 1) }
  }
}
