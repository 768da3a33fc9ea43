import Operators
import Testing

@Suite struct `Matrix products` {
  @Test func `work is two operations for each element of depth`() {
    let product = MatrixProduct(rows: 3, columns: 5, depth: 7, count: 2, format: .bfloat16)
    var multiplyAdds = 0
    for _ in 0..<2 { for _ in 0..<3 { for _ in 0..<5 { for _ in 0..<7 { multiplyAdds += 1 } } } }
    #expect(product.flops.value == Double(2 * multiplyAdds))
  }

  @Test func `reads both operands and writes the product in bfloat16`() {
    let product = MatrixProduct(rows: 3, columns: 5, depth: 7, format: .bfloat16)
    #expect(product.bytesRead == (3 * 7 + 7 * 5) * 2)
    #expect(product.bytesWritten == 3 * 5 * 2)
  }

  @Test func `a weight gradient reads and writes its float32 accumulators`() {
    let plain = MatrixProduct(rows: 3, columns: 5, depth: 7, format: .bfloat16)
    let gradient = MatrixProduct(.weightGradient, rows: 3, columns: 5, depth: 7, format: .bfloat16)
    #expect(gradient.bytesRead - plain.bytesRead == 3 * 5 * 4)
    #expect(gradient.bytesWritten == 3 * 5 * 4)
    #expect(gradient.flops == plain.flops)
  }

  @Test func `a grouped product is as many products of the average rows`() {
    let one = MatrixProduct(.grouped, rows: 10.5, columns: 4, depth: 8, format: .float8)
    let four = MatrixProduct(.grouped, rows: 10.5, columns: 4, depth: 8, count: 4, format: .float8)
    #expect(four.flops.value == one.flops.value * 4)
    #expect(four.bytesRead == one.bytesRead * 4)
    #expect(four.bytesWritten == one.bytesWritten * 4)
  }
}

@Suite struct `Fused attention` {
  private func attention(causal: Bool, backward: Bool) -> FusedAttention {
    FusedAttention(
      sequences: 2, queries: 16, keys: 32, queryHeads: 4, keyValueHeads: 2, queryKeyDimension: 6,
      valueDimension: 4,
      isCausal: causal, isBackward: backward, format: .bfloat16)
  }

  @Test func `causal attention counts half the scores`() {
    for backward in [false, true] {
      #expect(
        attention(causal: true, backward: backward).flops.value * 2
          == attention(causal: false, backward: backward).flops.value)
    }
  }

  @Test func `forward is two products and backward five`() {
    let product = { (width: Int) in Double(2 * 2 * 4 * 16 * 32 * width) }
    #expect(attention(causal: false, backward: false).flops.value == product(6) + product(4))
    #expect(
      attention(causal: false, backward: true).flops.value == product(6) * 3 + product(4) * 2)
  }

  @Test func `forward reads queries keys and values and never the scores`() {
    let forward = attention(causal: true, backward: false)
    #expect(forward.bytesRead == Double(2 * (16 * 4 * 6 + 32 * 2 * 10) * 2))
    #expect(forward.bytesWritten == Double(2 * 16 * 4 * 4 * 2))
  }

  @Test func `backward writes a gradient for all that forward read`() {
    let forward = attention(causal: true, backward: false)
    let backward = attention(causal: true, backward: true)
    #expect(backward.bytesWritten == forward.bytesRead)
    #expect(backward.bytesRead == forward.bytesRead + 2 * forward.bytesWritten)
  }
}

@Suite struct `Kernels and operators` {
  @Test func `a memory pass has no work`() {
    let kernel = Kernel.memoryPass(MemoryPass(bytesRead: 10, bytesWritten: 20))
    #expect(kernel.flops.value == 0)
    #expect(kernel.bytesRead == 10)
    #expect(kernel.bytesWritten == 20)
  }

  @Test func `an operator hands out the kernels of each pass`() {
    let kernels = (1...3).map { Kernel.memoryPass(MemoryPass(bytesRead: Double($0), bytesWritten: 0)) }
    let step = Operator(
      name: "x", component: .head, forward: [kernels[0]], inputGradient: [kernels[1]],
      weightGradient: [kernels[2]])
    #expect(Pass.allCases.map { step.kernels($0) } == kernels.map { [$0] })
  }

  @Test func `tile scales make an FP8 element a little larger than a byte`() {
    #expect(Format.float8.bytesPerElement * 128 == 132)
  }
}
