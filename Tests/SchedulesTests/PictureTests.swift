import Foundation
import Schedules
import TestSupport
import Testing
import Units

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct `Pictures` {
  private let unit = PictureUnit(name: "F", span: Span(milliseconds: 1))

  @Test func `1f1b looks as in its paper`() throws {
    let picture = try PipelineOrder.oneForwardOneBackward(ranks: 3, microBatches: 4)
      .terminalPicture(times: .textbook(), width: 45, unit: unit)
    let expected = """
      1f1b: 3 ranks, 4 micro-batches
      rank 0 F0F1F2........B0--F3B1--..B2--..B3--
      rank 1 ..F0F1....B0--F2B1--F3B2--..B3--....
      rank 2 ....F0B0--F1B1--F2B2--F3B3--........
             0                               18 F
      F forward  B backward  . idle
      makespan 18 F, idle 33.3 %  2 columns are 1 F

      """
    #expect(picture == expected)
  }

  @Test func `dualpipe overlaps in one cell`() throws {
    let picture = try PipelineOrder.dualPipe(ranks: 2, microBatches: 4)
      .terminalPicture(times: .textbook(), width: 60, unit: unit)
    let rows = picture.split(separator: "\n").filter { $0.hasPrefix("rank") }
    #expect(
      rows == [
        "rank 0 F0--F2'-F1--B2'-----F3'---B0----B3'-----b1--w1--",
        "rank 1 F2'-F0--F3'-B0------F1----B2'---B1------b3'-w3'-",
      ])
  }

  @Test func `a long order is cut in the middle and says so`() throws {
    let picture = try PipelineOrder.oneForwardOneBackward(ranks: 4, microBatches: 64)
      .terminalPicture(times: .textbook(), width: 80, unit: unit)
    #expect(picture.contains("cut at ~~: "))
    #expect(picture.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }

  @Test func `no line is wider than the terminal`() throws {
    var random = SeededGenerator(seed: 41)
    for _ in 0..<30 {
      for order in try drawOrders(&random) {
        let width = Int.random(in: 40...160, using: &random)
        let times = drawTimes(&random).chunkTimes
        for color in [false, true] {
          let picture = try order.terminalPicture(times: times, width: width, color: color)
          for line in picture.split(separator: "\n").dropFirst() {
            let visible = String(line).replacing(/\u{1B}\[[0-9;]*m/, with: "")
            #expect(visible.count <= width || !visible.hasPrefix("rank"))
          }
        }
      }
    }
  }

  @Test func `colour adds codes and nothing else is lost`() throws {
    let order = try PipelineOrder.zeroBubbleH1(ranks: 2, microBatches: 2)
    let picture = try order.terminalPicture(times: .textbook(), width: 40, color: true, unit: unit)
    #expect(picture.contains("\u{1B}[48;5;"))
    let row = picture.split(separator: "\n")[1].replacing(/\u{1B}\[[0-9;]*m/, with: "")
    #expect(row.hasPrefix("rank 0 0   1 "))
  }

  @Test func `the vector image is well-formed and draws every chunk`() throws {
    let order = try PipelineOrder.dualPipe(ranks: 4, microBatches: 8)
    let svg = try order.svg(times: .textbook(), unit: unit)
    let parser = XMLParser(data: Data(svg.utf8))
    #expect(parser.parse())
    var chunks = 0
    for slots in order.slots {
      for slot in slots { slot.forEachChunk { _ in chunks += 1 } }
    }
    #expect(svg.matches(of: /<text class="pp-n( pp-s)?"/).count == chunks)
    #expect(!svg.contains("nan") && !svg.contains("inf"))
  }

  @Test func `text in a vector image is escaped`() {
    let cell = PipelinePicture.Cell(
      start: .start, end: Instant(picoseconds: 1000), face: .init(.other, label: "<&>"))
    let picture = PipelinePicture(title: "a \"<b>\" & c", rows: [.init(label: "<x>", cells: [cell])])
    #expect(XMLParser(data: Data(picture.svg().utf8)).parse())
  }

  @Test func `a picture of nothing is drawn`() {
    let picture = PipelinePicture(title: "nothing", rows: [])
    #expect(picture.terminal().hasPrefix("nothing\n"))
    #expect(XMLParser(data: Data(picture.svg().utf8)).parse())
    let empty = PipelinePicture(title: "idle", rows: [.init(label: "rank 0", cells: [])])
    #expect(empty.terminal().contains("rank 0"))
  }

  @Test func `durations are shown in the unit that fits`() {
    #expect(PictureUnit.fitting(Span(seconds: 19.926)).name == "s")
    #expect(PictureUnit.fitting(Span(milliseconds: 3)).name == "ms")
    #expect(PictureUnit.fitting(Span(microseconds: 3)).name == "us")
  }
}
