import Documents

extension PipelineOrder {
  /// Names that ``published(_:ranks:microBatches:virtualStages:)`` knows, as on the command line.
  public static let publishedNames = [
    "gpipe", "1f1b", "interleaved-1f1b", "zb-h1", "zb-h1-quick", "dualpipe", "dualpipev",
  ]

  /// The published order of that name.
  ///
  /// - Parameters:
  ///   - microBatches: Of the whole step: both directions of DualPipe together.
  ///   - virtualStages: Stages a rank holds, for `interleaved-1f1b` only.
  /// - Throws: A ``Diagnostic`` with status `usage` for an unknown name or a size the schedule cannot have.
  public static func published(
    _ name: String, ranks: Int, microBatches: Int, virtualStages: Int? = nil
  ) throws -> PipelineOrder {
    if name != "interleaved-1f1b", let virtualStages, virtualStages != 1 {
      throw Diagnostic(
        .usage, "\(name) has no virtual stages", path: "--vpp", found: "\(virtualStages)",
        hint: "leave --vpp out, or use interleaved-1f1b")
    }
    switch name {
    case "gpipe": return try gpipe(ranks: ranks, microBatches: microBatches)
    case "1f1b": return try oneForwardOneBackward(ranks: ranks, microBatches: microBatches)
    case "interleaved-1f1b":
      guard let virtualStages else {
        throw Diagnostic(
          .usage, "interleaved-1f1b needs the number of stages on each rank", path: "--vpp", found: "nothing",
          allowed: "at least 2", hint: "add --vpp 2")
      }
      return try interleavedOneForwardOneBackward(
        ranks: ranks, virtualStages: virtualStages, microBatches: microBatches)
    case "zb-h1": return try zeroBubbleH1(ranks: ranks, microBatches: microBatches)
    case "zb-h1-quick": return try zeroBubbleH1QuickStart(ranks: ranks, microBatches: microBatches)
    case "dualpipe": return try dualPipe(ranks: ranks, microBatches: microBatches)
    case "dualpipev": return try dualPipeV(ranks: ranks, microBatches: microBatches)
    default:
      throw Diagnostic(
        .usage, "unknown schedule", path: "--schedule", found: name,
        allowed: publishedNames.joined(separator: ", "))
    }
  }

  /// Most chunks an order may list; a pipeline of 128 ranks and 8,192 micro-batches has a quarter of it.
  static let chunkLimit = 1 << 24

  /// Refuses sizes no order can have, before anything is allocated.
  static func checkSize(schedule: String, ranks: Int, parts: Int, microBatches: Int) throws {
    let most = 1 << 16
    func check(_ count: Int, _ what: String, _ flag: String, atMost limit: Int) throws {
      guard count >= 1 && count <= limit else {
        throw Diagnostic(
          .usage, "\(schedule) needs \(what)", path: flag, found: "\(count)", allowed: "1 to \(limit)")
      }
    }
    try check(ranks, "a number of pipeline ranks", "--pp", atMost: most)
    try check(parts, "a number of stages on each rank", "--vpp", atMost: 1 << 10)
    try check(microBatches, "a number of micro-batches", "--micro-batches", atMost: 1 << 20)
    guard ranks * parts * microBatches * 2 <= chunkLimit else {
      throw Diagnostic(
        .usage, "the order is too long to be written down", path: "--micro-batches",
        found: "\(ranks) ranks x \(parts) stages x \(microBatches) micro-batches",
        allowed: "at most \(chunkLimit / 2) chunks forward")
    }
  }
}
