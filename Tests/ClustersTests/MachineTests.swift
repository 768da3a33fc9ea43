import Documents
import Foundation
import Operators
import Testing
import Units

@testable import Clusters

private let machine = """
  name: machine
  ranks: {value: 8, tag: measured, source: test}
  processor:
    name: test
    count: {value: 2, tag: measured, source: test}
    memory: {value: 16 GiB, tag: measured, source: test}
    memory_bandwidth: {value: 10 GB/s, tag: measured, source: test}
    peak: {value: 100 GFLOPS, tag: measured, source: test}
    products:
      - kind: dense
        pass: forward
        source: test
        tag: measured
        rows:
          - {rows: 1, columns: 16, depth: 16, rate: 1 GFLOPS}
          - {rows: 1, columns: 256, depth: 16, rate: 4 GFLOPS}
          - {rows: 64, columns: 16, depth: 16, rate: 16 GFLOPS}
          - {rows: 64, columns: 256, depth: 16, rate: 64 GFLOPS}
    attention:
      - {backward: false, source: test, tag: measured, rows: [{sequence: 64, dimension: 32, rate: 8 GFLOPS}]}
    passes:
      - {kind: copy, pass: forward, source: test, tag: measured, rows: [{bytes: 1000 B, rate: 4 GB/s}, {bytes: 100000 B, rate: 16 GB/s}]}
  transport:
    messages: {source: test, tag: measured, rows: [{bytes: 8 B, time: 2 us, processor_time: 1 us}, {bytes: 800 B, time: 8 us, processor_time: 4 us}]}
    all_to_all: {source: test, tag: measured, rows: [{ranks: 2, bytes: 100 B, processor_time: 3 us}, {ranks: 8, bytes: 100 B, processor_time: 12 us}]}
  """

private func read(_ text: String = machine) throws -> Cluster {
  try Cluster(parseYAML(Data(text.utf8), file: "machine.yaml")) { throw $0.error("no GPU") }
}

private func close(_ span: Span?, _ microseconds: Double) -> Bool {
  abs((span?.microseconds ?? .nan) / microseconds - 1) < 1e-6
}

@Suite struct `A machine whose ranks share processors` {
  @Test func `has as many GPUs as ranks, and divides its memory among them`() throws {
    let cluster = try read()
    #expect(cluster.gpus == 8 && cluster.nodes.value == 1 && cluster.host?.processors.value == 2)
    #expect(cluster.gpu.memory.value == Bytes(2 << 30))
    let four = cluster.withRanks(4)
    #expect(four.gpus == 4 && four.gpu.memory.value == Bytes(4 << 30) && four.host == cluster.host)
    #expect(cluster.withRanks(8) == cluster)
  }

  @Test func `times products at the rates measured, and by logarithms in between`() throws {
    let kernels = try #require(try read().gpu.kernels.processor)
    func time(_ rows: Double, _ columns: Int, _ depth: Double = 16) -> Span? {
      kernels.duration(
        of: MatrixProduct(rows: rows, columns: columns, depth: depth, format: .float32), during: .forward)
    }
    #expect(close(time(1, 16), 2 * 256 / 1e3))
    #expect(close(time(64, 256), 2 * 64 * 256 * 16 / 64e3))
    // Half the way from 1 to 64 and from 16 to 256: the geometric mean of all four.
    #expect(close(time(8, 64), 2 * 8 * 64 * 16 / 8e3))
    // Beyond the grid the rate is held.
    #expect(close(time(128, 256, 32), 2 * 128 * 256 * 32 / 64e3))
    #expect(close(time(0.5, 16), 256 / 1e3))
  }

  @Test func `times what was not measured as the nearest thing that was`() throws {
    let kernels = try #require(try read().gpu.kernels.processor)
    let product = MatrixProduct(.grouped, rows: 64, columns: 16, depth: 16, count: 3, format: .float32)
    #expect(close(kernels.duration(of: product, during: .inputGradient), 3 * 2 * 64 * 256 / 16e3))
    #expect(
      close(
        kernels.duration(of: MemoryPass(.norm, bytesRead: 500, bytesWritten: 500), during: .forward), 0.25))
    #expect(
      close(kernels.duration(of: MemoryPass(bytesRead: 5000, bytesWritten: 5000), during: .forward), 1.25))
    #expect(kernels.duration(of: MemoryPass(bytesRead: 0, bytesWritten: 0), during: .forward) == .zero)
    var attention = FusedAttention(
      sequences: 1, queries: 64, keys: 64, queryHeads: 2, keyValueHeads: 2, queryKeyDimension: 40,
      valueDimension: 24, isCausal: true, isBackward: false, format: .float32)
    #expect(close(kernels.duration(of: attention), attention.flops.value / 8e3))
    attention.isBackward = true
    #expect(kernels.duration(of: attention) == nil)
  }

  @Test func `times messages and exchanges by size, growing with it beyond the largest`() throws {
    let transport = try #require(try read().host?.transport)
    #expect(close(transport.message(8).time, 2) && transport.message(8).processorShare == 0.5)
    #expect(close(transport.message(80).time, 4) && close(transport.message(1600).time, 16))
    #expect(close(transport.message(1).time, 2))
    #expect(
      close(transport.allToAll(ranks: 2, bytes: 100), 3) && close(transport.allToAll(ranks: 4, bytes: 50), 6))
    #expect(close(transport.allToAll(ranks: 8, bytes: 300), 36))
    // Twice as many peers as were measured.
    #expect(
      close(transport.allToAll(ranks: 15, bytes: 100), 24) && transport.allToAll(ranks: 1, bytes: 9) == .zero)
  }

  @Test(arguments: [
    ("rate: 16 GFLOPS", "rate: 16 GB/s", "processor.products[0].rows[2].rate", "unknown unit"),
    ("rows: 64, columns: 16,", "rows: 32, columns: 16,", "processor.products[0].rows", "no grid"),
    ("pass: forward\n", "pass: forwards\n", "processor.products[0].pass", "unknown choice"),
    ("kind: copy", "kind: copies", "processor.passes[0].kind", "unknown choice"),
    ("bytes: 100000 B", "bytes: 1000 B", "processor.passes[0].rows", "twice"),
    ("count: {value: 2,", "count: {value: 0,", "processor.count.value", "out of range"),
    ("ranks: 2, bytes", "ranks: 1, bytes", "transport.all_to_all.rows[0].ranks", "out of range"),
    ("name: machine", "gpu: h800\nname: machine", "gpu", "unknown key"),
    ("tag: measured, source: test}\n  memory:", "source: test}\n  memory:", "processor.count.tag", "missing"),
  ])
  func `is refused where a value is spoiled`(
    found: String, replacement: String, path: String, problem: String
  ) throws {
    let range = try #require(machine.range(of: found))
    let error = try #require(throws: Diagnostic.self) {
      try read(machine.replacingCharacters(in: range, with: replacement))
    }
    #expect(error.path == path && error.description.contains(problem), "\(error)")
  }
}
