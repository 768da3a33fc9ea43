import Documents
import Foundation
import Operators
import Programs
import Schedules
import TestSupport
import Testing
import Timelines

@testable import Traces

/// Programs that the project's own lowering makes, each of a few ranks.
func loweredPrograms() throws -> [Program] {
  let settings = [
    Planned(pipeline: 2, microBatches: 4),
    Planned(schedule: .dualPipe, pipeline: 4, microBatches: 8, layersPerStage: 1),
    Planned(data: 4, isMixture: true) { plan in plan.expert = 4 },
    Planned(pipeline: 2, microBatches: 4, data: 2, isMixture: true) { plan in plan.expert = 2 },
    Planned(pipeline: 1, microBatches: 2, data: 2) { plan in plan.tensor = 2 },
  ]
  return try settings.map { setting in
    let (plan, order) = try setting.lowered()
    return lower(plan, order: order, seed: 1)
  }
}

/// A program with every kind of task, a table of uneven traffic and a code that no rank runs.
func everyKind() throws -> Program {
  let collectives: [(TaskKind, Int64)] = [
    (.allReduce, 1000), (.reduceScatter, 1000), (.allGather, 1000), (.broadcast, 77), (.allToAll, 4096),
    (.barrier, 0),
  ]
  var program = Program(name: "every \"kind\"\n", codeOfRank: [0, 1, 0])
  program.communicators = [
    Communicator(name: "world", ranks: 3, groups: [[0, 1, 2]]),
    Communicator(name: "expert", ranks: 3, groups: [[2, 0, 1]]),
    Communicator(name: "pair", ranks: 3, groups: [[1, 2], [0]]),
  ]
  program.works = [
    Work(
      name: "gemm", pass: .forward,
      kernels: [.matrixProduct(MatrixProduct(rows: 8, columns: 16, depth: 32, format: .bfloat16))])
  ]
  program.exchanges = [
    Exchange(
      tokens: 8, nodesPerToken: 1, remoteNodesPerToken: 0, ranksPerToken: 1.5, forwardedPerToken: 0.5,
      bytesPerToken: 64,
      metadataBytesPerToken: 8)
  ]
  var traffic = TrafficTable(members: 3)
  traffic.set([5, 1, 2, 0, 4, 0, 7, 0, 3], at: TrafficTable.Key(layer: 0, batch: 0, group: 0))
  program.traffic = traffic
  for name in ["even", "odd", "nobody's"] {
    var code = Code(name: name)
    code.beginSlot(TaskSlot(phase: .forward, forward: StageChunk(stage: 0, part: 0, microBatch: 0)))
    var work = Code.Task(.compute, on: .compute)
    work.work = 0
    let first = code.append(work, after: [])
    for kind in [TaskKind.dispatch, .combine] {
      var exchange = Code.Task(kind, on: .communication)
      (exchange.work, exchange.communicator, exchange.layer, exchange.pass) = (0, 1, 0, .forward)
      code.append(exchange, after: [first])
    }
    code.beginSlot(TaskSlot(phase: .optimizer))
    for (kind, bytes) in collectives {
      var task = Code.Task(kind, on: .reduction)
      (task.communicator, task.bytes) = (0, bytes)
      code.append(task, after: [first])
    }
    code.beginSlot(TaskSlot(phase: .optimizer))
    program.codes.append(code)
  }
  return program
}

/// Writes a program, reads all ranks again and returns the recording.
func throughChakra(_ program: VerifiedProgram, timeline: Timeline? = nil) throws -> Recording {
  let writer = ChakraWriter(program, timeline: timeline)
  var assembly = ChakraAssembly(.chakra)
  try assembly.groups.readFile(ByteSource(bytes: Array(writer.groupFile.utf8), named: "groups.json"))
  for rank in 0..<program.program.ranks {
    let source = try ByteSource(bytes: writer.trace(rank: rank), named: "x.\(rank).et")
    try assembly.add(readChakraFile(source, rank: rank), isNamed: true)
  }
  return try assembly.finish()
}

/// Times that say nothing but that each task took some.
func inventedTimeline(_ program: VerifiedProgram) -> Timeline {
  var timeline = Timeline(program)
  for role in timeline.started.indices {
    for task in timeline.started[role].indices {
      timeline.started[role][task] = Int64(task) * 3_700_001 + Int64(role)
      timeline.began[role][task] = timeline.started[role][task]
      timeline.ended[role][task] = timeline.started[role][task] + 1_499_999 + Int64(task)
    }
  }
  return timeline
}

@Suite struct `Programs as Chakra traces` {
  @Test func `come back the same`() throws {
    for program in try loweredPrograms() + [everyKind()] {
      let verified = try VerifiedProgram(program)
      let recording = try throughChakra(verified)
      #expect(recording.program == program, "\(program.name)")
      #expect(recording.ranks.map(\.count).reduce(0, +) == program.taskCount)
      #expect(recording.worldSize == program.ranks)
      #expect(recording.notes == [])
    }
  }

  @Test func `keep times to the picosecond`() throws {
    let verified = try VerifiedProgram(everyKind())
    let timeline = inventedTimeline(verified)
    let recording = try throughChakra(verified, timeline: timeline)
    for rank in recording.ranks {
      let role = Int(verified.roles.roleOfRank[rank.rank])
      for event in 0..<rank.count {
        let task = Int(rank.tasks[event])
        #expect(rank.start[event] + rank.origin == timeline.started[role][task])
        #expect(rank.duration[event] == timeline.ended[role][task] - timeline.started[role][task])
      }
    }
    #expect(recording.program == verified.program)
  }

  @Test func `an uneven exchange is an even one for others, and uneven for us`() throws {
    let verified = try VerifiedProgram(everyKind())
    let recording = try throughChakra(verified)
    // Member order of the group is ranks 2, 0, 1; rows are [source][destination] of members, 72 bytes each.
    let rank = recording.ranks[2]
    let dispatch = try #require(rank.communications.first { $0.kind == .dispatch })
    #expect(dispatch.inputSplits == [5 * 72, 72, 2 * 72])
    #expect(dispatch.outputSplits == [5 * 72, 0, 7 * 72])
    let combine = try #require(rank.communications.first { $0.kind == .combine })
    #expect(combine.inputSplits == dispatch.outputSplits)
    // 10 rows travel between ranks, over 6 pairs.
    let node = ChakraTasks(verified).node(rank: 0, task: 1)
    #expect(node.bytes == (10 * 72 + 5) / 6 * 3 && node.collective == 6)
    #expect(rank.chakra?.collectives.first { $0.kind == "ALL_TO_ALL" }?.count == 3)
  }

  @Test func `groups stand in ASTRA-sim's file, all ranks in none`() throws {
    let writer = ChakraWriter(try VerifiedProgram(everyKind()))
    #expect(writer.groupFile == "{\n  \"2\": [2, 0, 1],\n  \"3\": [1, 2],\n  \"4\": [0]\n}\n")
  }

  @Test func `a node that was changed in the standard's attributes alone is refused`() throws {
    let verified = try VerifiedProgram(everyKind())
    let whole = ChakraWriter(verified).trace(rank: 1)
    var attribute = WireWriter.attribute("comm_size", int64: 1000).bytes
    let place = try #require(whole.indices.first { whole[$0...].starts(with: attribute) })
    attribute[attribute.count - 2] ^= 1
    var changed = whole
    changed.replaceSubrange(place..<place + attribute.count, with: attribute)
    var assembly = ChakraAssembly(.chakra)
    for rank in 0..<3 {
      let bytes = rank == 1 ? changed : ChakraWriter(verified).trace(rank: rank)
      try assembly.add(
        readChakraFile(ByteSource(bytes: bytes, named: "x.\(rank).et"), rank: rank), isNamed: true)
    }
    #expect {
      _ = try assembly.finish()
    } throws: { error in
      let diagnostic = error as? Diagnostic
      return diagnostic?.file == "x.1.et" && diagnostic?.path == "node 3"
        && diagnostic?.found == "comm_size 1001"
    }
  }

  @Test func `without all codes the program is not restored, and that is said`() throws {
    let writer = ChakraWriter(try VerifiedProgram(everyKind()))
    for (ranks, word) in [([0, 2], "code 1"), ([1, 2], "traffic")] {
      var assembly = ChakraAssembly(.chakra)
      for rank in ranks {
        let source = try ByteSource(bytes: writer.trace(rank: rank), named: "x.\(rank).et")
        try assembly.add(readChakraFile(source, rank: rank), isNamed: true)
      }
      let recording = try assembly.finish()
      #expect(recording.program == nil)
      #expect(
        recording.notes.contains { $0.contains("not restored") && $0.contains(word) }, "\(recording.notes)")
    }
  }

  @Test func `mutants of our own files are read or refused, and never crash`() throws {
    let writer = ChakraWriter(try VerifiedProgram(everyKind()))
    let others = [1, 2].map { writer.trace(rank: $0) }
    expectSurvival(of: [writer.trace(rank: 0)], words: ["after=", "code "], count: 1000) { source in
      var assembly = ChakraAssembly(.chakra)
      try assembly.add(readChakraFile(source, rank: 0), isNamed: true)
      for rank in 1...2 {
        let other = try ByteSource(bytes: others[rank - 1], named: "x.\(rank).et")
        try assembly.add(readChakraFile(other, rank: rank), isNamed: true)
      }
      _ = try assembly.finish()
    }
  }
}
