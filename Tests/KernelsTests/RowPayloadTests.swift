import TestSupport
import Testing

@testable import Kernels

@Suite struct BFloat16Tests {
  @Test func `numbers become the nearest, ties to even`() {
    #expect(BFloat16.encode(1) == 0x3f80)
    #expect(BFloat16.encode(1 + 0x1p-8) == 0x3f80)
    #expect(BFloat16.encode(1 + 0x1p-8 + 0x1p-23) == 0x3f81)
    #expect(BFloat16.encode(1 + 0x1.8p-7) == 0x3f82)
    #expect(BFloat16.encode(-0.0) == 0x8000)
    #expect(BFloat16.encode(.infinity) == 0x7f80)
    #expect(BFloat16.encode(.greatestFiniteMagnitude) == 0x7f80)
    #expect(BFloat16.encode(Float(bitPattern: 1)) == 0)
  }

  @Test func `every code is the code of its own value, and NaN stays NaN`() {
    let codes = (0...UInt16.max).map { $0 }
    var values = [Float](repeating: 0, count: codes.count)
    BFloat16.decode(codes, count: codes.count, into: &values)
    var again = [UInt16](repeating: 0, count: codes.count)
    BFloat16.encode(values, count: codes.count, into: &again)
    for code in codes {
      let value = values[Int(code)]
      #expect(value.isNaN ? BFloat16.decode(again[Int(code)]).isNaN : again[Int(code)] == code)
    }
    #expect(BFloat16.decode(BFloat16.encode(Float(bitPattern: 0x7f80_0001))).isNaN)
    #expect(BFloat16.decode(BFloat16.encode(Float(bitPattern: 0xffff_ffff))).isNaN)
  }

  @Test func `rounding moves no number by more than half a place`() {
    var generator = SeededGenerator(seed: 3)
    for x in generator.floats(5000, scale: 100) {
      let value = BFloat16.decode(BFloat16.encode(x))
      #expect(abs(value - x) <= abs(value.binade) * 0x1p-8)
    }
  }
}

@Suite struct RowPayloadTests {
  @Test func `a row takes the bytes that DeepEP sends`() {
    #expect(RowPayload.float8.bytesPerRow(7168) == 7168 * 132 / 128)
    #expect(RowPayload.float8.bytesPerRow(130) == 130 + 8)
    #expect(RowPayload.bfloat16.bytesPerRow(7168) == 14336)
    #expect(RowPayload.float32.bytesPerRow(10) == 40)
  }

  @Test(arguments: RowPayload.allCases)
  func `rows arrive as their format keeps them`(payload: RowPayload) {
    for seed in 0..<30 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let (rows, width) = (generator.pick(0...9), generator.pick(1...300))
      let source = generator.floats(12 * width, scale: 10)
      let indices: [Int32]? =
        generator.chance(2) ? (0..<rows).map { _ in Int32(generator.below(12)) } : nil
      // Room for something else between the rows.
      let stride = payload.bytesPerRow(width) + 8 * generator.below(3)
      var bytes = [UInt8](repeating: 0xee, count: rows * stride)
      bytes.withUnsafeMutableBytes { buffer in
        guard let start = buffer.baseAddress else { return }
        if let indices {
          payload.pack(source, gathering: indices, rows: rows, width: width, into: start, stride: stride)
        } else {
          payload.pack(source, rows: rows, width: width, into: start, stride: stride)
        }
      }
      var arrived = [Float](repeating: .nan, count: rows * width)
      bytes.withUnsafeBytes { buffer in
        guard let start = buffer.baseAddress else { return }
        payload.unpack(start, stride: stride, rows: rows, width: width, into: &arrived)
      }
      for row in 0..<rows {
        let sent = Array(source[(indices.map { Int($0[row]) } ?? row) * width..<12 * width].prefix(width))
        var expected = sent
        switch payload {
        case .float32: break
        case .bfloat16: expected = sent.map { BFloat16.decode(BFloat16.encode($0)) }
        case .float8: Float8.roundRows(sent, rows: 1, width: width, into: &expected)
        }
        #expect(Array(arrived[row * width..<(row + 1) * width]) == expected)
        #expect(
          bytes[row * stride + payload.bytesPerRow(width)..<(row + 1) * stride].allSatisfy { $0 == 0xee })
      }
    }
  }
}
