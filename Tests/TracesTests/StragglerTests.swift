import Documents
import Foundation
import Testing

@testable import Traces

/// A job of two stages and two data ranks with two micro-batches and one step of 1F1B after the other: every operation
/// starts as soon as it can, computation takes what `compute` says, a transfer 10 us.
private struct Job {
  var steps = [7, 8]
  /// Microseconds of a forward by step, data rank and stage; a backward takes twice that.
  var forward: (Int, Int, Int) -> Double = { _, _, _ in 100 }
  var optimizer = 20.0
  /// Leaves an operation out.
  var isMissing: (Int, String) -> Bool = { _, _ in false }

  /// The events as Chrome JSON, and the length of each step in microseconds.
  func timeline() -> (json: String, lengths: [Double]) {
    var events: [String] = []
    var lengths: [Double] = []
    var origin = 1000.0
    for data in 0..<2 {
      for stage in 0..<2 {
        let rank = stage * 2 + data
        for (lane, kind) in ["compute", "pp-comm", "tp-comm", "dp-comm", "misc"].enumerated() {
          events.append(
            #"{"name":"thread_name","pid":\#(data),"tid":\#(rank * 5 + lane),"ph":"M","args":{"name":"PP rank \#(stage), TP rank 0, \#(kind)"}}"#
          )
        }
      }
    }
    for step in steps {
      var ends: [Double] = []
      var counts: [String: Int] = [:]
      func add(_ name: String, _ data: Int, _ stage: Int, _ lane: Int, _ start: Double, _ duration: Double) {
        guard !isMissing(step, name) else { return }
        let rank = stage * 2 + data
        let ordinal = counts["\(name) \(rank)", default: 0]
        counts["\(name) \(rank)"] = ordinal + 1
        events.append(
          #"{"name":"\#(name)","cat":"\#(name)","pid":\#(data),"tid":\#(rank * 5 + lane),"ts":\#(origin + start),"dur":\#(duration),"ph":"X","args":{"step":\#(step),"model_chunk":0,"mb_id":\#(ordinal),"seq_id":\#(ordinal)}}"#
        )
      }
      for data in 0..<2 {
        let (f0, f1) = (forward(step, data, 0), forward(step, data, 1))
        for stage in 0..<2 { add("params-all-gather", data, stage, 3, 0, 10) }
        // Stage 0: F0 F1 B0 B1; stage 1: F0 B0 F1 B1.
        add("forward-compute", data, 0, 0, 10, f0)
        add("forward-compute", data, 0, 0, 10 + f0, f0)
        var free = 10.0
        var back: [Double] = []
        for batch in 0..<2 {
          let sent = 10 + Double(batch + 1) * f0
          // The receiver's part begins when it is ready and waits for the sender.
          let ready = batch == 0 ? 10.0 : free - 2 * f1
          let moved = max(sent, ready)
          add("forward-send", data, 0, 1, sent, moved + 10 - sent)
          add("forward-recv", data, 1, 1, ready, moved + 10 - ready)
          free = max(free, moved + 10)
          add("forward-compute", data, 1, 0, free, f1)
          free += f1
          add("backward-compute", data, 1, 0, free, 2 * f1)
          free += 2 * f1
          back.append(free)
        }
        var first = 10 + 2 * f0
        for batch in 0..<2 {
          let ready = batch == 0 ? 10 + f0 : first - 2 * f0
          let moved = max(back[batch], ready)
          add("backward-send", data, 1, 1, back[batch], moved + 10 - back[batch])
          add("backward-recv", data, 0, 1, ready, moved + 10 - ready)
          first = max(first, moved + 10)
          add("backward-compute", data, 0, 0, first, 2 * f0)
          first += 2 * f0
        }
        ends += [first, free]
      }
      // Reductions of stage 0 begin when both data ranks have come, then all ranks clip.
      let reduced = [max(ends[0], ends[2]) + 10, max(ends[1], ends[3]) + 10]
      let clipped = max(reduced[0], reduced[1]) + 10
      for data in 0..<2 {
        for stage in 0..<2 {
          let end = ends[2 * data + stage]
          add("grads-reduce-scatter", data, stage, 3, end, reduced[stage] - end)
          add("optimizer-clip-main-grad", data, stage, 3, reduced[stage], clipped - reduced[stage])
          add("optimizer", data, stage, 0, clipped, optimizer)
        }
      }
      lengths.append(clipped + optimizer)
      origin += clipped + optimizer + 500
    }
    return ("[" + events.joined(separator: ",\n") + "]", lengths)
  }
}

private func read(_ job: Job) throws -> Recording {
  try Recording.straggler(TraceInput(bytes: Array(job.timeline().json.utf8), named: "timeline.json"))
}

@Suite struct StragglerTests {
  @Test func `a timeline gives ranks, groups and steps`() throws {
    let recording = try read(Job())
    #expect(recording.ranks.map(\.rank) == [0, 1, 2, 3])
    #expect(recording.ranks[3].properties.map(\.value) == ["1", "1", "0"])
    #expect(recording.ranks.allSatisfy { $0.marks.map(\.name) == ["7", "8"] })
    #expect(recording.groups.first { $0.name == "data 1.0" }?.ranks == [2, 3])
    let send = try #require(recording.ranks[1].communications.first { $0.kind == .send })
    #expect(send.peer == 3)
    #expect(recording.ranks[0].count == 2 * (4 + 4 + 4))
    #expect(recording.ranks[0].origin == 1_000_000_000)
  }

  @Test func `without stragglers the ideal step is the recorded one`() throws {
    let analysis = try StragglerAnalysis(try read(Job()))
    #expect(analysis.steps.count == 2)
    #expect(abs(analysis.slowdown - 1) < 1e-9)
    #expect(abs(analysis.unexplained - 1) < 1e-9)
    #expect(analysis.byStage.allSatisfy { abs($0.ratio - 1) < 1e-9 })
  }

  @Test func `a replay of what happened takes as long as it did`() throws {
    var job = Job()
    job.forward = { step, data, stage in 100 + Double(step * 3 + data * 17 + stage * 29) }
    let analysis = try StragglerAnalysis(try read(job))
    for (step, length) in zip(analysis.steps, job.timeline().lengths) {
      #expect(abs(step.replayed.microseconds - length) < 1e-3)
      #expect(abs(step.recorded.microseconds - length) < 1e-3)
    }
  }

  @Test func `transfer is told from waiting`() throws {
    let communications = try StragglerAnalysis(try read(Job())).communications
    for name in [
      "forward-send", "forward-recv", "backward-recv", "grads-reduce-scatter", "params-all-gather",
    ] {
      let communication = try #require(communications.first { $0.name == name })
      #expect(abs(communication.transfer.microseconds - 10) < 1e-6, "\(name)")
    }
    // The first receive waits for a forward of 100 us, the second finds its message there.
    let receive = try #require(communications.first { $0.name == "forward-recv" })
    #expect(abs(receive.waiting.microseconds - 50) < 1e-6)
    #expect(communications.first { $0.name == "params-all-gather" }?.waiting.microseconds == 0)
  }

  @Test func `a slow last stage is the worst stage, and makes nearly all of the slowdown`() throws {
    var job = Job()
    job.forward = { _, _, stage in stage == 1 ? 150 : 100 }
    let analysis = try StragglerAnalysis(try read(job))
    #expect(analysis.byStage.first?.key == 1)
    #expect(analysis.slowdown > 1.05)
    // A stage that is faster than the mean is below one.
    #expect(analysis.byStage.last.map { $0.ratio < 1 } == true)
    #expect(analysis.lastStageShare.map { $0 > 0.9 } == true)
    #expect(analysis.byOperation.first?.key == "backward-compute")
  }

  @Test func `a slow worker is named`() throws {
    var job = Job()
    job.forward = { _, data, stage in data == 1 && stage == 0 ? 160 : 100 }
    let analysis = try StragglerAnalysis(try read(job))
    #expect(analysis.byWorker.first?.key == .init(dataRank: 1, stage: 0))
    #expect(analysis.byDataRank.first?.key == 1)
  }

  @Test func `a step that lacks an operation is left out and named`() throws {
    var job = Job()
    job.steps = [1, 2, 3]
    job.isMissing = { step, name in step == 2 && name == "optimizer" }
    let analysis = try StragglerAnalysis(try read(job))
    #expect(analysis.incompleteSteps == [2])
    #expect(analysis.steps.map(\.number) == [1, 3])
  }

  @Test func `a job without receives is refused`() throws {
    var job = Job()
    job.isMissing = { _, name in name == "forward-recv" }
    let recording = try read(job)
    #expect(throws: Diagnostic.self) { try StragglerAnalysis(recording) }
  }

  @Test func `messages that wait for each other are refused, not replayed`() throws {
    var recording = try read(Job())
    // Stage 0 computes its first backward before its forwards.
    let rank = 0
    let backward = try #require(
      (0..<recording.ranks[rank].count).first {
        recording.ranks[rank].names[Int(recording.ranks[rank].name[$0])] == "backward-compute"
      })
    recording.ranks[rank].start[backward] = recording.ranks[rank].start[0]
    #expect(throws: Diagnostic.self) { try StragglerAnalysis(recording) }
  }

  @Test(arguments: [
    (
      #"[{"ph":"X","name":"a","pid":0,"tid":0,"ts":1,"dur":1}]"#,
      "an event lacks what a straggler timeline has"
    ),
    (#"[{"ph":"X","name":"a","pid":0,"tid":0,"ts":1,"dur":-1,"args":{"step":0}}]"#, "a duration is negative"),
    (#"[{"ph":"X","name":"a","pid":0,"tid":0,"ts":NaN,"dur":1,"args":{"step":0}}]"#, "a start is no number"),
    (
      #"[{"ph":"X","name":"a","pid":0,"tid":0,"ts":1,"dur":1,"args":{"step":0}}]"#,
      "an event is on a lane without a name"
    ),
    (
      #"[{"ph":"M","name":"thread_name","pid":0,"tid":0,"args":{"name":"x"}}]"#,
      "a lane's name gives no place"
    ),
  ])
  func `what is no straggler timeline is refused`(text: String, expected: String) {
    #expect {
      try Recording.straggler(TraceInput(bytes: Array(text.utf8), named: "a.json"))
    } throws: {
      ($0 as? Diagnostic)?.problem == expected && ($0 as? Diagnostic)?.path != nil
    }
  }

  @Test func `a timeline cut off at any byte is refused`() {
    var job = Job()
    job.steps = [1]
    expectTruncationNoticed(Array(job.timeline().json.utf8)) { source in
      var source = source
      _ = try Recording.straggler(TraceInput(bytes: try source.rest(), named: "cut"))
    }
  }

  @Test func `ten thousand broken timelines are read or refused, and their analysis too`() {
    var job = Job()
    job.steps = [1, 2]
    let words = [
      "\"step\":", "forward-compute", "optimizer", "\"ts\":", "86399999999", "\"pid\":1", "\"tid\":5",
    ]
    expectSurvival(of: [Array(job.timeline().json.utf8)], words: words) { source in
      var source = source
      let recording = try Recording.straggler(TraceInput(bytes: try source.rest(), named: "mutant"))
      _ = try StragglerAnalysis(recording)
    }
  }
}

@Suite(.enabled(if: recordedTraces != nil, "no recorded traces: set REHEARSAL_TRACES to their folder"))
struct RecordedStragglerTests {
  private struct Result: Decodable {
    var step_t_base: [String: Double]
    var step_t_nodelay: [String: Double]
    var step_t_noblk: [String: Double]
    var blocking_slowdown: Double
    var blocking_step_slowdown: [String: Double]
    var blocking_decompose_by_dp_rank: [String: Double]
    var blocking_decompose_by_stage: [String: Double]
    var blocking_decompose_by_optype: [String: Double]
  }

  private func path(_ file: String) -> String { "\(recordedTraces ?? "")/bytedance-straggler-ST/\(file)" }

  private func read() throws -> Recording {
    try Recording.straggler(TraceInput(path: path("timeline-ST.json.gz")))
  }

  private func published() throws -> Result {
    try JSONDecoder().decode(Result.self, from: try Data(contentsOf: URL(filePath: path("result-ST.json"))))
  }

  @Test func `the timeline has all its operations`() throws {
    let recording = try read()
    #expect(recording.ranks.map(\.rank) == Array(0..<8))
    #expect(recording.ranks.reduce(0) { $0 + $1.count } == 6784)
    #expect(recording.ranks.allSatisfy { $0.marks.count == 32 })
    var counts: [String: Int] = [:]
    var duration: Int64 = 0
    for rank in recording.ranks {
      for event in 0..<rank.count {
        counts[rank.names[Int(rank.name[event])], default: 0] += 1
        duration += rank.duration[event]
      }
    }
    #expect(counts["backward-compute"] == 1024)
    #expect(counts["embedding-grads-all-reduce"] == 128)
    #expect(counts["forward-recv"] == 768)
    #expect(counts.values.reduce(0, +) == 6784)
    #expect(abs(1e-6 * Double(duration) - 287_482_496.7626194) < 0.1)
  }

  @Test func `the published what-if answers come out`() throws {
    let published = try published()
    let analysis = try StragglerAnalysis(try read())
    let count = Double(published.step_t_base.count)
    #expect(analysis.steps.count == 32)
    #expect(analysis.incompleteSteps.isEmpty)
    #expect(analysis.unknownEvents == 0)
    func near(_ value: Double, _ expected: Double, _ what: String) {
      #expect(abs(value / expected - 1) < 1e-3, "\(what): \(value), published \(expected)")
    }
    near(analysis.recordedStep.seconds, published.step_t_base.values.reduce(0, +) / count, "recorded step")
    near(analysis.replayedStep.seconds, published.step_t_nodelay.values.reduce(0, +) / count, "replayed step")
    near(analysis.idealStep.seconds, published.step_t_noblk.values.reduce(0, +) / count, "ideal step")
    near(analysis.slowdown, published.blocking_slowdown, "S")
    for entry in analysis.byOperation {
      near(entry.ratio, try #require(published.blocking_decompose_by_optype[entry.key]), entry.key)
    }
    #expect(analysis.byOperation.count == published.blocking_decompose_by_optype.count)
    for entry in analysis.byStage {
      near(
        entry.ratio, try #require(published.blocking_decompose_by_stage["\(entry.key)"]), "stage \(entry.key)"
      )
    }
    for entry in analysis.byDataRank {
      near(
        entry.ratio, try #require(published.blocking_decompose_by_dp_rank["\(entry.key)"]),
        "data rank \(entry.key)")
    }
    for step in analysis.steps {
      near(
        step.slowdown, try #require(published.blocking_step_slowdown["\(step.number)"]), "step \(step.number)"
      )
    }
    #expect(analysis.byStage.first?.key == 3)
    #expect(analysis.byWorker.first?.key == .init(dataRank: 1, stage: 3))
  }

  @Test func `the last stage's share is the published one`() throws {
    struct Share: Decodable { var Ms: Double }
    let data = try Data(contentsOf: URL(filePath: path("ms-ST.json")))
    let expected = try JSONDecoder().decode(Share.self, from: data).Ms
    let share = try #require(try StragglerAnalysis(try read()).lastStageShare)
    #expect(abs(share / expected - 1) < 1e-2, "\(share), published \(expected)")
  }
}
