import Documents
import Schedules
import TestSupport
import Testing

@Suite struct `The text form` {
  private let small = """
    order schedule=zb-h1 placement=straight ranks=2 parts=1 micro-batches=2
    0: F0.0 F0.1 b0.0 w0.0 b0.1 w0.1
    1: F0.0 b0.0 F0.1 b0.1 w0.0 w0.1

    """

  @Test func `prints a line for the order and one for each rank`() throws {
    #expect(try PipelineOrder.zeroBubbleH1(ranks: 2, microBatches: 2).text == small)
  }

  @Test func `reads back what it printed`() throws {
    var random = SeededGenerator(seed: 31)
    for _ in 0..<20 {
      for order in try drawOrders(&random) {
        let read = try PipelineOrder(text: order.text)
        #expect(read == order)
        #expect(read.text == order.text)
      }
    }
  }

  @Test func `leaves out blank lines and remarks`() throws {
    #expect(try PipelineOrder(text: "# ours\n\n" + small + "\n  # end\n") == PipelineOrder(text: small))
  }

  @Test(arguments: [
    ("F0.1 b0.0", "F0.1 x0.0", "line 2, column 14"),
    ("F0.1 b0.0", "F0.1 b0", "line 2, column 14"),
    ("F0.1 b0.0", "F0.1 b00.0", "line 2, column 14"),
    ("F0.1 b0.0", "F0.1 b0.-1", "line 2, column 14"),
    ("F0.1 b0.0", "F0.1&w0.0", "line 2, column 14"),
    ("F0.1 b0.0", "b0.0&F0.1", "line 2, column 9"),
    ("F0.1 b0.0", "F0.99999999999999999999", "line 2, column 9"),
    ("ranks=2", "ranks=0", "line 1, column 47"),
    ("ranks=2", "ranks=3", "the end"),
    ("ranks=2", "rank=2", "line 1, column 41"),
    ("straight", "crooked", "line 1, column 32"),
    ("1: F", "2: F", "line 3, column 1"),
    ("micro-batches=2", "", "line 1, column 57"),
    ("order ", "", "line 1, column 1"),
  ])
  func `an error names its line and column`(old: String, new: String, place: String) {
    let text = small.replacing(old, with: new, maxReplacements: 1)
    let diagnostic = refusal { _ = try PipelineOrder(text: text, file: "order.txt") }
    #expect(diagnostic?.path == place)
    #expect(diagnostic?.file == "order.txt")
    #expect(diagnostic?.status == .data)
  }

  @Test func `10,000 mutants are read or refused, and never crash`() throws {
    var random = SeededGenerator(seed: 32)
    let seeds = [
      small, try PipelineOrder.dualPipe(ranks: 2, microBatches: 4).text,
      try PipelineOrder.interleavedOneForwardOneBackward(ranks: 2, virtualStages: 2, microBatches: 2).text,
    ].map { Array($0.utf8) }
    let spice = Array("FBbw0123456789.&: =\n\t#-orderé\u{0}".utf8)
    var refused = 0
    for _ in 0..<10_000 {
      var bytes = seeds[Int.random(in: 0..<seeds.count, using: &random)]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0...3, using: &random) {
        case 0: bytes[place] = spice[Int.random(in: 0..<spice.count, using: &random)]
        case 1: bytes.insert(spice[Int.random(in: 0..<spice.count, using: &random)], at: place)
        case 2:
          bytes.removeSubrange(
            place..<min(bytes.count - 1, place + 1 + Int.random(in: 0...9, using: &random)))
        default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 12)], at: place)
        }
      }
      do {
        let order = try PipelineOrder(text: String(decoding: bytes, as: UTF8.self))
        #expect(try PipelineOrder(text: order.text) == order)
        try order.validate()
      } catch {
        #expect(error is Diagnostic)
        refused += 1
      }
    }
    #expect(refused > 5_000)
  }
}

@Suite struct `Wrong orders` {
  @Test(arguments: [
    ("0: F0.0 F0.1 B0.0 B0.0", "a chunk is computed twice", "rank 0, slot 3", "B0.0"),
    ("0: F0.0 F0.1 B0.0", "a chunk is missing", "rank 0", "no B0.1"),
    ("0: F0.0 B0.0", "a chunk is missing", "rank 0", "no F0.1"),
    ("0: F0.0 F0.1 B0.0 b0.1", "a chunk is missing", "rank 0", "no w0.1"),
    ("0: F0.0 B0.1 F0.1 B0.0", "a backward comes before its forward", "rank 0, slot 1", "B0.1"),
    (
      "0: F0.0 w0.0 b0.0 F0.1 B0.1", "a weight gradient comes before its input gradient", "rank 0, slot 1",
      "w0.0"
    ),
    (
      "0: F0.0 B0.0 w0.0 F0.1 B0.1", "a full backward has no separate weight gradient", "rank 0, slot 2",
      "w0.0"
    ),
    (
      "0: F0.0 b0.0 B0.0 F0.1 B0.1", "a micro-batch has both a full and a split backward", "rank 0, slot 2",
      "B0.0"
    ),
    ("0: F0.0 F1.1 B0.0 B0.1", "the rank has no such part", "rank 0, slot 1", "F1.1"),
    ("0: F0.0 F0.2 B0.0 B0.1", "there is no such micro-batch", "rank 0, slot 1", "F0.2"),
  ])
  func `are refused by name`(ranks: String, problem: String, place: String, found: String) throws {
    let order = try PipelineOrder(
      text: "order schedule=ours placement=straight ranks=1 parts=1 micro-batches=2\n" + ranks)
    let diagnostic = refusal { try order.validate() }
    #expect(diagnostic?.problem == problem)
    #expect(diagnostic?.path == place)
    #expect(diagnostic?.found == found)
  }

  @Test(arguments: [
    ("straight", 2, 2), ("bidirectional", 1, 2), ("bidirectional", 2, 3), ("folded", 3, 2),
    ("interleaved", 1024, 1_048_576),
  ])
  func `sizes must agree with the placement`(placement: String, parts: Int, microBatches: Int) throws {
    let order = try PipelineOrder(
      text:
        "order schedule=ours placement=\(placement) ranks=1 parts=\(parts) micro-batches=\(microBatches)\n0:\n"
    )
    #expect(refusal { try order.validate() }?.path == "header")
    #expect(refusal { _ = try order.evaluate(times: .textbook()) }?.path == "header")
  }
}
