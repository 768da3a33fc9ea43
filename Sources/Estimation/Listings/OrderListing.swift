import Documents
import Reports
import Schedules
import Units

/// Chunk times of a schedule in units of one forward, as papers give them.
public struct ChunkUnits: Hashable, Sendable {
  public var forward: Double
  public var backwardInput: Double
  public var backwardWeight: Double
  /// Of an overlapped pair; nil: the sum of its chunks.
  public var overlapped: Double?

  public init(forward: Double = 1, backwardInput: Double = 1, backwardWeight: Double = 1, overlapped: Double? = nil) {
    self.forward = forward
    self.backwardInput = backwardInput
    self.backwardWeight = backwardWeight
    self.overlapped = overlapped
  }

  /// What one unit is on the clock; short enough that the longest order stays within a span.
  static let unit = Span(microseconds: 1)
  public static let allowed = 0.0...1000.0

  var times: ChunkTimes {
    ChunkTimes(
      forward: Self.unit.scaled(by: forward), backwardInput: Self.unit.scaled(by: backwardInput),
      backwardWeight: Self.unit.scaled(by: backwardWeight), overlapped: overlapped.map { Self.unit.scaled(by: $0) })
  }
}

/// A pipeline order with fixed chunk times: its picture, and what the picture shows in numbers.
public struct OrderListing: Sendable {
  public let order: PipelineOrder
  private let units: ChunkUnits
  private let timing: OrderTiming

  /// - Throws: A `Diagnostic` when the order is wrong or cannot run to its end.
  public init(_ order: PipelineOrder, units: ChunkUnits) throws {
    try order.validate()
    self.order = order
    self.units = units
    timing = try order.evaluate(times: units.times)
  }

  private var pictureUnit: PictureUnit { PictureUnit(name: "", span: ChunkUnits.unit) }

  public func svg() throws -> String { try order.svg(times: units.times, unit: pictureUnit) }

  /// The picture in characters, and below it makespan, bubble and activation peaks.
  public func text(width: Int = 80, color: Bool) throws -> String {
    let picture = try order.terminalPicture(times: units.times, width: width, color: color, unit: pictureUnit)
    return picture + "\n" + numbers(width: width)
  }

  private func numbers(width: Int) -> String {
    func shown(_ span: Span) -> String { significant(span.microseconds, digits: 4) }
    let makespan = timing.makespan
    let idle = timing.idle
    let peaks = order.activationPeaks(until: .weightGradient)
    let mean = idle.reduce(Span.zero, +).scaled(by: 1 / Double(order.ranks))
    func share(_ span: Span) -> String {
      makespan > .zero ? percent(span.seconds / makespan.seconds) : percent(0)
    }
    var lines = [
      "makespan  \(shown(makespan)), in units of the chunk times",
      "bubble    \(shown(mean)) a rank on average, \(share(mean)) of the step", "",
    ]
    var table = TextTable(
      [
        .init("rank", .right), .init("busy", .right), .init("bubble", .right), .init("share", .right),
        .init("chunks held at most", .right),
      ], width: width)
    for rank in 0..<order.ranks {
      table.append(["\(rank)", shown(timing.busy[rank]), shown(idle[rank]), share(idle[rank]), "\(peaks[rank])"])
    }
    lines += table.lines()
    return lines.joined(separator: "\n") + "\n"
  }
}
