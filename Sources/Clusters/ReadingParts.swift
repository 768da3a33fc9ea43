import Documents
import Operators
import Units

extension Node {
  /// A whole number with its birthplace, written `{value: 132, source: …, tag: published}`.
  func sourcedCount(in range: ClosedRange<Int>) throws -> Sourced<Int> {
    guard case .mapping = value else {
      throw error("a count needs its source", allowed: "{value: …, source: …, tag: …}")
    }
    try allowOnly(["value", "source", "tag", "note"])
    let (tag, source) = try birthplace()
    return Sourced(try required("value").integer(in: range), tag: tag, source: source)
  }

  /// The tag and the source of this mapping.
  func birthplace() throws -> (tag: Tag, source: String) {
    let node = try required("source")
    let source = try node.text()
    guard !source.isEmpty else { throw node.error("the source is empty") }
    return (try required("tag").oneOf(Tag.self), source)
  }

  /// A share of something: a ratio above zero and at most one.
  func sourcedShare() throws -> Sourced<Ratio> {
    let share = try sourced(Ratio.self)
    guard share.value.value <= 1 else {
      throw try required("value").error("a share is at most 1", allowed: "0 to 1")
    }
    return share
  }

  /// A length of time that one message or launch may cost: no sum of them over a cluster's ranks overflows.
  func sourcedLatency() throws -> Sourced<Span> {
    let latency = try sourced(Span.self)
    guard latency.value <= Span(seconds: 1) else {
      throw try required("value").error("the latency is too long to be one", allowed: "at most 1 s")
    }
    return latency
  }

  /// A ratio of at least one.
  func sourcedSlowdown() throws -> Sourced<Ratio> {
    let slowdown = try sourced(Ratio.self)
    guard slowdown.value.value >= 1 else {
      throw try required("value").error("a slowdown is at least 1", allowed: "1 or more")
    }
    return slowdown
  }

  /// A positive number without a unit, within a table whose source stands above it.
  func positive() throws -> Double {
    let number = try number()
    guard number > 0 else { throw error("the number must be positive", allowed: "more than zero") }
    return number
  }

  /// One of an enumeration's cases for each item of a list.
  func formats() throws -> [Format] {
    let items = try list()
    guard !items.isEmpty else { throw error("the list is empty", allowed: "at least one format") }
    return try items.map { try $0.oneOf(Format.self) }
  }

  /// Measurements under one source: `{source: …, tag: …, rows: […]}`.
  func table<Row: Hashable & Sendable>(_ row: (Node) throws -> Row) throws -> MeasurementTable<Row> {
    try allowOnly(["source", "tag", "use", "beside_communication", "rows", "note"])
    let (tag, source) = try birthplace()
    return MeasurementTable(
      source: source, tag: tag, use: try optional("use")?.oneOf(MeasurementTable<Row>.Use.self) ?? .speed,
      isBesideCommunication: try optional("beside_communication")?.bool() ?? false,
      rows: try required("rows").list().map(row))
  }

  func tables<Row: Hashable & Sendable>(
    _ key: String = "tables", _ row: (Node) throws -> Row
  ) throws -> [MeasurementTable<Row>] {
    try optional(key)?.list().map { try $0.table(row) } ?? []
  }
}

/// Largest extent of a matrix or sequence that is believed.
private let extents = 1...(1 << 31)

extension GPU {
  init(_ node: Node) throws {
    try node.allowOnly([
      "name", "peaks", "memory", "memory_bandwidth", "streaming_multiprocessors", "clock", "power", "kernels",
    ])
    let multiprocessors = try node.required("streaming_multiprocessors").sourcedCount(in: 1...100_000)
    let peaks = try node.required("peaks").entries().map { key, node -> Peak in
      guard let format = Format(rawValue: key) else {
        let names = Format.allCases.map(\.rawValue)
        throw node.error(
          "unknown format", found: key, allowed: names.joined(separator: ", "),
          hint: nearest(to: key, in: names).map { "did you mean \($0)?" })
      }
      return Peak(format: format, rate: try node.sourced(FLOPsPerSecond.self))
    }
    guard !peaks.isEmpty else { throw try node.required("peaks").error("a GPU needs a peak") }
    self.init(
      name: try node.required("name").text(), peaks: peaks,
      memory: try node.required("memory").sourced(Bytes.self),
      memoryBandwidth: try node.required("memory_bandwidth").sourced(BytesPerSecond.self),
      streamingMultiprocessors: multiprocessors, clock: try node.required("clock").sourced(Hertz.self),
      power: try node.required("power").sourced(Watts.self),
      kernels: try KernelCalibration(
        node.required("kernels"), peaks: peaks.map(\.format), multiprocessors: multiprocessors.value))
  }
}

extension KernelCalibration {
  init(_ node: Node, peaks: [Format], multiprocessors: Int) throws {
    try node.allowOnly([
      "launch_overhead", "memory_pass", "streaming", "products", "attention", "attention_instead",
    ])
    self.init(
      launchOverhead: try node.required("launch_overhead").sourcedLatency(),
      memoryPass: try MemoryPassCalibration(node.required("memory_pass")),
      streaming: try node.required("streaming").sourcedShare(),
      products: try node.required("products").list().flatMap { product -> [ProductCalibration] in
        let formats = try product.required("formats").formats()
        for format in formats where !peaks.contains(format) {
          throw try product.required("formats").error(
            "the GPU has no peak for this format", found: format.rawValue,
            allowed: peaks.map(\.rawValue).joined(separator: ", "))
        }
        return try formats.map {
          try ProductCalibration(product, format: $0, multiprocessors: multiprocessors)
        }
      },
      attention: try Self.attention(node, multiprocessors: multiprocessors))
  }

  /// The measurements under `attention`; those under `attention_instead`, which an extending file adds, take
  /// the place of the ones with the same head dimensions, mask, direction and format.
  private static func attention(_ node: Node, multiprocessors: Int) throws -> [AttentionMeasurement] {
    func rows(_ key: String) throws -> [AttentionMeasurement] {
      try node.optional(key)?.list().flatMap {
        try AttentionMeasurement.rows($0, multiprocessors: multiprocessors)
      } ?? []
    }
    let instead = try rows("attention_instead")
    return try rows("attention").filter { row in !instead.contains { $0.isOfKind(of: row) } } + instead
  }
}

extension MemoryPassCalibration {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["share", "overlapped_share", "tables"])
    self.init(
      share: try node.required("share").sourcedShare(),
      overlappedShare: try node.required("overlapped_share").sourcedShare(),
      tables: try node.tables { row in
        try row.allowOnly(["kernel", "bytes", "duration"])
        return MemoryPassMeasurement(
          kernel: try row.required("kernel").text(), bytes: try row.required("bytes").quantity(Bytes.self),
          duration: try row.required("duration").quantity(Span.self))
      })
  }
}

extension ProductCalibration {
  fileprivate init(_ node: Node, format: Format, multiprocessors: Int) throws {
    try node.allowOnly([
      "kind", "formats", "sustained", "depth_overhead", "overlap_slowdown", "tiles", "tables",
      "checks",
    ])
    let tilesNode = try node.required("tiles")
    try tilesNode.allowOnly(["shapes", "source", "tag", "note"])
    _ = try tilesNode.birthplace()
    let tiles = try tilesNode.required("shapes").list().map { shape -> Tile in
      let sides = try shape.list()
      guard sides.count == 2 else {
        throw shape.error("a tile has rows and columns", allowed: "[rows, columns]")
      }
      return Tile(rows: try sides[0].integer(in: 1...4096), columns: try sides[1].integer(in: 1...4096))
    }
    guard !tiles.isEmpty else {
      throw tilesNode.error("a product needs a tile", allowed: "[[rows, columns], …]")
    }
    self.init(
      kind: try node.required("kind").oneOf(MatrixProduct.Kind.self), format: format,
      sustained: try node.required("sustained").sourcedShare(),
      depthOverhead: try node.required("depth_overhead").sourced(Ratio.self, allowingZero: true),
      overlapSlowdown: try node.required("overlap_slowdown").sourcedSlowdown(), tiles: tiles,
      tables: try node.tables { try ProductMeasurement($0, multiprocessors: multiprocessors) },
      checks: try node.tables("checks") { try ProductMeasurement($0, multiprocessors: multiprocessors) })
  }
}

extension ProductMeasurement {
  fileprivate init(_ node: Node, multiprocessors: Int) throws {
    try node.allowOnly(["rows", "columns", "depth", "count", "rate", "sms"])
    self.init(
      rows: try node.required("rows").positive(), columns: try node.required("columns").integer(in: extents),
      depth: try node.required("depth").positive(),
      count: try node.optional("count")?.integer(in: 1...1_000_000) ?? 1,
      rate: try node.required("rate").quantity(FLOPsPerSecond.self),
      multiprocessors: try node.optional("sms")?.integer(in: 1...multiprocessors) ?? multiprocessors)
  }
}

extension AttentionMeasurement {
  /// One table: head dimensions, mask and direction once, then a rate for each sequence length.
  fileprivate static func rows(_ node: Node, multiprocessors: Int) throws -> [AttentionMeasurement] {
    try node.allowOnly([
      "query_key_dimension", "value_dimension", "causal", "backward", "formats", "sms", "source", "tag",
      "rows", "note",
    ])
    let (tag, source) = try node.birthplace()
    let queryKey = try node.required("query_key_dimension").integer(in: 1...4096)
    let value = try node.required("value_dimension").integer(in: 1...4096)
    let causal = try node.required("causal").bool()
    let backward = try node.required("backward").bool()
    let used = try node.optional("sms")?.integer(in: 1...multiprocessors) ?? multiprocessors
    return try node.required("formats").formats().flatMap { format in
      try node.required("rows").list().map { row in
        try row.allowOnly(["sequence", "rate"])
        return AttentionMeasurement(
          queryKeyDimension: queryKey, valueDimension: value, isCausal: causal, isBackward: backward,
          sequence: try row.required("sequence").integer(in: extents), format: format, multiprocessors: used,
          rate: Sourced(try row.required("rate").quantity(FLOPsPerSecond.self), tag: tag, source: source))
      }
    }
  }
}
