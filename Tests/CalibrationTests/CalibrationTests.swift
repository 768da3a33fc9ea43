import Clusters
import Documents
import Execution
import Foundation
import Operators
import Testing
import Units

@testable import Calibration

/// A few shapes, measured once for all tests.
private let small = KernelTask.Grid(
  rows: [1, 32], widths: [16, 64], sequences: [16, 64], dimensions: [16, 32], passBytes: [1 << 14])

private func calibration() -> Calibration {
  Calibration(
    machine: Machine(processor: "a \"test\" processor", processors: 2, memory: Bytes(1 << 33)),
    occasion: "test: today")
}

/// A measured machine as a user gets it: written and read again.
private func reread(_ cluster: Cluster) throws -> Cluster {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).yaml").path
  defer { try? FileManager.default.removeItem(atPath: path) }
  try writeFile(Data(machineText(cluster).utf8), to: path)
  return try readCluster(at: path).cluster
}

@Suite struct `A calibrated machine` {
  @Test func `is read back as it was written`() throws {
    let measured = try #require(try calibration().run(nil, grid: small))
    let once = try reread(measured)
    #expect(try reread(once) == once)
    #expect(once.gpu.name == measured.gpu.name && once.host?.processors.value == 2)
    #expect(once.host?.transport == nil && once.gpus == 1)
  }

  @Test func `says of every number when and how it was measured`() throws {
    let cluster = try #require(try calibration().run(nil, grid: small))
    let kernels = try #require(cluster.gpu.kernels.processor)
    #expect(
      kernels.products.allSatisfy { $0.table.tag == .measured && $0.table.source.hasPrefix("test: today") })
    #expect(
      kernels.passes.allSatisfy { $0.table.tag == .measured && $0.table.source.hasPrefix("test: today") })
    #expect(kernels.attention.allSatisfy { $0.table.source.hasPrefix("test: today") })
    #expect(cluster.gpu.peaks[0].rate.tag == .measured)
  }

  @Test func `has every kind of pass that a float32 model on one rank asks for`() throws {
    let cluster = try #require(try calibration().run(nil, grid: small))
    let kinds = Set(try #require(cluster.gpu.kernels.processor).passes.map(\.kind))
    #expect(
      kinds.isSuperset(of: [.copy, .norm, .activation, .rotary, .loss, .router, .embedding, .optimizer]))
  }

  @Test func `knows messages and exchanges where ranks measured them together`() throws {
    let clusters = try LoopbackWorld.run(ranks: 4) { transport in
      try calibration().run(transport, grid: small)
    }
    let cluster = try #require(clusters[0])
    #expect(clusters.dropFirst().allSatisfy { $0 == nil })
    let transport = try #require(try reread(cluster).host?.transport)
    #expect(transport.messages.rows.map(\.bytes.count) == TransportMeasurement.messageSizes.map(Int64.init))
    // Of the four ranks only two have a processor each; all four are measured as they share them.
    #expect(Set(transport.allToAlls.rows.map(\.ranks)) == [2])
    let crowded = try #require(try reread(cluster).host?.crowdedTransport)
    #expect(crowded.messages.rows.map(\.bytes.count) == TransportMeasurement.messageSizes.map(Int64.init))
    #expect(Set(crowded.allToAlls.rows.map(\.ranks)) == [2, 4])
    #expect(cluster.gpus == 4)
  }
}
