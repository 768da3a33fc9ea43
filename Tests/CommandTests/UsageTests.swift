import Foundation
import Testing

@Suite struct UsageTests {
  @Test(arguments: [
    ["estimat"], ["estimate", "--nodes", "4"], ["estimate", "--tp", "two"],
    ["schedule", "--schedule", "gpip"],
    ["schedule", "--pp", "0"], ["schedule", "--f", "-1"], ["estimate", "--gpus", "12"],
    ["estimate", "--pp", "0"], ["estimate", "--zero", "4"], ["estimate", "--recompute", "everything"],
  ])
  func `a wrong command line exits with 64 and one error`(arguments: [String]) throws {
    let result = try rehearse(arguments)
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.output.isEmpty)
    #expect(result.errors.hasPrefix("error: "))
  }

  @Test func `help and version go to stdout`() throws {
    let version = try rehearse(["--version"])
    #expect(version.status == 0)
    #expect(version.output.contains("."))
    let help = try rehearse(["estimate", "--help"])
    #expect(help.status == 0)
    #expect(help.errors.isEmpty)
    #expect(help.output.contains("--global-batch"))
  }

  @Test(arguments: [
    ["schedule", "--pp", "4", "--micro-batches", "8"], ["model", "list"], ["model", "show", "mixtral-8x7b"],
    ["cluster", "list"], ["cluster", "show", "small"], ["topology", "show", "small"],
    ["topology", "check", "h800-2048-torus"],
    ["topology", "cost", "small"], ["topology", "bench", "small"],
    ["topology", "bench", "small", "--exchange"], ["plan", "list"], ["plan", "check", "deepseek-v3"],
    ["estimate", "--model", "llama-3.1-8b", "--cluster", "h800-node"],
  ])
  func `text is at most 80 columns wide and without colours in a file`(arguments: [String]) throws {
    let result = try rehearse(arguments, environment: ["TERM": "xterm-256color"])
    #expect([0, 3].contains(result.status), "\(result.errors)")
    #expect(!result.output.isEmpty)
    #expect(!result.output.contains("\u{1B}"))
    for line in result.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
  }

  @Test func `colour can be asked for, and NO_COLOR does not take it back`() throws {
    let arguments = ["schedule", "--pp", "2", "--micro-batches", "4"]
    let colored = try rehearse(arguments + ["--color", "always"], environment: ["NO_COLOR": "1"])
    #expect(colored.output.contains("\u{1B}["))
    let plain = try rehearse(arguments, environment: ["NO_COLOR": "1"])
    #expect(!plain.output.contains("\u{1B}"))
  }

  @Test func `an order prints and parses back`() throws {
    try withFolder { folder in
      let path = folder.appending(path: "order.txt").path
      let arguments = ["schedule", "--schedule", "zb-h1", "--pp", "4", "--micro-batches", "8", "--format"]
      #expect(try rehearse(arguments + ["text", "--output", path]).status == 0)
      let again = try rehearse(["schedule", "--file", path, "--format", "json"])
      #expect(again.status == 0)
      #expect(again.output == (try rehearse(arguments + ["json"]).output))
    }
  }

  @Test func `a plan prints as YAML and reads back`() throws {
    try withFolder { folder in
      let path = folder.appending(path: "plan.yaml").path
      let shown = try rehearse(["plan", "show", "deepseek-v3", "--micro-batch", "2", "--output", path])
      #expect(shown.status == 0, "\(shown.errors)")
      let again = try rehearse(["plan", "show", path])
      #expect(again.status == 0, "\(again.errors)")
      #expect(again.output == (try String(contentsOfFile: path, encoding: .utf8)))
    }
  }

  @Test func `a plan that does not fit is reported and exits with 3`() throws {
    let result = try rehearse([
      "estimate", "--model", "llama-3.1-70b", "--cluster", "h800-node", "--tp", "1", "--pp", "1", "--zero",
      "0",
      "--recompute", "none", "--global-batch", "8", "--no-sp",
    ])
    #expect(result.status == 3, "\(result.errors)")
    #expect(result.output.contains("does not fit"))
    #expect(result.output.contains("too much"))
  }
}
