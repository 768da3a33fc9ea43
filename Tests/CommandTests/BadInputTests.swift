import Foundation
import Testing

/// A `config.json` of a small Llama, with changes.
private func llama(_ changes: [String: String] = [:]) -> String {
  let keys = [
    "model_type": "\"llama\"", "hidden_size": "1024", "num_hidden_layers": "8", "num_attention_heads": "16",
    "num_key_value_heads": "8", "intermediate_size": "2816", "vocab_size": "32000",
    "max_position_embeddings": "4096", "tie_word_embeddings": "false", "hidden_act": "\"silu\"",
    "rms_norm_eps": "1e-05",
  ].merging(changes) { $1 }
  return "{" + keys.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
    + "}"
}

/// The shipped small cluster with one text in place of another.
private func smallCluster(_ old: String, _ new: String) throws -> String {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Topologies")
  let text = try String(contentsOf: folder.appending(path: "small.yaml"), encoding: .utf8)
  let replaced = text.replacing(old, with: new, maxReplacements: 1)
  try #require(replaced != text, "small.yaml does not contain \(old)")
  return replaced
}

/// Fails with the status, one error on stderr that names each text, and nothing on stdout.
private func expectFailure(
  _ status: Int32, naming texts: [String], _ arguments: [String],
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let result = try rehearse(arguments)
  #expect(result.status == status, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
  #expect(result.output.isEmpty, sourceLocation: sourceLocation)
  #expect(result.errors.hasPrefix("error: "), sourceLocation: sourceLocation)
  #expect(result.errors.components(separatedBy: "error: ").count == 2, sourceLocation: sourceLocation)
  for text in texts {
    #expect(
      result.errors.contains(text), "\(text) is not in: \(result.errors)", sourceLocation: sourceLocation)
  }
}

@Suite struct BadInputTests {
  @Test func `an unknown model type is refused with the types there are`() throws {
    try withFolder { folder in
      let path = folder.appending(path: "config.json").path
      try llama(["model_type": "\"lamma\""]).write(toFile: path, atomically: true, encoding: .utf8)
      try expectFailure(
        65, naming: [path, "model_type", "\"lamma\"", "deepseek_v3", "did you mean llama?"],
        ["estimate", "--model", path, "--cluster", "small"])
    }
  }

  @Test func `a number that is none is refused`() throws {
    try withFolder { folder in
      let path = folder.appending(path: "config.json").path
      try llama(["hidden_size": "NaN"]).write(toFile: path, atomically: true, encoding: .utf8)
      try expectFailure(65, naming: [path], ["estimate", "--model", path, "--cluster", "small"])
      try expectFailure(64, naming: ["--price"], ["estimate", "--price", "nan"])
      try expectFailure(64, naming: ["--tokens"], ["estimate", "--tokens", "nanT"])
    }
  }

  @Test func `virtual stages that do not divide the layers are refused`() throws {
    try expectFailure(
      65, naming: ["virtual_stages", "32 layers"],
      [
        "estimate", "--model", "llama-3.1-8b", "--gpus", "64", "--pp", "8", "--schedule", "interleaved-1f1b",
        "--vpp",
        "3", "--global-batch", "512", "--tp", "1",
      ])
  }

  @Test func `experts that the ranks do not divide are refused`() throws {
    try expectFailure(
      65, naming: ["parallel.expert", "48", "256 routed experts"],
      ["estimate", "--ep", "48", "--gpus", "768"])
  }

  @Test func `ranks that do not multiply up are refused`() throws {
    try expectFailure(
      65, naming: ["do not multiply up", "parallel", "2048 GPUs"], ["estimate", "--pp", "12"])
  }

  @Test(arguments: [
    ("value: -200 GB/s", "must be positive"), ("value: 0 GB/s", "must be positive"),
    ("value: 200", "needs a unit"),
    ("value: .nan GB/s", "quantity"), ("value: 200 Gbit", "unknown unit"),
  ])
  func `a bandwidth that is none is refused`(bad: String, problem: String) throws {
    try withFolder { folder in
      let path = folder.appending(path: "cluster.yaml").path
      try smallCluster("value: 200 GB/s", bad).write(toFile: path, atomically: true, encoding: .utf8)
      try expectFailure(
        65, naming: [path, "nvlink.peak", problem, "B/s"],
        ["estimate", "--model", "llama-3.1-8b", "--cluster", path])
    }
  }

  @Test(arguments: ["1 B/s", "1e-300 B/s"])
  func `a link so slow that a step would take months is refused`(rate: String) throws {
    try withFolder { folder in
      let path = folder.appending(path: "cluster.yaml").path
      try smallCluster("nvlink_bandwidth: {value: 160 GB/s", "nvlink_bandwidth: {value: \(rate)")
        .write(toFile: path, atomically: true, encoding: .utf8)
      try expectFailure(
        65, naming: ["too long to be simulated", "bandwidths"],
        ["estimate", "--model", "llama-3.1-8b", "--cluster", path, "--tp", "2"])
    }
  }

  @Test func `a step of too many micro-batches is refused`() throws {
    try expectFailure(
      65, naming: ["batch.global", "131072 micro-batches x 32 layers"],
      [
        "estimate", "--model", "llama-3.1-8b", "--cluster", "small", "--tp", "1", "--pp", "8",
        "--global-batch", "131072",
      ])
  }

  @Test func `an output that cannot be written is refused, and nothing half-written stays`() throws {
    try withFolder { folder in
      let path = folder.appending(path: "nowhere/report.json").path
      try expectFailure(66, naming: [path], ["plan", "list", "--output", path])
      let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      #expect(left.isEmpty)
    }
  }

  @Test(arguments: [
    ["estimate", "--model", "/nowhere/config.json"], ["estimate", "--cluster", "/nowhere/cluster.yaml"],
    ["estimate", "--plan", "/nowhere/plan.yaml"], ["schedule", "--file", "/nowhere/order.txt"],
  ])
  func `a missing file is named`(arguments: [String]) throws {
    try expectFailure(66, naming: [arguments[2]], arguments)
  }

  @Test(arguments: [
    ("--model", "deepseek-v4", "did you mean deepseek-v"),
    ("--cluster", "h800-2047", "did you mean h800-2048?"),
    ("--plan", "deepseek-v2", "did you mean deepseek-v3?"),
  ])
  func `a misspelled name is answered with a near one`(flag: String, name: String, hint: String) throws {
    try expectFailure(66, naming: [name, hint], ["estimate", flag, name])
  }

  @Test func `an order that cannot run names the ranks that are stuck`() throws {
    try withFolder { folder in
      let path = folder.appending(path: "order.txt").path
      let order = """
        order schedule=mine placement=straight ranks=2 parts=1 micro-batches=2
        0: F0.0 B0.0 F0.1 B0.1
        1: F0.1 B0.1 F0.0 B0.0
        """
      try order.write(toFile: path, atomically: true, encoding: .utf8)
      try expectFailure(
        65, naming: [path, "cannot run to its end", "rank 0", "rank 1"], ["schedule", "--file", path])
    }
  }
}
