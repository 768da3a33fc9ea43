import Documents
import Reports
import Traces
import Units

extension TraceListing {
  /// The same as JSON; what is unknown is null.
  public func jsonText() -> String {
    let recording = analysis.recording
    var entries: [Value.Entry] = [
      .init("format", .text(recording.format.rawValue)),
      .init("world_size", recording.worldSize.map(Value.integer) ?? .null),
    ]
    entries += fields(analysis.total)
    if analysis.ranks.count > 1 {
      entries.append(
        .init(
          "ranks",
          .list(
            analysis.ranks.map { rank in
              .mapping(
                [
                  .init("rank", rank.rank.map(Value.integer) ?? .null),
                  .init("file", rank.file.map(Value.text) ?? .null),
                ] + fields(rank))
            })))
    }
    entries.append(.init("transfers", .list(analysis.comparison.transfers.map(value))))
    entries.append(.init("stragglers", .list(analysis.comparison.standings.map(value))))
    entries.append(.init("expert_loads", .list(analysis.comparison.expertLoads.map(value))))
    entries.append(.init("critical_path", criticalPath()))
    entries.append(
      .init(
        "steps",
        .list(
          analysis.steps.map { step in
            .mapping([
              .init("number", .integer(step.number)), .init("name", .text(step.name)),
              .init("microseconds", microseconds(Span(picoseconds: step.duration))),
            ])
          })))
    if let graph { entries += fields(graph) }
    entries.append(
      .init(
        "omissions",
        .list(
          recording.omissions.map { omission in
            .mapping([
              .init("rank", omission.rank.map(Value.integer) ?? .null),
              .init("reason", .text(omission.reason)),
              .init("count", .integer(omission.count)),
            ])
          })))
    entries.append(.init("findings", .list(findings.map(Value.text))))
    entries.append(.init("notes", .list(recording.notes.map(Value.text))))
    return json(.mapping(entries))
  }

  private func fields(_ summary: TraceSummary) -> [Value.Entry] {
    [
      .init("kernels", counted(summary.kernels)), .init("computation", counted(summary.compute)),
      .init("memory", counted(summary.memory)),
      .init("span_microseconds", summary.span.map(microseconds) ?? .null),
      .init("busy_microseconds", summary.span == nil ? .null : microseconds(summary.busy)),
      .init(
        "communication",
        .mapping([
          .init("count", .integer(summary.communication.count)),
          .init("microseconds", time(summary.communication)),
          .init("union_microseconds", summary.span == nil ? .null : microseconds(summary.communicating)),
          .init("exposed_microseconds", summary.span == nil ? .null : microseconds(summary.exposed)),
          .init(
            "exposed_beside_copies_microseconds",
            summary.span == nil ? .null : microseconds(summary.exposedBesideCopies)),
          .init("overlap_percent", summary.overlapPercent.map(Value.number) ?? .null),
          .init("by_kind", .list(summary.byKind.map(value))),
        ])),
    ]
  }

  private func value(_ kind: KindSummary) -> Value {
    let group = kind.group >= 0 ? analysis.recording.groups[Int(kind.group)] : nil
    return .mapping([
      .init("kind", .text(kind.kind.rawValue)), .init("data_type", kind.dataType.map(Value.text) ?? .null),
      .init("group_size", kind.groupSize.map(Value.integer) ?? .null),
      .init("group", group.map { .text($0.name) } ?? .null),
      .init("count", .integer(kind.total.count)), .init("microseconds", time(kind.total)),
      .init("bytes", bytes(kind.bytes)),
      .init("input_bytes", bytes(kind.bytes)),
      .init("output_bytes", kind.withoutBytes > 0 ? .null : .integer(Int(kind.outputBytes))),
      .init("without_bytes", .integer(kind.withoutBytes)),
    ])
  }

  private func value(_ transfer: TransferSummary) -> Value {
    let isCompared = transfer.compared > 0
    return .mapping([
      .init("kind", .text(transfer.kind.rawValue)),
      .init("data_type", transfer.dataType.map(Value.text) ?? .null),
      .init("group_size", transfer.groupSize.map(Value.integer) ?? .null),
      .init("size", bytes(transfer.size)),
      .init("operations", .integer(transfer.operations)), .init("compared", .integer(transfer.compared)),
      .init("recorded_microseconds", isCompared ? microseconds(transfer.recorded) : .null),
      .init("transfer_microseconds", isCompared ? microseconds(transfer.transfer) : .null),
      .init("waiting_microseconds", isCompared ? microseconds(transfer.waiting) : .null),
      .init("algorithm_bandwidth_gb_per_second", rate(transfer.algorithmBandwidth)),
      .init("bus_bandwidth_gb_per_second", rate(transfer.busBandwidth)),
    ])
  }

  private func value(_ standing: RankStanding) -> Value {
    .mapping([
      .init("rank", .integer(standing.rank)),
      .init("computation_microseconds", microseconds(standing.compute)),
      .init("waiting_microseconds", microseconds(standing.waiting)),
      .init("times_last", .integer(standing.timesLast)),
      .init("collectives", .integer(standing.collectives)),
      .init("kept_others_waiting_microseconds", microseconds(standing.keptOthersWaiting)),
    ])
  }

  private func value(_ load: ExpertLoadSummary) -> Value {
    .mapping([
      .init("group", load.group >= 0 ? .text(analysis.recording.groups[Int(load.group)].name) : .null),
      .init("exchanges", .integer(load.exchanges)), .init("mean_imbalance", .number(load.meanImbalance)),
      .init("worst_imbalance", .number(load.worstImbalance)),
      .init("fullest_rank", .integer(load.fullestRank)),
    ])
  }

  private func criticalPath() -> Value {
    let path = analysis.criticalPath
    guard path.total > .zero else { return .null }
    return .mapping(
      [.init("microseconds", microseconds(path.total)), .init("handovers", .integer(path.handovers))]
        + zip(CriticalEvent.Part.allCases, path.byPart).map { part, time in
          .init("\(part.rawValue)_microseconds", microseconds(time))
        })
  }

  private func fields(_ graph: ChakraSummary) -> [Value.Entry] {
    [
      .init(
        "nodes",
        .mapping([
          .init("count", .integer(graph.nodes)),
          .init("by_type", .mapping(graph.byType.map { .init($0.type, .integer($0.count)) })),
          .init("duration_microseconds", .integer(Int(graph.durationMicroseconds))),
        ])),
      .init(
        "collectives",
        .list(
          graph.collectives.map { kind in
            .mapping([
              .init("kind", .text(kind.kind)), .init("count", .integer(kind.count)),
              .init("bytes", kind.withoutBytes == kind.count ? .null : .integer(Int(kind.bytes))),
              .init("without_bytes", .integer(kind.withoutBytes)),
            ])
          })),
      .init(
        "dependencies",
        .mapping([
          .init("data", .integer(graph.dataDependencies)),
          .init("control", .integer(graph.controlDependencies)),
          .init("dangling", .integer(graph.danglingDependencies)),
        ])),
    ]
  }

  private func counted(_ counted: CountedTime) -> Value {
    .mapping([.init("count", .integer(counted.count)), .init("microseconds", time(counted))])
  }

  /// Null where events are there and none has a time.
  private func time(_ counted: CountedTime) -> Value {
    counted.count > 0 && counted.untimed == counted.count ? .null : microseconds(counted.time)
  }

  // A quotient, because whole microseconds stay whole.
  private func microseconds(_ span: Span) -> Value { .number(Double(span.picoseconds) / 1e6) }
  private func bytes(_ bytes: Int64?) -> Value { bytes.map { .integer(Int($0)) } ?? .null }
  private func rate(_ rate: BytesPerSecond?) -> Value { rate.map { .number($0.value * 1e-9) } ?? .null }
}
