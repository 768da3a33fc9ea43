import Testing

@testable import Reports

@Suite struct TextTableTests {
  @Test func `columns align under their titles`() {
    var table = TextTable([.init("what"), .init("s", .right)])
    table.append(["step", "19.93"])
    table.append(["bubble", "2.06"])
    #expect(
      table.lines() == [
        "what        s",
        "──────  ─────",
        "step    19.93",
        "bubble   2.06",
      ])
  }

  @Test func `a column that folds gives way`() {
    var table = TextTable([.init("a"), .init("source", folds: true)], width: 24)
    table.append(["x", "the quick brown fox jumps"])
    #expect(
      table.lines() == [
        "a  source",
        "─  ─────────────────────",
        "x  the quick brown fox",
        "   jumps",
      ])
  }

  @Test func `colours count for nothing`() {
    var plain = TextTable([.init(""), .init("", .right)])
    plain.append(["ab", "c"])
    plain.append(["a", "cd"])
    var coloured = TextTable([.init(""), .init("", .right)])
    coloured.append(["\u{1B}[31mab\u{1B}[0m", "c"])
    coloured.append(["a", "\u{1B}[1mcd\u{1B}[0m"])
    #expect(coloured.lines().map { $0.replacing(/\u{1B}\[[0-9]+m/, with: "") } == plain.lines())
  }

  @Test(arguments: [20, 40, 80])
  func `no line is wider than the table`(width: Int) {
    var table = TextTable(
      [.init("left"), .init("middle", .right), .init("right", folds: true)], indent: 2, width: width)
    for length in stride(from: 1, to: 120, by: 7) {
      table.append([
        String(repeating: "x", count: length / 8), String(length),
        String(repeating: "word ", count: length / 3),
      ])
    }
    for line in table.lines() { #expect(visibleWidth(line) <= width, "\(line)") }
  }

  @Test func `folding loses no word`() {
    let text = "a bb ccc dddd eeeee ffffff ggggggg hhhhhhhh"
    for width in 8...40 {
      #expect(fold(text, width: width).joined(separator: " ") == text)
      #expect(fold(text, width: width).allSatisfy { $0.count <= width })
    }
    #expect(fold(text, width: 3).joined().filter { $0 != " " } == text.filter { $0 != " " })
  }

  @Test func `segments of a bar add up to the whole`() {
    let amounts = [0.4, 0.4, 0.4, 3.1, 0, 5.7]
    #expect(segments(amounts, scale: 10, width: 54).reduce(0, +) == 54)
    #expect(segments(amounts, scale: 20, width: 54).reduce(0, +) == 27)
    #expect(segments([0, 0], scale: 0, width: 10) == [0, 0])
  }

  @Test func `a bar shows even the smallest share`() {
    #expect(bar(share: 0, width: 10) == "")
    #expect(bar(share: 0.0001, width: 10) == "▏")
    #expect(bar(share: 0.25, width: 10) == "██▌")
    #expect(bar(share: 3, width: 10) == "██████████")
  }
}
