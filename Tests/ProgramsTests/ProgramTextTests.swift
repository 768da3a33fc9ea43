import Operators
import TestSupport
import Testing

@testable import Programs

@Suite struct ProgramTextTests {
  @Test func `a small program reads as a person would write it`() throws {
    var first = Code(name: "first")
    first.beginSlot(TaskSlot(phase: .forward, forward: StageChunk(stage: 0, part: 0, microBatch: 3)))
    var compute = Code.Task(.compute, on: .compute)
    compute.work = 0
    compute.layer = 0
    compute.memory = 1024
    let done = first.append(compute, after: [])
    var send = Code.Task(.send, on: .pipeline(isSend: true, isForward: true, toHigherRank: true))
    send.communicator = 0
    send.peer = 1
    send.tag = 12
    send.bytes = 4096
    first.append(send, after: [done])
    let program = Program(
      name: "tiny", codes: [first, Code(name: "second")], codeOfRank: [0, 0, 0, 1, 1, 1],
      communicators: [
        Communicator(name: "pipeline", ranks: 6, groups: [[0, 3], [1, 4], [2, 5]]),
        Communicator(name: "world", ranks: 6, groups: [[0, 1, 2, 3, 4, 5]]),
        Communicator(name: "data", ranks: 6, groups: [[0, 2, 4], [5]]),
      ],
      works: [
        Work(
          name: "attention forward", pass: .forward,
          kernels: [.matrixProduct(MatrixProduct(rows: 4096, columns: 1024, depth: 512, format: .bfloat16))])
      ])
    let text = """
      program 1 "tiny"
      ranks 6 codes 0x3 1x3
      communicator "pipeline" ranks=6
        group 0 3
        group 1 4
        group 2 5
      communicator "world" ranks=6
        group 0..5
      communicator "data" ranks=6
        group 0..4/2
        group 5
      work forward "attention forward"
        product dense rows=4096.0 columns=1024 depth=512.0 count=1 format=bf16
      code "first"
        slot forward forward=0.0.3
          0 compute compute work=0 layer=0 memory=1024
          1 send send_activation_up communicator=0 peer=1 tag=12 bytes=4096 after=0
      code "second"

      """
    #expect(program.text == text)
    #expect(try Program(text: text) == program)
    #expect(try Program(text: "# a note\r\n\n" + text.replacing("\n", with: "\r\n")) == program)
  }

  @Test func `any program prints and parses back to itself`() throws {
    var random = SeededGenerator(seed: 21)
    for _ in 0..<1000 {
      let program = drawAnything(&random)
      #expect(try Program(text: program.text) == program)
    }
  }

  /// A text, the line and column that must be named, and a word of the problem.
  static let broken: [(String, Int, Int, String)] = [
    ("", 1, 1, "no program"),
    ("program 2 \"a\"", 1, 9, "version"),
    ("program 1 a", 1, 11, "quotes"),
    ("program 1 \"a", 1, 11, "end"),
    ("program 1 \"a\\x\"", 1, 11, "end"),
    ("ranks 0 codes", 1, 1, "header"),
    ("program 1 \"a\"\nprogram 1 \"a\"", 2, 1, "twice"),
    ("program 1 \"a\"\ncode \"b\"", 2, 1, "second"),
    ("program 1 \"a\"\nranks 2 codes 0x1", 2, 18, "bound"),
    ("program 1 \"a\"\nranks 2 codes 0x3", 2, 15, "runs"),
    ("program 1 \"a\"\nranks 99999999999 codes", 2, 7, "whole number"),
    ("program 1 \"a\"\nranks 1 codes 0x1\nfoo", 3, 1, "statement"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ngroup 0", 3, 1, "under"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncommunicator \"c\" ranks=1\ngroup 0 0", 4, 9, "two groups"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncommunicator \"c\" ranks=1\ngroup 0..9999999999", 4, 7, "list"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncommunicator \"c\" ranks=1\ngroup 0..1/0", 4, 7, "list"),
    ("program 1 \"a\"\nranks 1 codes 0x1\nexchange tokens=nan", 3, 17, "number"),
    ("program 1 \"a\"\nranks 1 codes 0x1\nwork sideways \"b\"", 3, 6, "pass"),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\nwork forward \"b\"\npass copy read=inf written=0 launches=1", 4, 16,
      "number"
    ),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\n0 compute compute", 4, 1, "slot"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n1 compute compute", 5, 1, "numbered"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 copute compute", 5, 3, "kind of task"),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 compute compute bytes=-1", 5, 25,
      "bytes"
    ),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 compute compute tag=1 tag=1", 5, 25,
      "twice"
    ),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 compute compute colour=1", 5, 19,
      "field"
    ),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 compute compute after=1,,2", 5, 25,
      "list of tasks"
    ),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward forward=0.1", 4, 22, "chunk"),
    ("program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward forward=0.1.2.3.4", 4, 22, "chunk"),
    ("program 1 \"a\"\nranks 1 codes 0x1\nwork forward \"b\" section=wing", 3, 26, "section"),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 compute compute purpose=fun", 5, 27,
      "purpose"
    ),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ncode \"b\"\nslot forward\n0 compute compute pass=over", 5, 24,
      "pass"
    ),
    ("program 1 \"a\"\nranks 1 codes 0x1\ntraffic members=0", 3, 17, "members"),
    ("program 1 \"a\"\nranks 1 codes 0x1\nrows layer=0", 3, 1, "under"),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ntraffic members=2\nrows layer=0 batch=0 group=0 counts 1 2 3", 4,
      42,
      "rows"
    ),
    (
      "program 1 \"a\"\nranks 1 codes 0x1\ntraffic members=1\nrows layer=0 batch=x group=0 counts 1", 4, 14,
      "batch"
    ),
    ("program 1 \"a\"\nranks 1 codes 0x1\ntraffic members=1\ntraffic members=1", 4, 1, "twice"),
  ]

  @Test(arguments: broken) func `a broken text is refused with its place`(
    text: String, line: Int, column: Int, problem: String
  ) {
    let error = #expect(throws: ProgramTextError.self) { try Program(text: text, file: "a.program") }
    #expect(error?.line == line && error?.problem.contains(problem) == true, "\(error?.description ?? "")")
    #expect(error?.column == column, "\(error?.description ?? "")")
    #expect(error?.description.hasPrefix("a.program:\(line):") == true)
  }

  @Test func `ten thousand mutants neither crash nor run away`() {
    var random = SeededGenerator(seed: 22)
    var texts: [[UInt8]] = []
    for _ in 0..<20 {
      texts.append(Array(drawAnything(&random).text.utf8))
      texts.append(Array(drawLegalProgram(&random).program.text.utf8))
    }
    let spice = Array("0123456789 \"\\=.,x#/\n-".utf8)
    var accepted = 0
    for _ in 0..<10_000 {
      var text = texts[random.pick(0...texts.count - 1)]
      for _ in 0..<random.pick(1...4) where !text.isEmpty {
        let index = random.pick(0...text.count - 1)
        switch random.pick(0...4) {
        case 0: text[index] = spice[random.pick(0...spice.count - 1)]
        case 1: text.insert(spice[random.pick(0...spice.count - 1)], at: index)
        case 2: text.remove(at: index)
        case 3: text.removeSubrange(index..<min(text.count, index + random.pick(1...40)))
        default:
          let piece = text[index..<min(text.count, index + random.pick(1...80))]
          text.insert(contentsOf: piece, at: random.pick(0...text.count))
        }
      }
      guard let program = try? Program(text: String(decoding: text, as: UTF8.self)) else { continue }
      accepted += 1
      // Whatever is read is well-formed: it prints, and the verifier accepts or refuses it.
      _ = program.text
      if program.ranks < 1000 { _ = try? VerifiedProgram(program) }
    }
    #expect(accepted > 100, "mutants that still parse are the interesting ones")
  }
}
