import Documents
import Units

/// How often a run is interrupted and how long each interruption takes.
///
/// Not part of a run's cost unless asked for: see ``goodput(gpus:)``.
public struct Reliability: Hashable, Sendable {
  /// GPU-hours between two interruptions of any GPU.
  public let betweenInterruptions: Sourced<GPUHours>
  public let checkpointInterval: Sourced<Span>
  /// How long training stands still for a checkpoint.
  public let checkpointStall: Sourced<Span>
  /// From an interruption to the first new step.
  public let restart: Sourced<Span>

  public init(
    betweenInterruptions: Sourced<GPUHours>, checkpointInterval: Sourced<Span>,
    checkpointStall: Sourced<Span>,
    restart: Sourced<Span>
  ) {
    self.betweenInterruptions = betweenInterruptions
    self.checkpointInterval = checkpointInterval
    self.checkpointStall = checkpointStall
    self.restart = restart
  }

  /// A shipped record: `h100` (default) or `fire-flyer`.
  public static func shipped(record name: String = "h100") throws -> Reliability {
    let root = try shippedDocument("reliability")
    try root.allowOnly(["records", "checkpoint_interval", "checkpoint_stall", "restart"])
    let records = try root.required("records").list()
    let names = try records.map { node in
      try node.allowOnly(["name", "title", "between_interruptions"])
      return try node.required("name").text()
    }
    guard let index = names.firstIndex(of: name) else {
      throw Diagnostic(
        .data, "unknown reliability record", file: root.file, path: "records", found: name,
        allowed: names.joined(separator: ", "),
        hint: nearest(to: name, in: names).map { "did you mean \($0)?" })
    }
    return Reliability(
      betweenInterruptions: try records[index].required("between_interruptions").sourced(GPUHours.self),
      checkpointInterval: try root.required("checkpoint_interval").sourced(Span.self),
      checkpointStall: try root.required("checkpoint_stall").sourced(Span.self, allowingZero: true),
      restart: try root.required("restart").sourced(Span.self, allowingZero: true))
  }

  /// Interruptions that a cluster of that size sees in a day.
  public func interruptionsPerDay(gpus: Int) -> Double {
    24 * Double(gpus) / betweenInterruptions.value.value
  }

  /// Share of wall-clock time that makes progress, to first order.
  ///
  /// Every checkpoint stops training for a moment; every interruption loses half an interval of work on
  /// average and the time to restart. Zero where interruptions come faster than they are dealt with.
  ///
  /// Source: J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974.
  public func goodput(gpus: Int) -> Ratio {
    let secondsBetween = betweenInterruptions.value.value / Double(gpus) * 3600
    let lost = checkpointInterval.value.seconds / 2 + restart.value.seconds
    let stalled = checkpointStall.value.seconds / checkpointInterval.value.seconds
    return Ratio(max(0, (1 - lost / secondsBetween) / (1 + stalled)))
  }
}
