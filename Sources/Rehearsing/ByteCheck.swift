import Execution
import Programs
import Simulation
import Timelines
import Timing

// Three counts of one thing: bytes that the program says, that the simulator moves, that the transport counted.

extension MeasuredStep {
  /// Tasks whose bytes differ, in words: what the transport counted against what the program says.
  public var differences: [String] {
    bytesThatDiffer().map { difference in
      "\(name(rank: difference.rank, task: difference.task)): "
        + "\(difference.counted) bytes counted, \(difference.lowered) lowered"
    }
  }

  /// Tasks whose bytes differ, in words: what the transport counted against what a simulation moved.
  ///
  /// - Parameters:
  ///   - timeline: Of the step's program with the step's own traffic.
  ///   - simulated: That program.
  func differences(from timeline: Timeline, of simulated: VerifiedProgram) -> [String] {
    var texts: [String] = []
    for rank in sent.indices {
      let role = Int(simulated.roles.roleOfRank[rank])
      guard timeline.sentBytes[role].count == sent[rank].count else {
        texts.append(
          "rank \(rank): \(timeline.sentBytes[role].count) tasks simulated, \(sent[rank].count) run")
        continue
      }
      for task in sent[rank].indices {
        for (counted, carried) in [
          (sent[rank][task], timeline.sentBytes[role][task]),
          (received[rank][task], timeline.receivedBytes[role][task]),
        ] where counted != carried {
          texts.append(
            "\(name(rank: rank, task: task)): \(counted) bytes counted, \(carried) simulated")
        }
      }
    }
    return texts
  }

  /// Simulates the step for its bytes alone: no task takes time.
  ///
  /// - Throws: A ``Programs/VerificationError`` where the step's traffic does not fit its program.
  public func simulatedDifferences() throws -> [String] {
    var carried = program.program
    carried.traffic = traffic
    let verified = try VerifiedProgram(carried)
    let timeline = Simulator.run(verified, costs: ProgramCosts(verified) { _, _ in .free })
    return differences(from: timeline, of: verified)
  }

  private func name(rank: Int, task: Int) -> String {
    let code = Int(program.program.codeOfRank[rank])
    return "rank \(rank): \(program.program.describe(code: code, task: task))"
  }
}
