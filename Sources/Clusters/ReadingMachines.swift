import Documents
import Operators
import Units

/// Largest extent of a matrix that is believed.
private let extents = 1...(1 << 31)

extension Cluster {
  /// A file with `processor` in place of `gpu` and its links: ranks on ordinary machines, as `rehearse calibrate`
  /// writes it.
  init(machine node: Node) throws {
    try node.allowOnly(["name", "description", "processor", "ranks", "transport", "crowded_transport"])
    let processor = try node.required("processor")
    let ranks = try node.required("ranks").sourcedCount(in: 1...1024)
    let host = Host(
      processors: try processor.required("count").sourcedCount(in: 1...4096),
      memory: try processor.required("memory").sourced(Bytes.self),
      transport: try node.optional("transport").map(ProcessorTransport.init),
      crowdedTransport: try node.optional("crowded_transport").map(ProcessorTransport.init))
    let gpu = try GPU(processor: processor, memory: host.memory(ofOneOf: ranks.value))
    self.init(
      name: try node.required("name").text(), description: try node.optional("description")?.text() ?? "",
      processor: gpu, ranks: ranks, host: host)
  }

  /// One node of ranks. What only a GPU's links have is filled from the memory's bandwidth and never timed with.
  public init(name: String, description: String = "", processor: GPU, ranks: Sourced<Int>, host: Host) {
    let source = "not used: transfers are timed by the transport's tables"
    func unused<Value: Sendable>(_ value: Value) -> Sourced<Value> {
      Sourced(value, tag: .derived, source: source)
    }
    let bandwidth = processor.memoryBandwidth.map { $0 }
    let none = unused(Span.zero)
    self.init(
      name: name, description: description, gpu: processor,
      nodes: Sourced(1, tag: ranks.tag, source: ranks.source), gpusPerNode: ranks,
      nvlink: Interconnect(peak: bandwidth, achieved: bandwidth, latency: none),
      nic: NetworkInterface(perNode: unused(1), peak: bandwidth, achieved: bandwidth),
      fabric: Fabric(
        kind: .none, levels: unused(1), planes: unused(1), switchPorts: unused(2),
        oversubscription: unused(Ratio(1)), sameLeafLatency: none, crossLeafLatency: none),
      collectives: CollectiveCalibration(
        nvlinkBandwidth: bandwidth, nicBandwidth: bandwidth, baseLatency: none, nvlinkStepLatency: none,
        nicStepLatency: none),
      host: host)
  }

  /// The same machine with another number of ranks, which share its processors and its memory.
  ///
  /// - Precondition: ``host`` is there, and `count` is positive.
  public func withRanks(_ count: Int) -> Cluster {
    guard let host, count != gpusPerNode.value else { return self }
    var other = self
    other.gpusPerNode = Sourced(count, tag: .assumed, source: "chosen in place of \(gpusPerNode.value) ranks")
    other.gpu.memory = host.memory(ofOneOf: count)
    return other
  }
}

extension Host {
  /// What each of so many ranks may take.
  public func memory(ofOneOf ranks: Int) -> Sourced<Bytes> {
    Sourced(
      Bytes(memory.value.count / Int64(ranks)), tag: .derived,
      source: "\(memory.value.count) B of the machine over \(ranks) ranks")
  }
}

extension GPU {
  fileprivate init(processor node: Node, memory: Sourced<Bytes>) throws {
    try node.allowOnly([
      "name", "count", "memory", "peak", "memory_bandwidth", "products", "attention", "passes",
    ])
    self.init(
      processor: try node.required("name").text(),
      peak: try node.required("peak").sourced(FLOPsPerSecond.self),
      memory: memory,
      memoryBandwidth: try node.required("memory_bandwidth").sourced(BytesPerSecond.self),
      kernels: ProcessorKernels(
        products: try node.required("products").list().map(ProductSpeeds.init),
        attention: try node.required("attention").list().map(AttentionSpeeds.init),
        passes: try node.required("passes").list().map(PassSpeeds.init)))
  }

  /// One rank on a processor of its own, in float32.
  ///
  /// - Parameters:
  ///   - memory: What one rank may take.
  ///   - memoryBandwidth: Of a long copy.
  public init(
    processor name: String, peak: Sourced<FLOPsPerSecond>, memory: Sourced<Bytes>,
    memoryBandwidth: Sourced<BytesPerSecond>, kernels: ProcessorKernels
  ) {
    let one = Sourced(1, tag: .derived, source: "a rank is one thread")
    let whole = Sourced(Ratio(1), tag: .derived, source: "not used: kernels are timed by their own tables")
    self.init(
      name: name, peaks: [Peak(format: .float32, rate: peak)], memory: memory,
      memoryBandwidth: memoryBandwidth, streamingMultiprocessors: one, clock: nil, power: nil,
      kernels: KernelCalibration(
        launchOverhead: Sourced(.zero, tag: whole.tag, source: whole.source),
        memoryPass: MemoryPassCalibration(share: whole, overlappedShare: whole), streaming: whole,
        products: [], attention: [], processor: kernels))
  }
}

extension ProductSpeeds {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["kind", "pass", "source", "tag", "note", "rows"])
    let kind = try node.required("kind").oneOf(MatrixProduct.Kind.self)
    let pass = try node.required("pass").pass()
    let table = try node.removing("kind").removing("pass").table { row in
      try row.allowOnly(["rows", "columns", "depth", "count", "rate"])
      return ProductMeasurement(
        rows: try row.required("rows").positive(), columns: try row.required("columns").integer(in: extents),
        depth: try row.required("depth").positive(),
        count: try row.optional("count")?.integer(in: 1...1_000_000) ?? 1,
        rate: try row.required("rate").quantity(FLOPsPerSecond.self), multiprocessors: 1)
    }
    guard let speeds = ProductSpeeds(kind: kind, pass: pass, table: table) else {
      throw try node.required("rows").error(
        "the rows are no grid", found: "\(table.rows.count) rows",
        allowed: "every combination of some rows, columns and depths, once")
    }
    self = speeds
  }
}

extension AttentionSpeeds {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["backward", "source", "tag", "note", "rows"])
    let table = try node.removing("backward").table { row in
      try row.allowOnly(["sequence", "dimension", "rate"])
      return AttentionSpeed(
        sequence: try row.required("sequence").integer(in: extents),
        dimension: try row.required("dimension").integer(in: 1...4096),
        rate: try row.required("rate").quantity(FLOPsPerSecond.self))
    }
    guard let speeds = AttentionSpeeds(isBackward: try node.required("backward").bool(), table: table) else {
      throw try node.required("rows").error(
        "the rows are no grid", found: "\(table.rows.count) rows",
        allowed: "every combination of some sequences and dimensions, once")
    }
    self = speeds
  }
}

extension PassSpeeds {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["kind", "pass", "source", "tag", "note", "rows"])
    let kind = try node.required("kind").oneOf(MemoryPass.Kind.self)
    let pass = try node.required("pass").pass()
    let table = try node.removing("kind").removing("pass").table { row in
      try row.allowOnly(["bytes", "rate"])
      return PassSpeed(
        bytes: try row.required("bytes").quantity(Bytes.self),
        rate: try row.required("rate").quantity(BytesPerSecond.self))
    }
    try node.required("rows").requireSizes(table.rows.map(\.bytes))
    self.init(kind: kind, pass: pass, table: table)
  }
}

extension ProcessorTransport {
  fileprivate init(_ node: Node) throws {
    try node.allowOnly(["messages", "all_to_all"])
    let messages = try node.required("messages").table { row in
      try row.allowOnly(["bytes", "time", "processor_time"])
      return MessageCost(
        bytes: try row.required("bytes").quantity(Bytes.self),
        time: try row.required("time").quantity(Span.self),
        processorTime: try row.required("processor_time").quantity(Span.self))
    }
    try node.required("messages").required("rows").requireSizes(messages.rows.map(\.bytes))
    let exchanges = try node.required("all_to_all").table { row in
      try row.allowOnly(["ranks", "bytes", "processor_time"])
      return AllToAllCost(
        ranks: try row.required("ranks").integer(in: 2...1024),
        bytes: try row.required("bytes").quantity(Bytes.self),
        processorTime: try row.required("processor_time").quantity(Span.self))
    }
    let rows = try node.required("all_to_all").required("rows")
    if exchanges.rows.isEmpty { throw rows.error("the table has no rows") }
    for ranks in Set(exchanges.rows.map(\.ranks)).sorted() {
      try rows.requireSizes(exchanges.rows.filter { $0.ranks == ranks }.map(\.bytes))
    }
    self.init(messages: messages, allToAlls: exchanges)
  }
}

extension Node {
  fileprivate func pass() throws -> Pass {
    let names = Pass.allCases.map(\.name)
    let name = try text()
    guard let pass = Pass.allCases.first(where: { $0.name == name }) else {
      throw error(
        "unknown choice", found: name, allowed: names.joined(separator: ", "),
        hint: nearest(to: name, in: names).map { "did you mean \($0)?" })
    }
    return pass
  }

  /// Refuses a table by size that has no rows, or a size twice.
  fileprivate func requireSizes(_ sizes: [Bytes]) throws {
    if sizes.isEmpty { throw error("the table has no rows") }
    if Set(sizes).count < sizes.count { throw error("a size stands in the table twice") }
  }
}
