import Foundation
import Testing

@testable import Documents

private func yaml(_ text: String) throws -> Node { try parseYAML(Data(text.utf8), file: "plan.yaml") }

private enum Fruit: String, CaseIterable { case apple, pear }

@Suite struct `Nodes` {
  @Test func `an error carries file, path, found, allowed and hint`() throws {
    let node = try yaml("pipeline:\n  ranks: [8, many]\n")
    let item = try node.required("pipeline").required("ranks").list()[1]
    let error = try #require(throws: Diagnostic.self) { try item.integer(in: 1...64) }
    #expect(
      error.description == """
        error: a whole number is needed here
          file:     plan.yaml
          at:       pipeline.ranks[1]
          found:    "many"
          allowed:  a whole number from 1 to 64
        """)
  }

  @Test func `a missing key is named by its full path`() throws {
    let error = try #require(throws: Diagnostic.self) { try yaml("a: {b: 1}").required("a").required("c") }
    #expect(error.path == "a.c")
    #expect(error.hint == "add c")
    #expect(try yaml("a: null").optional("a") == nil)
    #expect(try yaml("").entries().isEmpty)
  }

  @Test func `a key nobody reads is refused with the likely one`() throws {
    let error = try #require(throws: Diagnostic.self) {
      try yaml("laeyrs: 3").allowOnly(["layers", "hidden"])
    }
    #expect(error.path == "laeyrs")
    #expect(error.allowed == "layers, hidden")
    #expect(error.hint == "did you mean layers?")
  }

  @Test func `whole numbers are whole and in range`() throws {
    #expect(try yaml("4.0").integer() == 4)
    #expect(try yaml("4").integer(in: 4...4) == 4)
    for text in ["4.5", ".nan", ".inf", "1e30", "x", "true", "[4]", "3", "5"] {
      #expect(throws: Diagnostic.self) { try yaml(text).integer(in: 4...4) }
    }
  }

  @Test func `numbers are finite`() throws {
    #expect(try yaml("2").number() == 2)
    #expect(try yaml("-2.5").number() == -2.5)
    for text in [".nan", ".inf", "-.inf", "x", "true"] {
      #expect(throws: Diagnostic.self) { try yaml(text).number() }
    }
  }

  @Test func `choices are read by name and corrected`() throws {
    #expect(try yaml("pear").oneOf(Fruit.self) == .pear)
    let error = try #require(throws: Diagnostic.self) { try yaml("peer").oneOf(Fruit.self) }
    #expect(error.allowed == "apple, pear")
    #expect(error.hint == "did you mean pear?")
    #expect(throws: Diagnostic.self) { try yaml("3").oneOf(Fruit.self) }
  }

  @Test func `text and Booleans are not converted`() throws {
    #expect(try yaml("word").text() == "word")
    #expect(try yaml("true").bool())
    #expect(throws: Diagnostic.self) { try yaml("3").text() }
    #expect(throws: Diagnostic.self) { try yaml("1").bool() }
    #expect(throws: Diagnostic.self) { try yaml("a").list() }
    #expect(throws: Diagnostic.self) { try yaml("a").entries() }
  }

  @Test func `the nearest name is near`() {
    #expect(nearest(to: "dualpip", in: ["dualpipe", "dualpipev", "gpipe"]) == "dualpipe")
    #expect(nearest(to: "zebra", in: ["dualpipe", "gpipe"]) == nil)
    #expect(nearest(to: "x", in: []) == nil)
    #expect(nearest(to: String(repeating: "a", count: 10_000_000), in: ["a"]) == nil)
  }
}
