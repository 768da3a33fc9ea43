import Operators
import Programs
import Testing
import Timelines
import Units

/// A timeline of one rank by hand: a forward, a backward beside a reduction, the optimizer.
private func timeline() throws -> Timeline {
  let chunk = StageChunk(stage: 0, part: 0, microBatch: 0)
  var code = Code(name: "one")
  func compute(_ work: Int32) -> Code.Task {
    var task = Code.Task(.compute, on: .compute)
    task.work = work
    return task
  }
  func collective(_ kind: TaskKind, on lane: Lane) -> Code.Task {
    var task = Code.Task(kind, on: lane)
    task.communicator = 0
    return task
  }
  code.beginSlot(TaskSlot(phase: .forward, forward: chunk))
  code.append(compute(0), after: [])
  code.append(collective(.allGather, on: .communication), after: [0])
  code.beginSlot(TaskSlot(phase: .backward, backward: chunk))
  code.append(compute(1), after: [1])
  code.append(compute(2), after: [2])
  code.append(collective(.reduceScatter, on: .reduction), after: [2])
  code.beginSlot(TaskSlot(phase: .optimizer))
  code.append(compute(0), after: [4])
  let passes: [Pass] = [.forward, .inputGradient, .weightGradient]
  let program = Program(
    name: "one", codes: [code], codeOfRank: [0],
    communicators: [Communicator(name: "tensor", ranks: 1, groups: [[0]])],
    works: passes.map { Work(name: "work", pass: $0, kernels: []) })
  var timeline = Timeline(try VerifiedProgram(program))
  //                 F  gather  b   w   scatter  optimizer
  timeline.started = [[0, 10, 20, 35, 35, 60]]
  timeline.began = [[0, 10, 20, 35, 35, 60]]
  timeline.ended = [[10, 14, 35, 45, 60, 63]]
  return timeline
}

@Suite struct `A timeline by hand` {
  @Test func `is divided as ISCA'25 divides a step`() throws {
    let parts = try timeline().parts(ofRole: 0)
    #expect(parts.forward.picoseconds == 14, "with the gather that nothing hides")
    #expect(parts.backwardInput.picoseconds == 15 && parts.backwardWeight.picoseconds == 10)
    #expect(parts.overlapped == .zero)
    #expect(parts.optimizer.picoseconds == 18, "the rest of the reduction, and the update")
    #expect(parts.bubble.picoseconds == 6, "from the gather's end to the backward's start")
    #expect(parts.total == (try timeline().makespan))
  }

  @Test func `tells exposed communication from hidden`() throws {
    let times = try timeline().communicationTimes()
    #expect(times.map(\.kind) == [.tensorParallel, .gradients])
    #expect(times.map(\.transfer.picoseconds) == [4, 25])
    #expect(times.map(\.exposed.picoseconds) == [4, 15])
  }

  @Test func `has the chain of tasks that made it so long`() throws {
    let path = try timeline().criticalPath()
    // Nothing ended at 20, when the backward began: what came before is not to blame.
    #expect(path.map(\.task) == [2, 4, 5])
    #expect(path.map(\.time.picoseconds) == [15, 25, 3])
  }
}
