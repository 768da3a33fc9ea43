import Foundation
import Testing
import Units

@testable import Reports

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Whether a text is well-formed XML.
private func isWellFormed(_ text: String) -> Bool { XMLParser(data: Data(text.utf8)).parse() }

@Suite struct PageTests {
  @Test func `the page asks for nothing from outside`() throws {
    let page = try html(sampleEstimate(pipeline: 16, microBatches: 60))
    for forbidden in ["http://", "https://", "src=", "@import", "url(", "<script", "<link", "href="] {
      #expect(!page.contains(forbidden), "\(forbidden)")
    }
  }

  @Test func `no placeholder and no missing value is left in the page`() throws {
    let page = try html(sampleEstimate())
    for forbidden in ["{{", "}}", "nan", "inf\"", "Optional("] {
      #expect(!page.contains(forbidden), "\(forbidden)")
    }
  }

  @Test func `names from inputs cannot break out of the page`() throws {
    var estimate = sampleEstimate()
    estimate.model.name = "<script>alert(1)</script>"
    estimate.picture?.rows[0].label = "<b>\"&\u{1}"
    estimate.picture?.rows[0].intervals[0].label = "</title><script>"
    estimate.step.criticalPath[0].kind = "a<b"
    let page = try html(estimate)
    #expect(!page.contains("<script"))
    #expect(page.contains("&lt;script&gt;"))
    #expect(!page.contains("<b>\""))
  }

  @Test(arguments: [1, 4, 32], [1, 50])
  func `every drawing is well-formed and has a name and a description`(ranks: Int, microBatches: Int) {
    let picture = samplePicture(ranks: ranks, microBatches: microBatches)
    let drawing = PipelineDrawing(picture: picture)
    let windows = drawing.windows(length: picture.length)
    let all =
      [drawing.whole(length: picture.length, marking: windows).html]
      + windows.map { drawing.enlarged($0).html }
    for text in all {
      #expect(isWellFormed(text))
      #expect(text.contains("role=\"img\""))
      #expect(text.contains("<desc"))
    }
  }

  @Test func `a schedule by itself is one well-formed file`() throws {
    let file = try svg(samplePicture(ranks: 4, microBatches: 6))
    #expect(isWellFormed(file))
    #expect(file.contains("xmlns=") && file.contains(">F0<"))
  }

  @Test func `identifiers in a page are unique`() throws {
    let page = try html(sampleEstimate(pipeline: 16, microBatches: 60))
    let identifiers = page.matches(of: /\sid="([^"]+)"/).map { String($0.1) }
    #expect(identifiers.count >= 10)
    #expect(Set(identifiers).count == identifiers.count)
  }

  @Test func `a picture of many thousands of intervals stays a small page`() throws {
    var estimate = sampleEstimate(pipeline: 16)
    estimate.picture = samplePicture(ranks: 16, microBatches: 4000)
    let page = try html(estimate)
    #expect(page.utf8.count < 2_000_000)
  }

  @Test func `an estimate without a picture has a page without one`() throws {
    var estimate = sampleEstimate()
    estimate.picture = nil
    let page = try html(estimate)
    #expect(!page.contains("id=\"pipeline-t\""))
  }
}

@Suite struct RasterTests {
  private func interval(_ start: Int64, _ end: Int64, _ work: PipelinePicture.Work)
    -> PipelinePicture.Interval
  {
    .init(start: Instant(picoseconds: start), end: Instant(picoseconds: end), work: work, label: "")
  }

  /// A lane as text, one letter a column, a dot for idle.
  private func drawn(_ intervals: [PipelinePicture.Interval], to end: Int64, columns: Int) -> String {
    var text = [Character](repeating: ".", count: columns)
    for run in rasterised(intervals, from: .start, to: Instant(picoseconds: end), columns: columns) {
      for column in run.columns {
        #expect(text[column] == ".", "a column is drawn twice")
        text[column] = run.work.rawValue.first ?? "?"
      }
    }
    return String(text)
  }

  @Test func `a column shows what fills most of it`() {
    #expect(
      drawn([interval(0, 40, .forward), interval(60, 100, .optimizer)], to: 100, columns: 10) == "ffff..oooo")
    #expect(
      drawn([interval(0, 44, .forward), interval(44, 100, .optimizer)], to: 100, columns: 10) == "ffffoooooo")
    #expect(
      drawn([interval(0, 46, .forward), interval(46, 100, .optimizer)], to: 100, columns: 10) == "fffffooooo")
    #expect(drawn([interval(0, 4, .forward)], to: 100, columns: 10) == "..........")
  }

  @Test func `many short intervals merge into one block`() {
    let intervals = (0..<1000).map { interval(Int64($0), Int64($0) + 1, .forward) }
    #expect(rasterised(intervals, from: .start, to: Instant(picoseconds: 1000), columns: 20).count == 1)
  }

  @Test func `what lies outside the window is not drawn`() {
    let runs = rasterised(
      [interval(0, 1000, .forward)], from: Instant(picoseconds: 400), to: Instant(picoseconds: 600),
      columns: 7)
    #expect(runs.map(\.columns) == [0..<7])
    let before = rasterised(
      [interval(0, 400, .forward)], from: Instant(picoseconds: 400), to: Instant(picoseconds: 600), columns: 7
    )
    #expect(before.isEmpty)
  }

  @Test func `the order of the intervals does not matter`() {
    var intervals = (0..<200).map { index -> PipelinePicture.Interval in
      let start = Int64(index * 5)
      return interval(start, start + 1 + Int64(index % 4), index % 3 == 0 ? .forward : .optimizer)
    }
    let drawing = drawn(intervals, to: 1000, columns: 37)
    intervals.reverse()
    #expect(drawn(intervals, to: 1000, columns: 37) == drawing)
  }

  @Test(arguments: [0.003, 0.9, 1, 4.7, 19.926, 60, 1234])
  func `an axis has between four and ten ticks`(length: Double) {
    let (step, decimals) = Chart.tickStep(length)
    #expect((4...10).contains(length / step))
    #expect(abs((Double(fixed(step, decimals: decimals)) ?? 0) / step - 1) < 1e-9)
  }
}
