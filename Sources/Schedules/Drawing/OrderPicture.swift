import Units

extension PipelineOrder {
  /// The order with fixed chunk times, as papers draw it: a row for each rank, cells numbered by
  /// micro-batch.
  ///
  /// Where two directions share the ranks, numbers of the second continue those of the first.
  ///
  /// - Parameter unit: Of the time axis; default: seconds, milliseconds or microseconds.
  /// - Throws: A ``Diagnostic`` when the order cannot run to its end.
  public func picture(times: ChunkTimes, unit: PictureUnit? = nil) throws -> PipelinePicture {
    let timing = try evaluate(times: times)
    let rows = (0..<ranks).map { rank in
      let cells = zip(slots[rank], timing.intervals[rank]).map { slot, interval in
        switch slot {
        case .chunk(let chunk):
          PipelinePicture.Cell(start: interval.start, end: interval.end, face: face(of: chunk))
        case .overlapped(let forward, let backward):
          PipelinePicture.Cell(
            start: interval.start, end: interval.end, face: face(of: forward), overlapped: face(of: backward))
        }
      }
      return PipelinePicture.Row(label: "rank \(rank)", cells: cells)
    }
    let several = parts > 1 ? ", \(parts) stages each" : ""
    return PipelinePicture(
      title: "\(schedule): \(ranks) ranks\(several), \(microBatches) micro-batches", rows: rows, unit: unit,
      shadeNames: shadeNames)
  }

  /// The picture in characters: see ``PipelinePicture/terminal(width:color:)``.
  public func terminalPicture(
    times: ChunkTimes, width: Int = 80, color: Bool = false, unit: PictureUnit? = nil
  ) throws -> String {
    try picture(times: times, unit: unit).terminal(width: width, color: color)
  }

  /// The picture as a vector image: see ``PipelinePicture/svg(width:)``.
  public func svg(times: ChunkTimes, width: Double? = nil, unit: PictureUnit? = nil) throws -> String {
    try picture(times: times, unit: unit).svg(width: width)
  }

  /// How a chunk looks in a picture.
  public func face(of chunk: Chunk) -> PipelinePicture.Face {
    let tone: PictureTone =
      switch chunk.pass {
      case .forward: .forward
      case .backward: .backward
      case .backwardInput: .backwardInput
      case .backwardWeight: .backwardWeight
      }
    let first = placement == .bidirectional ? chunk.part * microBatchesPerPart : 0
    return PipelinePicture.Face(tone, shade: chunk.part, label: "\(first + chunk.microBatch)")
  }

  /// What the shades of ``face(of:)`` stand for.
  public var shadeNames: [String] {
    switch placement {
    case .straight: []
    case .bidirectional: ["first to last rank", "last to first rank"]
    case .folded: ["down the ranks", "back up"]
    case .interleaved: (0..<parts).map { "stages \($0 * ranks)-\($0 * ranks + ranks - 1)" }
    }
  }
}
