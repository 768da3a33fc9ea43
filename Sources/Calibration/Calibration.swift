import Clusters
import Execution
import Foundation
import Kernels
import Operators
import Units

/// Measures this machine as a cluster whose ranks share its processors.
///
/// Kernels are measured one by one with the code that ranks run, on as many ranks at once as there are processors:
/// in a step, too, the other processors are busy. Times are processor times, so that other work on the machine slows
/// the measurement but spoils it little.
public struct Calibration {
  public var machine: Machine
  /// When and how the machine was measured, for every number's source.
  public var occasion: String
  public var name: String
  /// Told what is being measured, and the share of it that is done.
  public var progress: (String, Double) -> Void

  public init(
    machine: Machine, occasion: String, name: String = "machine",
    progress: @escaping (String, Double) -> Void = { _, _ in }
  ) {
    self.machine = machine
    self.occasion = occasion
    self.name = name
    self.progress = progress
  }

  /// Measures; every rank of the transport calls it. Without a transport, the kernels of one rank are measured alone.
  ///
  /// - Returns: The cluster on rank 0, nil on the others.
  /// - Throws: What the transport throws.
  public func run(_ transport: (any Transport)? = nil) throws -> Cluster? {
    try run(transport, grid: .full)
  }

  func run(_ transport: (any Transport)?, grid: KernelTask.Grid) throws -> Cluster? {
    Kernels.MatrixProduct.setThreads(1)
    let tasks = KernelTask.all(grid)
    guard let transport, transport.size > 1 else {
      return cluster(tasks, seconds: measured(tasks, of: 0, among: 1), ranks: 1, transport: nil)
    }
    let measurement = try TransportMeasurement(transport)
    defer { measurement.close() }
    let measurers = min(machine.processors, transport.size)
    var seconds: [Double] = []
    try measurement.meetAsleep()
    if transport.rank < measurers { seconds = measured(tasks, of: transport.rank, among: measurers) }
    if transport.rank == 0 {
      for peer in 1..<max(1, measurers) {
        let others = try measurement.receiveAsleep(tasks.count, from: peer)
        for index in tasks.indices where index % measurers == peer { seconds[index] = others[index] }
      }
    } else if transport.rank < measurers {
      try measurement.send(seconds, to: 0)
    }
    let isCrowded = transport.size > machine.processors
    let roomy = try transfers(measurement, transport, among: machine.processors, sleeps: false)
    let crowded =
      isCrowded ? try transfers(measurement, transport, among: transport.size, sleeps: true) : nil
    try measurement.meetAsleep()
    guard transport.rank == 0 else { return nil }
    return cluster(
      tasks, seconds: seconds, ranks: transport.size, transport: roomy, crowdedTransport: crowded)
  }

  /// The tables of messages and exchanges; on rank 0, nil on the others.
  private func transfers(
    _ measurement: TransportMeasurement, _ transport: any Transport, among most: Int, sleeps: Bool
  ) throws -> ProcessorTransport? {
    let manner = sleeps ? ", ranks sleep while they wait" : ""
    if transport.rank == 0 { progress("messages\(manner)", 0) }
    let messages = try measurement.messages(sleeps: sleeps)
    if transport.rank == 0 { progress("exchanges\(manner)", 0) }
    let exchanges = try measurement.allToAlls(among: most, sleeps: sleeps)
    guard transport.rank == 0 else { return nil }
    return ProcessorTransport(
      messages: table(messages, "one-way, ping-pong of two ranks\(manner)"),
      allToAlls: table(exchanges, "processor time of a rank, mean over the ranks\(manner)"))
  }

  /// Times that all tasks are measured. A machine shared with others has slow spells of seconds, so each task's
  /// measurements lie apart, and the middle one counts.
  private static let rounds = 3

  /// Seconds of the tasks that fall to one of some ranks; zero for the others'.
  private func measured(_ tasks: [KernelTask], of rank: Int, among ranks: Int) -> [Double] {
    let workspace = Workspace()
    var seconds = [[Double]](repeating: [], count: tasks.count)
    for round in 0..<Self.rounds {
      for (index, task) in tasks.enumerated() {
        if rank == 0, index % 64 == 0 {
          progress("kernels", Double(round * tasks.count + index) / Double(Self.rounds * tasks.count))
        }
        if index % ranks == rank { seconds[index].append(task.seconds(workspace)) }
      }
    }
    return seconds.map { $0.isEmpty ? 0 : median($0) }
  }

  // MARK: Tables

  private func table<Row: Hashable & Sendable>(_ rows: [Row], _ what: String) -> MeasurementTable<Row> {
    MeasurementTable(source: "\(occasion): \(what)", tag: .measured, rows: rows)
  }

  private func sourced<Value: Sendable>(_ value: Value, _ what: String) -> Sourced<Value> {
    Sourced(value, tag: .measured, source: "\(occasion): \(what)")
  }

  func cluster(
    _ tasks: [KernelTask], seconds: [Double], ranks: Int, transport: ProcessorTransport?,
    crowdedTransport: ProcessorTransport? = nil
  ) -> Cluster {
    var products: [ProductKey: [ProductMeasurement]] = [:]
    var attention: [Bool: [AttentionSpeed]] = [:]
    var passes: [PassKey: [PassSpeed]] = [:]
    for (task, seconds) in zip(tasks, seconds) {
      switch task.shape {
      case .product(let kind, let pass, let rows, let columns, let depth):
        let flops = 2 * Double(rows) * Double(columns) * Double(depth)
        products[ProductKey(kind: kind, pass: pass), default: []].append(
          ProductMeasurement(
            rows: Double(rows), columns: columns, depth: Double(depth),
            rate: rounded(FLOPsPerSecond(flops / seconds)), multiprocessors: 1))
      case .attention(let isBackward, let sequence, let dimension):
        let kernel = FusedAttention(
          sequences: 1, queries: sequence, keys: sequence, queryHeads: 1, keyValueHeads: 1,
          queryKeyDimension: dimension, valueDimension: dimension, isCausal: true, isBackward: isBackward,
          format: .float32)
        attention[isBackward, default: []].append(
          AttentionSpeed(
            sequence: sequence, dimension: dimension,
            rate: rounded(FLOPsPerSecond(kernel.flops.value / seconds))))
      case .memoryPass(let kind, let pass, let bytes):
        passes[PassKey(kind: kind, pass: pass), default: []].append(
          PassSpeed(bytes: Bytes(rounding: bytes), rate: rounded(BytesPerSecond(bytes / seconds))))
      }
    }
    let host = Host(
      processors: sourced(machine.processors, "processors that the ranks may run on"),
      memory: sourced(machine.memory, "/proc/meminfo"), transport: transport,
      crowdedTransport: crowdedTransport)
    let fastest = products.values.joined().map(\.rate).max() ?? FLOPsPerSecond(1)
    let copy = passes[PassKey(kind: .copy, pass: .forward)]?.last?.rate ?? BytesPerSecond(1)
    let processor = GPU(
      processor: machine.processor, peak: sourced(fastest, "the fastest product of the tables"),
      memory: host.memory(ofOneOf: ranks), memoryBandwidth: sourced(copy, "the longest copy of the tables"),
      kernels: ProcessorKernels(
        products: Operators.MatrixProduct.Kind.allCases.flatMap { kind in
          Pass.allCases.compactMap { pass in
            products[ProductKey(kind: kind, pass: pass)].flatMap { rows in
              let what = kind == .grouped ? "uneven numbers of tokens, " : ""
              return ProductSpeeds(
                kind: kind, pass: pass, table: table(rows, "sgemm, \(pass.name), \(what)weights out of cache")
              )
            }
          }
        },
        attention: [false, true].compactMap { isBackward in
          AttentionSpeeds(
            isBackward: isBackward,
            table: table(attention[isBackward] ?? [], "causal attention of one head of one sequence"))
        },
        passes: MemoryPass.Kind.allCases.flatMap { kind in
          Pass.allCases.compactMap { pass in
            passes[PassKey(kind: kind, pass: pass)].map { rows in
              PassSpeeds(kind: kind, pass: pass, table: table(rows, "\(kind.rawValue) kernel"))
            }
          }
        }))
    return Cluster(
      name: name, description: "\(ranks) rank\(ranks == 1 ? "" : "s") on \(machine.processors) processors",
      processor: processor, ranks: sourced(ranks, "ranks that were measured"), host: host)
  }

  private struct ProductKey: Hashable {
    var kind: Operators.MatrixProduct.Kind
    var pass: Pass
  }

  private struct PassKey: Hashable {
    var kind: MemoryPass.Kind
    var pass: Pass
  }
}

/// A measured amount with as many digits as the measurement is good for.
private func rounded<Amount: Measure>(_ amount: Amount) -> Amount {
  let scale = pow(10, 3 - log10(amount.value).rounded(.down))
  return Amount((amount.value * scale).rounded() / scale)
}
