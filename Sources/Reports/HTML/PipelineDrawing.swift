import Units

/// A picture as one SVG file, for a schedule shown by itself.
///
/// - Parameter width: Pixels.
/// - Throws: A `Diagnostic` with status `internal` when the style sheet is missing.
public func svg(_ picture: PipelinePicture, width: Double = 1200) throws -> String {
  let chart = PipelineDrawing(picture: picture).whole(length: picture.length, marking: [])
  return chart.file(width: width, style: try resource("palette", "css"))
}

/// Draws a picture's rows, compute above communication.
struct PipelineDrawing {
  let picture: PipelinePicture

  /// Two to a pixel of a wide page, so that edges stay sharp.
  private static let columns = 2400
  /// More boxes than this in one drawing are drawn as a raster, without labels.
  private static let mostBoxes = 1500

  /// Rows with more blocks than this have no room for labels in a drawing of the whole step.
  private static let mostLabelled = 40

  /// Blocks of the row that has most of them.
  private var busiest: Int {
    picture.rows.map { $0.intervals.count { !$0.work.isCommunication } }.max() ?? 0
  }

  private var hasCommunication: Bool {
    picture.rows.contains { $0.intervals.contains { $0.work.isCommunication } }
  }

  /// Kinds of work that occur, in a fixed order: the legend.
  var legend: [PipelinePicture.Work] {
    let present = Set(picture.rows.lazy.flatMap { $0.intervals.lazy.map(\.work) })
    return PipelinePicture.Work.allCases.filter(present.contains)
  }

  private func description(from start: Instant, to end: Instant) -> String {
    "One row for each of \(picture.rows.count) pipeline ranks, time from left to right from "
      + "\(start.sinceStart.shown) to \(end.sinceStart.shown). Blocks are coloured by what the rank computes; "
      + "the thin band below each row is communication; gaps are idle time."
  }

  /// The whole step: every block labelled where there are few, else merged to what can be seen.
  func whole(length: Span, marking windows: [Window]) -> Chart {
    let end = Instant.start + length
    return windows.isEmpty && busiest <= Self.mostLabelled
      ? enlarged(
        Window(identifier: "pipeline", name: "The pipeline during one step", start: .start, end: end))
      : overview(length: length, marking: windows)
  }

  private func overview(length: Span, marking windows: [Window]) -> Chart {
    let pitch = picture.rows.count > 24 ? 14.0 : 24.0
    let end = Instant.start + length
    var chart = Chart(
      height: Double(picture.rows.count) * pitch, identifier: "pipeline",
      title: "The pipeline during one step", description: description(from: .start, to: end))
    var bars: [SVG.Bar] = []
    for (index, row) in picture.rows.enumerated() {
      let y = Double(index) * pitch
      chart.label(row.label, y: y + pitch / 2 - 1)
      bars += lanes(y: y, pitch: pitch).flatMap { lane in
        let intervals = row.intervals.filter { $0.work.isCommunication == lane.isCommunication }
        return [SVG.Bar(columns: 0..<Self.columns, y: lane.y, height: lane.height, class: "idle")]
          + rasterised(intervals, from: .start, to: end, columns: Self.columns).map {
            SVG.Bar(columns: $0.columns, y: lane.y, height: lane.height, class: $0.work.rawValue)
          }
      }
    }
    let height = chart.height
    chart.axis(0...length.exactSeconds, unit: "s")
    chart.draw { $0.raster(columns: Self.columns, height: height, bars: bars) }
    for window in windows where length > .zero {
      let share = { (instant: Instant) in Double(instant.picoseconds) / Double(length.picoseconds) }
      chart.draw {
        $0.rectangle(
          x: .share(share(window.start)), y: -1, width: .share(share(window.end) - share(window.start)),
          height: height + 2, class: "lens")
      }
    }
    return chart
  }

  /// A window of the step with every block labelled.
  func enlarged(_ window: Window) -> Chart {
    let (start, end) = (window.start, window.end)
    let pitch = picture.rows.count > 24 ? 20.0 : 30.0
    let length = Double((end - start).picoseconds)
    var chart = Chart(
      height: Double(picture.rows.count) * pitch, identifier: window.identifier, title: window.name,
      description: description(from: start, to: end))
    let visible = picture.rows.map { row in
      row.intervals.filter { $0.end > start && $0.start < end }
        .sorted { ($0.start, $0.end, $0.label) < ($1.start, $1.end, $1.label) }
    }
    let isDense = visible.reduce(0) { $0 + $1.count } > Self.mostBoxes
    var bars: [SVG.Bar] = []
    for (index, row) in picture.rows.enumerated() {
      let y = Double(index) * pitch
      chart.label(row.label, y: y + pitch / 2 - 1)
      for lane in lanes(y: y, pitch: pitch) {
        let intervals = visible[index].filter { $0.work.isCommunication == lane.isCommunication }
        bars.append(.init(columns: 0..<Self.columns, y: lane.y, height: lane.height, class: "idle"))
        if isDense {
          bars += rasterised(intervals, from: start, to: end, columns: Self.columns).map {
            SVG.Bar(columns: $0.columns, y: lane.y, height: lane.height, class: $0.work.rawValue)
          }
        }
      }
    }
    let height = chart.height
    chart.axis(start.sinceStart.exactSeconds...end.sinceStart.exactSeconds, unit: "s")
    chart.draw { $0.raster(columns: Self.columns, height: height, bars: bars) }
    if !isDense {
      for (index, intervals) in visible.enumerated() {
        for lane in lanes(y: Double(index) * pitch, pitch: pitch) {
          for interval in intervals where interval.work.isCommunication == lane.isCommunication {
            let from = Double((max(interval.start, start) - start).picoseconds) / length
            let width = Double((min(interval.end, end) - start).picoseconds) / length - from
            // At 900 pixels a character takes some 0.7 % of the width.
            let hasRoom = !lane.isCommunication && width * 100 > Double(interval.label.count) * 0.62 + 0.5
            chart.draw {
              $0.box(
                hasRoom ? interval.label : nil, x: .share(from), y: lane.y, width: .share(width),
                height: lane.height,
                class: interval.work.rawValue,
                title: "\(interval.label): \(interval.work.title), \((interval.end - interval.start).shown) "
                  + "from \(interval.start.sinceStart.shown)")
            }
          }
        }
      }
    }
    return chart
  }

  /// A part of the step that is drawn larger.
  struct Window {
    var identifier: String
    var name: String
    var start: Instant
    var end: Instant
  }

  /// The beginning and the middle of the step, short enough that the blocks of the busiest row can be told
  /// apart; none where the whole step already shows them.
  func windows(length: Span) -> [Window] {
    guard busiest > Self.mostLabelled else { return [] }
    let blocks = max(8, min(16, 480 / picture.rows.count))
    let extent = length.scaled(by: min(0.25, Double(blocks) / Double(busiest)))
    let middle = Instant.start + (length - extent).scaled(by: 0.5)
    return [
      Window(identifier: "beginning", name: "The beginning", start: .start, end: .start + extent),
      Window(identifier: "middle", name: "The middle", start: middle, end: middle + extent),
    ]
  }

  private func lanes(y: Double, pitch: Double) -> [(y: Double, height: Double, isCommunication: Bool)] {
    let gap = pitch > 16 ? 4.0 : 2.0
    guard hasCommunication else { return [(y, pitch - gap, false)] }
    let communication = ((pitch - gap) * 0.25).rounded()
    return [(y, pitch - gap - communication, false), (y + pitch - gap - communication, communication, true)]
  }
}

extension PipelinePicture.Work {
  var title: String {
    switch self {
    case .forward: "forward"
    case .backwardInput: "input gradient"
    case .backwardWeight: "weight gradient"
    case .backward: "backward"
    case .overlapped: "forward and backward overlapped"
    case .optimizer: "optimizer"
    case .dispatch: "dispatch"
    case .combine: "combine"
    case .pipelineTransfer: "pipeline transfer"
    case .collective: "collective"
    }
  }
}
