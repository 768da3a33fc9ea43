import Documents
import Foundation
import Operators
import Testing
import Units

@testable import Clusters

@Suite struct `Shipped clusters` {
  @Test func `the shipped names are the folder's files`() {
    #expect(
      shippedClusterNames == [
        "a100-sc21", "h100-1024", "h100-eos", "h800-2048", "h800-2048-dragonfly", "h800-2048-feb2025",
        "h800-2048-mrft", "h800-2048-rails-3to1", "h800-2048-slim-fly", "h800-2048-torus", "h800-node",
        "small",
      ])
    #expect(shippedGPUNames == ["a100", "h100", "h800", "h800-2024"])
  }

  @Test(arguments: shippedClusterNames)
  func `every shipped file reads and carries its own name`(name: String) throws {
    let resolved = try resolveCluster(name)
    #expect(resolved.cluster.name == name)
    #expect(resolved.origin == "shipped")
    #expect(resolved.hash.count == 64)
    #expect(resolved.inputs.first?.name == "\(name).yaml")
    #expect(resolved.inputs.contains { $0.name.hasPrefix("gpus/") })
    #expect(resolved.cluster.gpus > 0)
  }

  @Test(
    arguments: zip(
      [
        "a100-sc21", "h100-1024", "h100-eos", "h800-2048", "h800-2048-dragonfly", "h800-2048-feb2025",
        "h800-2048-mrft", "h800-2048-rails-3to1", "h800-2048-slim-fly", "h800-2048-torus", "h800-node",
        "small",
      ],
      [3072, 1024, 6144, 2048, 2048, 2048, 2048, 2048, 2048, 2048, 8, 8]))
  func `a shipped cluster has the GPUs its description says`(name: String, gpus: Int) throws {
    #expect(try resolveCluster(name).cluster.gpus == gpus)
  }

  @Test func `the H800 machine has its published links`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    #expect(cluster.nvlink.peak.value == BytesPerSecond(200e9))
    #expect(cluster.nvlink.achieved.value == BytesPerSecond(160e9))
    #expect(cluster.nic.peak.value == BytesPerSecond(50e9))
    #expect(cluster.fabric.planes.value == 8)
    #expect(cluster.rent?.value == DollarsPerGPUHour(2))
    // ISCA'25 section 5.1: eight planes of two layers scale to 16,384 endpoints.
    #expect(cluster.fabric.endpointsPerPlane * cluster.fabric.planes.value == 16_384)
  }

  @Test func `an extending cluster differs only in what it says`() throws {
    let run = try resolveCluster("h800-2048").cluster
    let later = try resolveCluster("h800-2048-feb2025").cluster
    #expect(later.nic == run.nic && later.fabric == run.fabric && later.allToAll == run.allToAll)
    #expect(later.gpu.kernels.products == run.gpu.kernels.products)
    #expect(later.gpu.kernels.attention.count < run.gpu.kernels.attention.count)
    #expect(try resolveCluster("h800-2048-feb2025").inputs.map(\.name).contains("h800-2048.yaml"))
  }

  @Test func `a cluster may be resized up to what its fabric connects`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    #expect(try cluster.resized(nodes: 32).gpus == 256)
    #expect(try cluster.resized(nodes: 32).nodes.tag == .assumed)
    #expect(try cluster.resized(nodes: 256) == cluster)
    #expect(try cluster.resized(nodes: 2048).gpus == 16_384)
    for nodes in [0, -1, 2049, Int.max] {
      #expect(throws: Diagnostic.self) { try cluster.resized(nodes: nodes) }
    }
    #expect(throws: Diagnostic.self) { try resolveCluster("h800-node").cluster.resized(nodes: 2) }
  }

  /// Walks the documents themselves, so that a number no reader asks for is found too.
  @Test func `every number in a shipped file has a unit, a source and a tag`() throws {
    let folder = try #require(topologiesFolder)
    let files = try #require(FileManager.default.enumerator(atPath: folder.path)).compactMap { $0 as? String }
      .filter { $0.hasSuffix(".yaml") }.sorted()
    #expect(files.count == 16)
    var numbers = 0
    for file in files {
      let root = try readDocument(at: folder.appendingPathComponent(file).path).root
      numbers += try walk(root, isSourced: false)
    }
    #expect(numbers > 800)
  }

  private func walk(_ node: Node, isSourced: Bool) throws -> Int {
    switch node.value {
    case .mapping(let entries):
      let keys = entries.map(\.key)
      var sourced = isSourced
      if keys.contains("source") || keys.contains("tag") {
        #expect(try !node.required("source").text().isEmpty, "\(node.file) \(node.path)")
        _ = try node.required("tag").oneOf(Tag.self)
        sourced = true
      }
      return try node.entries().reduce(0) { try $0 + walk($1.node, isSourced: sourced) }
    case .list: return try node.list().reduce(0) { try $0 + walk($1, isSourced: isSourced) }
    case .integer, .number:
      #expect(isSourced, "\(node.file) \(node.path) has no source")
      return 1
    case .text(let text):
      let words = text.split(separator: " ")
      guard words.count == 2, Double(words[0]) != nil else { return 0 }
      #expect(isSourced, "\(node.file) \(node.path) has no source")
      return 1
    default: return 0
    }
  }
}
