import Documents
import Foundation
import Schedules
import TestSupport
import Units

func picoseconds(_ count: Int) -> Span { Span(picoseconds: Int64(count)) }

/// Chunk times between 1 and 60 ps, a pair between its longer half and a fifth above the sum of its halves.
func drawTimes(_ random: inout SeededGenerator) -> UniformTimes {
  let forward = Int.random(in: 1...60, using: &random)
  let input = Int.random(in: 1...60, using: &random)
  let weight = Int.random(in: 1...60, using: &random)
  let pair = Int.random(
    in: max(forward, input + weight)...(forward + input + weight) * 6 / 5, using: &random)
  return UniformTimes(
    forward: picoseconds(forward), backwardInput: picoseconds(input), backwardWeight: picoseconds(weight),
    overlapped: picoseconds(pair))
}

/// One legal order of every published schedule, of random size.
func drawOrders(_ random: inout SeededGenerator) throws -> [PipelineOrder] {
  let ranks = Int.random(in: 1...8, using: &random)
  let microBatches = Int.random(in: 1...20, using: &random)
  let even = 2 * Int.random(in: 1...5, using: &random)
  return [
    try .gpipe(ranks: ranks, microBatches: microBatches),
    try .oneForwardOneBackward(ranks: ranks, microBatches: microBatches),
    try .interleavedOneForwardOneBackward(
      ranks: ranks, virtualStages: .random(in: 2...5, using: &random),
      microBatches: ranks * .random(in: 1...4, using: &random)),
    try .zeroBubbleH1(ranks: ranks, microBatches: microBatches),
    try .zeroBubbleH1QuickStart(ranks: ranks, microBatches: microBatches),
    try .dualPipe(ranks: even, microBatches: 2 * even + 2 * .random(in: 0...6, using: &random)),
    try .dualPipeV(ranks: ranks, microBatches: 2 * ranks + .random(in: 0...9, using: &random)),
  ]
}

/// Ranks of a schedule written as a diagram, one line each.
func diagram(_ order: PipelineOrder) -> String {
  order.slots.map { $0.map(\.description).joined(separator: " ") }.joined(separator: "\n")
}

func refusal(_ body: () throws -> Void) -> Diagnostic? {
  do {
    try body()
    return nil
  } catch {
    return error as? Diagnostic
  }
}
