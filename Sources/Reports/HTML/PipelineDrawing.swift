import Units

/// Columns of a raster, each with the work that filled most of it.
///
/// What is shorter than a column is merged: a column shows the work with the largest share of its time, or nothing where
/// idling has the largest. The first in `Work`'s order wins a tie.
///
/// - Parameter intervals: Of one lane.
/// - Complexity: O(intervals + columns × kinds of work).
func rasterised(
  _ intervals: [PipelinePicture.Interval], from start: Instant, to end: Instant, columns: Int
) -> [(columns: Range<Int>, work: PipelinePicture.Work)] {
  let length = (end - start).picoseconds
  guard length > 0, columns > 0 else { return [] }
  let kinds = PipelinePicture.Work.allCases
  let width = Double(length) / Double(columns)
  var filled = [Double](repeating: 0, count: columns * kinds.count)
  for interval in intervals where interval.end > start && interval.start < end {
    guard let kind = kinds.firstIndex(of: interval.work) else { continue }
    let first = Double((max(interval.start, start) - start).picoseconds) / width
    let last = Double((min(interval.end, end) - start).picoseconds) / width
    var column = min(columns - 1, Int(first))
    while column < columns && Double(column) < last {
      let share = min(last, Double(column + 1)) - max(first, Double(column))
      filled[column * kinds.count + kind] += share
      column += 1
    }
  }
  var runs: [(columns: Range<Int>, work: PipelinePicture.Work)] = []
  for column in 0..<columns {
    let shares = filled[column * kinds.count..<(column + 1) * kinds.count]
    let idle = 1 - shares.reduce(0, +)
    guard let largest = shares.max(), largest > 0, largest >= idle, let index = shares.firstIndex(of: largest) else {
      continue
    }
    let work = kinds[index - shares.startIndex]
    if let last = runs.last, last.work == work, last.columns.upperBound == column {
      runs[runs.count - 1].columns = last.columns.lowerBound..<column + 1
    } else {
      runs.append((column..<column + 1, work))
    }
  }
  return runs
}

/// Draws a picture's rows, compute above communication.
struct PipelineDrawing {
  let picture: PipelinePicture

  /// Two to a pixel of a wide page, so that edges stay sharp.
  private static let columns = 2400
  /// More boxes than this in one drawing are drawn as a raster, without labels.
  private static let mostBoxes = 1500

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

  /// The whole step, merged to what can be seen.
  func wholeStep(length: Span, marking window: (start: Instant, end: Instant)?) -> String {
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
    chart.draw { $0.raster(columns: Self.columns, height: height, bars: bars) }
    chart.axis(0...length.exactSeconds, unit: "s")
    if let window, length > .zero {
      let share = { (instant: Instant) in Double(instant.picoseconds) / Double(length.picoseconds) }
      chart.draw {
        $0.rectangle(
          x: .share(share(window.start)), y: -1, width: .share(share(window.end) - share(window.start)),
          height: height + 2, class: "lens")
      }
    }
    return chart.html
  }

  /// A window of the step with every block labelled.
  func zoomed(from start: Instant, to end: Instant) -> String {
    let pitch = picture.rows.count > 24 ? 20.0 : 30.0
    let length = Double((end - start).picoseconds)
    var chart = Chart(
      height: Double(picture.rows.count) * pitch, identifier: "zoom", title: "A closer look at the step",
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
                hasRoom ? interval.label : nil, x: .share(from), y: lane.y, width: .share(width), height: lane.height,
                class: interval.work.rawValue,
                title: "\(interval.label): \(interval.work.title), \((interval.end - interval.start).shown) "
                  + "from \(interval.start.sinceStart.shown)")
            }
          }
        }
      }
    }
    chart.axis(start.sinceStart.exactSeconds...end.sinceStart.exactSeconds, unit: "s")
    return chart.html
  }

  /// The middle of the step, short enough that some forty blocks of the busiest row can be told apart.
  func window(length: Span) -> (start: Instant, end: Instant)? {
    let busiest = picture.rows.map { $0.intervals.count { !$0.work.isCommunication } }.max() ?? 0
    guard busiest > 60 else { return nil }
    let half = length.scaled(by: 0.5 * 40 / Double(busiest))
    let middle = Instant.start + length.scaled(by: 0.5)
    return (Instant(picoseconds: middle.picoseconds - half.picoseconds), middle + half)
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
