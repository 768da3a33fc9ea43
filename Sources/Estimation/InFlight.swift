import Plans
import Schedules

extension SimulatedStep {
  /// Micro-batches that each stage of a pipeline rank holds at the moment when the rank's activations are largest.
  ///
  /// Counted from the order itself. A micro-batch is held from its forward to its weight gradient; of the moments, the
  /// one with most bytes counts, because the stages of a rank differ in size.
  /// - Complexity: O(slots × parts + tasks).
  func inFlight() -> InFlight {
    InFlight(
      counts: (0..<order.ranks).map { rank in
        let weights = savedBytes(ofPipelineRank: rank)
        var held = Array(repeating: 0, count: order.parts)
        var fullest = held
        var most = 0.0
        for slot in order.slots[rank] {
          slot.forEachChunk { chunk in
            switch chunk.pass {
            case .forward: held[chunk.part] += 1
            case .backward, .backwardWeight: held[chunk.part] -= 1
            case .backwardInput: break
            }
            let bytes = zip(held, weights).reduce(0) { $0 + Double($1.0) * $1.1 }
            if bytes > most { (most, fullest) = (bytes, held) }
          }
        }
        return fullest
      })
  }

  /// Bytes that one micro-batch leaves on each part of a rank; one byte each where the program does not say.
  private func savedBytes(ofPipelineRank rank: Int) -> [Double] {
    var bytes = Array(repeating: Int64(0), count: order.parts)
    let code = program.program.codes[rank]
    for task in 0..<code.count where code.memory[task] > 0 {
      guard let forward = code.slots[Int(code.slot[task])].forward else { continue }
      bytes[Int(forward.part)] = max(bytes[Int(forward.part)], code.memory[task])
    }
    return bytes.map { Double(max(1, $0)) }
  }
}
