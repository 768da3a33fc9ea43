extension PipelineOrder {
  /// The form in which recorded orders are exchanged: sizes, and `ranks[r].compute` as the slots' texts.
  ///
  /// Keys: `schedule` (name and sizes in one word), `pp` (`ranks_n` for DualPipeV), `microbatches_total`,
  /// `microbatches_per_direction` (bidirectional only), `chunks_per_rank` (interleaved only), `stages`,
  /// `ranks`.
  public var json: String {
    var lines = [
      #"  "schedule": "\#(recordingName)","#,
      #"  "\#(placement == .folded ? "ranks_n" : "pp")": \#(ranks),"#,
      #"  "microbatches_total": \#(microBatches),"#,
    ]
    if placement == .bidirectional {
      lines.append(#"  "microbatches_per_direction": \#(microBatchesPerPart),"#)
    }
    if placement == .interleaved { lines.append(#"  "chunks_per_rank": \#(parts),"#) }
    lines.append(#"  "stages": \#(stages),"#)
    let rows = slots.enumerated().map { rank, slots in
      let compute = slots.map { "\"\($0)\"" }.joined(separator: ", ")
      return #"    {"rank": \#(rank), "compute": [\#(compute)]}"#
    }
    return "{\n" + lines.joined(separator: "\n") + "\n  \"ranks\": [\n" + rows.joined(separator: ",\n")
      + "\n  ]\n}\n"
  }

  /// Schedule and sizes in one word, as recordings are named: `zbh1_pp4_mb8`.
  private var recordingName: String {
    let names = ["zb-h1": "zbh1", "zb-h1-quick": "zbh1quick", "interleaved-1f1b": "interleaved"]
    let name = (names[schedule] ?? schedule).filter { $0 != "\"" && $0 != "\\" && !$0.isNewline }
    let ranksName = placement == .folded ? "ranks" : "pp"
    let chunks = placement == .interleaved ? "_v\(parts)" : ""
    return "\(name)_\(ranksName)\(ranks)_mb\(microBatches)\(chunks)"
  }
}
