import Documents

extension PipelineOrder {
  /// Proves that the order computes every chunk exactly once and can run to its end.
  ///
  /// Checked in this sequence: sizes against the placement, parts and micro-batches in range, each chunk
  /// once, backward after forward, weight gradient after input gradient, no rank waiting forever.
  ///
  /// - Throws: A ``Diagnostic`` with status `data` that names the rank, the slot and the chunk.
  /// - Complexity: O(chunks)
  public func validate() throws {
    try checkShape()
    var seen = ChunkTable(self, repeating: UInt8(0))
    for rank in 0..<ranks {
      for (index, slot) in slots[rank].enumerated() {
        try slot.forEachChunk { chunk in
          try checkRange(of: chunk, rank: rank, index: index)
          try note(chunk, rank: rank, index: index, in: &seen)
        }
      }
      try checkNothingIsMissing(rank: rank, seen)
    }
    let instant = ChunkTimes(forward: .zero, backwardInput: .zero, backwardWeight: .zero)
    _ = try evaluate(times: instant)
  }

  /// Sizes that agree with the placement.
  func checkShape() throws {
    func refuse(_ problem: String, found: String, allowed: String) -> Diagnostic {
      Diagnostic(.data, problem, path: "header", found: found, allowed: allowed)
    }
    guard ranks >= 1, microBatches >= 1, parts >= 1,
      ranks <= 1 << 16, microBatches <= 1 << 20, parts <= 1 << 10,
      ranks * parts * microBatches * 2 <= Self.chunkLimit
    else {
      throw refuse(
        "the order's sizes are out of range",
        found: "\(ranks) ranks, \(parts) parts, \(microBatches) micro-batches",
        allowed: "at least 1 of each and at most \(Self.chunkLimit / 2) chunks forward")
    }
    switch placement {
    case .straight where parts != 1:
      throw refuse("a straight placement has one stage on each rank", found: "\(parts) parts", allowed: "1")
    case .bidirectional where parts != 2, .folded where parts != 2:
      throw refuse(
        "a \(placement.rawValue) placement has two stages on each rank", found: "\(parts) parts", allowed: "2"
      )
    case .bidirectional where !microBatches.isMultiple(of: 2):
      throw refuse(
        "the two directions share the micro-batches evenly", found: "\(microBatches) micro-batches",
        allowed: "an even number")
    default: break
    }
  }

  /// A part and a micro-batch that exist.
  func checkRange(of chunk: Chunk, rank: Int, index: Int) throws {
    guard chunk.part < parts else {
      throw refusal("the rank has no such part", chunk, rank, index, allowed: "parts 0 to \(parts - 1)")
    }
    guard chunk.microBatch < microBatchesPerPart else {
      throw refusal(
        "there is no such micro-batch", chunk, rank, index,
        allowed: "micro-batches 0 to \(microBatchesPerPart - 1)")
    }
  }

  private func note(_ chunk: Chunk, rank: Int, index: Int, in seen: inout ChunkTable<UInt8>) throws {
    let place = seen.index(rank: rank, part: chunk.part, microBatch: chunk.microBatch)
    func has(_ pass: ChunkPass) -> Bool { seen.values[place] & (1 << pass.rawValue) != 0 }
    switch chunk.pass {
    case _ where has(chunk.pass): throw refusal("a chunk is computed twice", chunk, rank, index)
    case .backward where has(.backwardInput), .backwardInput where has(.backward):
      throw refusal("a micro-batch has both a full and a split backward", chunk, rank, index)
    case .backwardWeight where has(.backward):
      throw refusal("a full backward has no separate weight gradient", chunk, rank, index)
    case .backwardWeight where !has(.backwardInput):
      throw refusal(
        "a weight gradient comes before its input gradient", chunk, rank, index, allowed: "b before w")
    case .backward where !has(.forward), .backwardInput where !has(.forward):
      throw refusal("a backward comes before its forward", chunk, rank, index, allowed: "F before B or b")
    default: seen.values[place] |= 1 << chunk.pass.rawValue
    }
  }

  private func checkNothingIsMissing(rank: Int, _ seen: ChunkTable<UInt8>) throws {
    for part in 0..<parts {
      for microBatch in 0..<microBatchesPerPart {
        let passes = seen.values[seen.index(rank: rank, part: part, microBatch: microBatch)]
        func has(_ pass: ChunkPass) -> Bool { passes & (1 << pass.rawValue) != 0 }
        var missing: Chunk?
        if !has(.forward) {
          missing = Chunk(.forward, part: part, microBatch: microBatch)
        } else if !has(.backward) && !has(.backwardInput) {
          missing = Chunk(.backward, part: part, microBatch: microBatch)
        } else if has(.backwardInput) && !has(.backwardWeight) {
          missing = Chunk(.backwardWeight, part: part, microBatch: microBatch)
        }
        if let missing {
          throw Diagnostic(
            .data, "a chunk is missing", path: "rank \(rank)", found: "no \(missing)",
            allowed: "every chunk exactly once")
        }
      }
    }
  }

  private func refusal(
    _ problem: String, _ chunk: Chunk, _ rank: Int, _ index: Int, allowed: String? = nil
  ) -> Diagnostic {
    Diagnostic(.data, problem, path: "rank \(rank), slot \(index)", found: "\(chunk)", allowed: allowed)
  }
}

/// One value for each rank, part and micro-batch; shape `[rank, part, microBatch]`.
struct ChunkTable<Value> {
  var values: [Value]
  private let parts: Int
  private let microBatches: Int

  init(_ order: PipelineOrder, repeating value: Value) {
    parts = order.parts
    microBatches = order.microBatchesPerPart
    values = Array(repeating: value, count: order.ranks * parts * microBatches)
  }

  func index(rank: Int, part: Int, microBatch: Int) -> Int {
    (rank * parts + part) * microBatches + microBatch
  }
}
