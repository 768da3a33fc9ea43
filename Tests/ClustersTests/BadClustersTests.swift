import Documents
import Foundation
import TestSupport
import Testing
import Units

@testable import Clusters

/// The text of a shipped cluster, to be spoiled.
private func shippedText(_ name: String) throws -> String {
  let folder = try #require(topologiesFolder)
  return try String(contentsOf: folder.appendingPathComponent(name + ".yaml"), encoding: .utf8)
}

private let gpu = Result { try resolveCluster("small").cluster.gpu }

private func read(_ text: String) throws -> Cluster {
  try Cluster(parseYAML(Data(text.utf8), file: "bad.yaml")) { node in
    guard try node.text() == "h800" else { throw node.error("there is no GPU of this name") }
    return try gpu.get()
  }
}

@Suite struct `Bad cluster files` {
  @Test(arguments: [
    // found, replacement, path, part of the problem
    ("{value: 160 GB/s,", "{value: 160,", "nvlink.achieved.value", "needs a unit"),
    ("{value: 160 GB/s,", "{value: 0 GB/s,", "nvlink.achieved.value", "positive"),
    ("{value: 160 GB/s,", "{value: -1 GB/s,", "nvlink.achieved.value", "positive"),
    ("{value: 160 GB/s,", "{value: nan GB/s,", "nvlink.achieved.value", "not finite"),
    ("{value: 160 GB/s,", "{value: inf GB/s,", "nvlink.achieved.value", "not finite"),
    ("{value: 160 GB/s,", "{value: .nan,", "nvlink.achieved.value", "needs a unit"),
    ("{value: 160 GB/s,", "{value: 160 GHz,", "nvlink.achieved.value", "unknown unit"),
    ("{value: 160 GB/s,", "{value: 300 GB/s,", "nvlink.achieved", "more is achieved than the peak"),
    ("{value: 160 GB/s, tag: published,", "{value: 160 GB/s,", "nvlink.achieved.tag", "missing"),
    (
      "{value: 160 GB/s, tag: published,", "{value: 160 GB/s, tag: guessed,", "nvlink.achieved.tag",
      "unknown choice"
    ),
    ("  achieved:", "  acheived:", "nvlink.acheived", "unknown key"),
    ("gpu: h800", "gpu: h900", "gpu", "no GPU"),
    ("kind: fat_tree", "kind: fat_teer", "fabric.kind", "unknown choice"),
    ("nodes: {value: 4,", "nodes: {value: 5,", "nodes", "cannot connect"),
    ("nodes: {value: 4,", "nodes: {value: 4.5,", "nodes.value", "whole number"),
    ("nodes: {value: 4,", "nodes: {value: 0,", "nodes.value", "out of range"),
    ("planes: {value: 1,", "planes: {value: 2,", "fabric.planes", "only a multi-plane"),
    (
      "overlap_slowdown: {value: 1", "overlap_slowdown: {value: 0",
      "all_to_all.dispatch.overlap_slowdown.value", "at least 1"
    ),
    ("{value: 3.33 us,", "{value: 8e6 s,", "nvlink.latency.value", "too long"),
    ("mean_draw: {value: 75 %", "mean_draw: {value: 175 %", "power.mean_draw.value", "at most 1"),
  ])
  func `a spoiled value is refused where it stands`(
    found: String, replacement: String, path: String, problem: String
  ) throws {
    let text = try shippedText("small")
    let range = try #require(text.range(of: found))
    let error = try #require(throws: Diagnostic.self) {
      try read(text.replacingCharacters(in: range, with: replacement))
    }
    #expect(error.status == .data)
    #expect(error.file == "bad.yaml")
    #expect(error.path == path)
    #expect(error.problem.contains(problem))
  }

  @Test func `a quantity without its source names what is missing`() throws {
    let text = try shippedText("small").replacingOccurrences(
      of: #"  achieved: \{value: 160[^\n]*"#, with: "  achieved: 160 GB/s", options: .regularExpression)
    let error = try #require(throws: Diagnostic.self) { try read(text) }
    #expect(error.problem == "a quantity needs its source")
  }

  @Test func `a misspelled key and name are answered with the likely one`() throws {
    let error = try #require(throws: Diagnostic.self) { try resolveCluster("h800-248") }
    #expect(error.status == .unavailableFile)
    #expect(error.hint == "did you mean h800-2048?")
    let missing = try #require(throws: Diagnostic.self) { try resolveCluster("/nowhere/at-all.yaml") }
    #expect(missing.status == .unavailableFile)
    let text = try shippedText("small").replacingOccurrences(of: "  achieved:", with: "  acheived:")
    #expect(try #require(throws: Diagnostic.self) { try read(text) }.hint == "did you mean achieved?")
  }

  @Test func `a GPU's name cannot leave its folder`() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "clusters-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("mine.yaml")
    for name in ["../gpus/h800", "..", "/etc/passwd"] {
      try shippedText("small").replacingOccurrences(of: "gpu: h800", with: "gpu: \(name)")
        .write(to: file, atomically: true, encoding: .utf8)
      let error = try #require(throws: Diagnostic.self) { try resolveCluster(file.path) }
      #expect(error.path == "gpu")
    }
    // By its plain name the shipped one is found from anywhere.
    try shippedText("small").write(to: file, atomically: true, encoding: .utf8)
    let resolved = try resolveCluster(file.path)
    #expect(resolved.origin == file.path)
    #expect(resolved.cluster == (try resolveCluster("small").cluster))
  }

  /// Deleted, doubled and flipped bytes: read or refused with a diagnostic, never a crash.
  @Test(arguments: [UInt64(1), 2, 3]) func `mutants of a cluster are read or refused`(seed: UInt64) throws {
    var draws = SeededGenerator(seed: seed)
    let original = Array(try shippedText("small").utf8)
    let gpu = try gpu.get()
    var refused = 0
    for _ in 0..<60 {
      var bytes = original
      for _ in 0..<draws.pick(1...4) {
        let place = draws.pick(0...bytes.count - 1)
        switch draws.pick(0...3) {
        case 0: bytes.remove(at: place)
        case 1: bytes.insert(bytes[place], at: place)
        case 2: bytes[place] = UInt8(truncatingIfNeeded: draws.next())
        default:
          let symbols = Array("0-9:{}[]\"' ,\n#&*!|>%@eE.".utf8)
          bytes[place] = symbols[draws.pick(0...symbols.count - 1)]
        }
      }
      do { _ = try Cluster(parseYAML(Data(bytes), file: "mutant.yaml")) { _ in gpu } } catch is Diagnostic {
        refused += 1
      }
    }
    #expect(refused > 10)
  }
}
