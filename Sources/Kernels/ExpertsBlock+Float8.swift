import CKernels

/// The three passes with every product in E4M3, as `Float8Product` computes it.
///
/// Rows are quantised as they are multiplied: the weighted output gradient, not the plain one. That is why the
/// gradients of the weights come from the outputs, which `saved` holds behind the rest.
extension ExpertsBlock {
  private var inward: Float8Product { Float8Product(inputs: hidden, outputs: intermediate) }
  private var outward: Float8Product { Float8Product(inputs: intermediate, outputs: hidden) }

  private func productScratch(
    _ scratch: UnsafeMutablePointer<Float>, _ rows: ExpertRows
  ) -> UnsafeMutablePointer<Float> {
    scratch + Int(rows.offsets[experts]) * (hidden + intermediate)
  }

  func forwardFloat8(
    rows: ExpertRows, input: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    output: UnsafeMutablePointer<Float>
  ) {
    let all = Int(rows.offsets[experts]) * intermediate
    let product = productScratch(scratch, rows)
    forEachExpert(rows) { expert, range in
      guard !range.isEmpty else { return }
      let x = gathered(input, rows, range, scratch)
      let weights = matrices(parameters, expert)
      let gate = saved + range.lowerBound * intermediate
      let y = output + range.lowerBound * hidden
      inward.forward(x, weight: weights.gate, rows: range.count, into: gate, scratch: product)
      inward.forward(x, weight: weights.up, rows: range.count, into: gate + all, scratch: product)
      ck_swiglu(gate, gate + all, gate + 2 * all, range.count * intermediate)
      outward.forward(gate + 2 * all, weight: weights.down, rows: range.count, into: y, scratch: product)
      (saved + 3 * all + range.lowerBound * hidden).update(from: y, count: range.count * hidden)
    }
  }

  func inputGradientFloat8(
    rows: ExpertRows, outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    weightGradients: UnsafeMutablePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>
  ) {
    let count = Int(rows.offsets[experts])
    let all = count * intermediate
    let product = productScratch(scratch, rows)
    forEachExpert(rows) { expert, range in
      guard !range.isEmpty else { return }
      if let weightGradients {
        for row in range {
          let source = rows.sources.map { Int($0[row]) } ?? row
          weightGradients[row] = ck_dot(
            outputGradient + source * hidden, saved + 3 * all + row * hidden, hidden)
        }
      }
      let dy = weighted(outputGradient, rows, range, scratch)
      let weights = matrices(parameters, expert)
      let gate = saved + range.lowerBound * intermediate
      let dh = scratch + count * hidden + range.lowerBound * intermediate
      let dx = inputGradient + range.lowerBound * hidden
      outward.inputGradient(dy, weight: weights.down, rows: range.count, into: dh, scratch: product)
      ck_swiglu_gradient(gate, gate + all, dh, gate, gate + all, range.count * intermediate)
      inward.inputGradient(gate, weight: weights.gate, rows: range.count, into: dx, scratch: product)
      inward.inputGradient(
        gate + all, weight: weights.up, rows: range.count, into: dx, accumulate: true, scratch: product)
    }
  }

  func weightGradientFloat8(
    rows: ExpertRows, input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    saved: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    let all = Int(rows.offsets[experts]) * intermediate
    let product = productScratch(scratch, rows)
    for expert in 0..<experts {
      let range = Int(rows.offsets[expert])..<Int(rows.offsets[expert + 1])
      let results = matrices(gradients, expert)
      let x = gathered(input, rows, range, scratch)
      let gate = saved + range.lowerBound * intermediate
      inward.weightGradient(
        gate, x, rows: range.count, into: results.gate, accumulate: accumulate, scratch: product)
      inward.weightGradient(
        gate + all, x, rows: range.count, into: results.up, accumulate: accumulate, scratch: product)
      let dy = weighted(outputGradient, rows, range, scratch)
      outward.weightGradient(
        dy, gate + 2 * all, rows: range.count, into: results.down, accumulate: accumulate, scratch: product)
    }
  }
}
