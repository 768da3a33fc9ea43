import Documents
import Foundation
import Operators
import TestSupport
import Testing
import Units

@testable import Clusters

private func gpu(_ name: String) throws -> GPU {
  let folder = try #require(topologiesFolder)
  return try GPU(readDocument(at: folder.appendingPathComponent("gpus/\(name).yaml").path).root)
}

@Suite struct `Kernel calibration` {
  @Test(arguments: ["h800", "h100", "a100"])
  func `the fit repeats the constants in the file from the tables in the file`(name: String) throws {
    let gpu = try gpu(name)
    var derived = 0
    for product in gpu.kernels.products where product.sustained.tag == .derived {
      let peak = try #require(gpu.peak(product.format)).value
      let fit = try #require(
        product.fitted(
          peak: peak, of: gpu.streamingMultiprocessors.value, memoryBandwidth: gpu.memoryBandwidth.value))
      #expect(abs(fit.sustained / product.sustained.value.value - 1) < 0.01, "\(name) \(product.kind)")
      #expect(
        abs(fit.depthOverhead / product.depthOverhead.value.value - 1) < 0.01, "\(name) \(product.kind)")
      #expect(fit.worstError < 0.12)
      derived += 1
    }
    #expect(derived >= 2)
  }

  /// Source: DeepGEMM README at a6d97a1; rows of 4,096 tokens and all grouped rows.
  @Test func `DeepGEMM's rows are predicted within 8 percent`() throws {
    let gpu = try gpu("h800")
    var worst = 0.0
    var rows = 0
    for kind in [MatrixProduct.Kind.dense, .grouped] {
      let calibration = try #require(gpu.kernels.product(kind, .float8))
      for row in calibration.tables.flatMap(\.rows) where row.rows >= 4096 {
        let predicted = try #require(gpu.duration(of: row.product(kind, .float8)))
        worst = max(worst, abs(predicted.seconds / row.duration.seconds - 1))
        rows += 1
      }
    }
    #expect(rows == 10)
    #expect(worst < 0.08)
  }

  /// The recorded training kernels were not fitted; they are of another library version and ran beside communication.
  @Test func `kernels of the recorded training step are predicted within 20 percent, 6 on average`() throws {
    let gpu = try gpu("h800")
    var errors: [Double] = []
    for calibration in gpu.kernels.products {
      for row in calibration.checks.flatMap(\.rows) {
        let product = row.product(calibration.kind, calibration.format)
        let predicted = try #require(
          gpu.duration(of: product, multiprocessors: row.multiprocessors, overlapped: true))
        errors.append(predicted.seconds / row.duration.seconds - 1)
      }
    }
    #expect(errors.count == 22)
    #expect(errors.allSatisfy { abs($0) < 0.20 })
    #expect(errors.reduce(0) { $0 + abs($1) } / Double(errors.count) < 0.06)
  }

  /// Decode-sized products are bound by memory; the model may be slower there, never faster by much.
  @Test func `DeepGEMM's small rows are not predicted faster than memory allows`() throws {
    let gpu = try gpu("h800")
    let calibration = try #require(gpu.kernels.product(.dense, .float8))
    for row in calibration.tables[0].rows where row.rows < 4096 {
      let predicted = try #require(gpu.duration(of: row.product(.dense, .float8)))
      #expect(predicted.seconds > 0.8 * row.duration.seconds)
    }
  }

  @Test(arguments: ["h800", "h100", "a100"])
  func `measured products of every GPU are predicted within 12 percent`(name: String) throws {
    let gpu = try gpu(name)
    for calibration in gpu.kernels.products {
      for table in calibration.tables where table.use == .speed {
        for row in table.rows where row.rows >= 512 {
          let product = row.product(calibration.kind, calibration.format)
          let predicted = try #require(
            gpu.duration(
              of: product, multiprocessors: row.multiprocessors, overlapped: table.isBesideCommunication))
          #expect(abs(predicted.seconds / row.duration.seconds - 1) < 0.12, "\(name) \(row)")
        }
      }
    }
  }

  @Test(arguments: ["h800", "h100", "a100"])
  func `no product is predicted faster than the fastest that anyone found`(name: String) throws {
    let gpu = try gpu(name)
    var rows = 0
    for calibration in gpu.kernels.products {
      for row in calibration.tables.filter({ $0.use == .bound }).flatMap(\.rows) {
        let product = row.product(calibration.kind, calibration.format)
        let predicted = try #require(gpu.duration(of: product, multiprocessors: row.multiprocessors))
        #expect(predicted.seconds >= row.duration.seconds, "\(name) \(row)")
        rows += 1
      }
    }
    #expect(rows >= 2)
  }

  @Test(arguments: ["h800", "a100"])
  func `the shares of memory bandwidth are the tables' bytes over time`(name: String) throws {
    let gpu = try gpu(name)
    let pass = gpu.kernels.memoryPass
    func share(_ rows: [MemoryPassMeasurement]) -> Double {
      let bytes = rows.reduce(0.0) { $0 + Double($1.bytes.count) }
      let seconds = rows.reduce(0.0) { $0 + $1.duration.seconds }
      return bytes / seconds / gpu.memoryBandwidth.value.value
    }
    if name == "h800" {
      #expect(abs(share(pass.tables[0].rows) / pass.share.value.value - 1) < 0.01)
      #expect(abs(share(pass.tables[1].rows) / pass.overlappedShare.value.value - 1) < 0.01)
    } else {
      #expect(abs(share(pass.tables.flatMap(\.rows)) / pass.share.value.value - 1) < 0.01)
    }
  }

  @Test func `fewer multiprocessors never make a product faster`() throws {
    let gpu = try gpu("h800")
    var random = SeededGenerator(seed: 7)
    for _ in 0..<500 {
      let product = MatrixProduct(
        rows: Double(random.pick(1...9000)), columns: random.pick(1...9000),
        depth: Double(random.pick(1...9000)),
        format: .float8)
      let most = random.pick(1...132)
      let fewer = random.pick(1...most)
      let slow = try #require(gpu.duration(of: product, multiprocessors: fewer))
      let fast = try #require(gpu.duration(of: product, multiprocessors: most))
      #expect(slow >= fast)
      let peak = try #require(gpu.peak(.float8)).value
      #expect(fast > product.flops / peak)
    }
  }

  /// The tile model, written out plainly for one case.
  @Test func `one wave of tiles costs one tile`() throws {
    let calibration = ProductCalibration(
      kind: .dense, format: .bfloat16, sustained: Sourced(Ratio(0.5), tag: .assumed, source: "test"),
      depthOverhead: Sourced(Ratio(100), tag: .assumed, source: "test"),
      overlapSlowdown: Sourced(Ratio(1.25), tag: .assumed, source: "test"),
      tiles: [.init(rows: 128, columns: 128)])
    func duration(_ rows: Int, _ columns: Int, count: Int = 1, overlapped: Bool = false) -> Span {
      calibration.duration(
        of: MatrixProduct(rows: Double(rows), columns: columns, depth: 900, count: count, format: .bfloat16),
        multiprocessors: 8, of: 10, peak: FLOPsPerSecond(1e12), bandwidth: BytesPerSecond(1e15),
        overlapped: overlapped)
    }
    let tile = Span(seconds: 2 * 128 * 128 * 1000 / (0.5 * 1e12 / 10))
    #expect(duration(128, 128) == tile)
    #expect(duration(1, 1) == tile)
    #expect(duration(128, 8 * 128) == tile)
    #expect(duration(128, 8 * 128 + 1) == tile * 2)
    #expect(duration(128, 128, count: 17) == tile * 3)
    #expect(duration(128, 128, overlapped: true) == tile.scaled(by: 1.25))
  }

  @Test func `a format without tensor cores has no duration`() throws {
    let product = MatrixProduct(rows: 4096, columns: 4096, depth: 4096, format: .float8)
    #expect(try gpu("a100").duration(of: product) == nil)
    #expect(try gpu("h100").duration(of: product) != nil)
  }

  @Test func `an unmeasured kind is timed as a dense product`() throws {
    let gpu = try gpu("a100")
    #expect(gpu.kernels.product(.grouped, .bfloat16)?.kind == .dense)
  }
}

@Suite struct `Attention rates` {
  private func attention(_ keys: Int, _ qk: Int, _ v: Int, causal: Bool = true, backward: Bool = false)
    -> FusedAttention
  {
    FusedAttention(
      sequences: 1, queries: keys, keys: keys, queryHeads: 128, keyValueHeads: 128, queryKeyDimension: qk,
      valueDimension: v, isCausal: causal, isBackward: backward, format: .bfloat16)
  }

  @Test func `latent attention of the recorded trace takes its recorded time`() throws {
    let gpu = try gpu("h800")
    let forward = attention(4096, 192, 128)
    let rate = try #require(gpu.attentionRate(forward, multiprocessors: 112))
    #expect(rate.tag == .measured)
    #expect(abs((forward.flops / rate.value).milliseconds - 1.237) < 0.002)
    let backward = attention(4096, 192, 128, backward: true)
    let backwardRate = try #require(gpu.attentionRate(backward, multiprocessors: 112))
    #expect(abs((backward.flops / backwardRate.value).milliseconds - 4.254) < 0.005)
  }

  @Test func `between measured lengths the rate lies between the measured rates, and beyond them it is held`()
    throws
  {
    let gpu = try gpu("h100")
    func rate(_ keys: Int) throws -> Double {
      try #require(gpu.attentionRate(attention(keys, 128, 128))).value.value
    }
    #expect(try rate(2048) == 484e12)
    #expect(try rate(3000) > 484e12 && rate(3000) < 518e12)
    #expect(try rate(100) == 315e12)
    #expect(try rate(131_072) == 539e12)
  }

  @Test func `an attention of another shape takes the nearest measured one`() throws {
    let gpu = try gpu("a100")
    let rate = try #require(gpu.attentionRate(attention(1024, 96, 96, causal: false)))
    #expect(rate.value == FLOPsPerSecond(179.1e12))
  }
}

@Suite struct `All-to-all calibration` {
  /// Source: DeepEP README, first release; kernels of 4,096 tokens of 7,168 elements.
  @Test func `the rates give back the cells they come from, and EP32 within 8 %`() throws {
    let calibration = try #require(try resolveCluster("h800-2048").cluster.allToAll)
    for row in calibration.table.rows {
      let remoteNodes =
        row.expertParallel == 8
        ? 0
        : row.meanNodes * Double(row.expertParallel / 8 - 1)
          / Double(row.expertParallel / 8)
      for (direction, bytes, published) in [
        (calibration.dispatch, 7392.0, row.dispatch), (calibration.combine, 14336.0, row.combine),
      ] {
        let copies = row.expertParallel == 8 ? row.meanRanks : row.meanNodes
        let time = 4096 * copies * bytes / published.value
        let predicted = direction.duration(
          nicBytes: 4096 * remoteNodes * bytes, nodeBytes: 4096 * row.meanNodes * bytes,
          nvlinkBytes: 4096 * row.meanRanks * bytes)
        let limit = row.expertParallel == 32 ? 0.08 : 0.02
        #expect(abs(predicted.seconds / time - 1) < limit, "EP\(row.expertParallel)")
      }
    }
  }
}
