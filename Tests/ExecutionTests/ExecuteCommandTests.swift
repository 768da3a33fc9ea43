import Foundation
import TestSupport
import Testing

/// Small steps of the default model, so that a step takes moments.
private let small = ["execute", "--seq-len", "8", "--micro-batch", "1", "--format", "csv"]

private func folder() -> String {
  FileManager.default.temporaryDirectory.appending(path: "execute-\(UUID().uuidString)").path
}

/// A line for each step, without its times: the first six columns.
private func losses(_ text: String) -> [String] {
  text.split(separator: "\n").dropFirst().map { $0.split(separator: ",").prefix(6).joined(separator: ",") }
}

/// Lines that begin an error of ours.
private func errors(_ text: String) -> Int { text.split(separator: "\n").count { $0.hasPrefix("error:") } }

@Suite(.serialized, .enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)))
struct ExecuteCommandTests {
  @Test func `a killed run that is resumed ends with the losses of one that ran through`() throws {
    let (whole, killed) = (folder(), folder())
    defer { for path in [whole, killed] { try? FileManager.default.removeItem(atPath: path) } }
    let through = try MPIRun.run(
      ranks: 4, "rehearse", small + ["--steps", "4", "--checkpoint", whole], timeout: 120)
    #expect(through.status == 0, "\(through.errors)")
    let death = Death()
    let interrupted = try MPIRun.run(
      ranks: 4, "rehearse", small + ["--steps", "400", "--save-every", "2", "--checkpoint", killed],
      timeout: 120
    ) { launcher in
      // One rank dies as soon as the second step is saved.
      while !FileManager.default.fileExists(atPath: killed + "/step-000002.safetensors") { usleep(2000) }
      death.time = ContinuousClock.now
      let children = try String(
        contentsOfFile: "/proc/\(launcher)/task/\(launcher)/children", encoding: .utf8)
      if let rank = children.split(separator: " ").compactMap({ Int32($0) }).last { kill(rank, SIGKILL) }
    }
    #expect(interrupted.status != 0 && interrupted.status != 110)
    #expect(death.time.map { $0.duration(to: .now) < .seconds(10) } ?? false)
    // What steps were saved since is as far as the run came; all files are whole.
    let names = try FileManager.default.contentsOfDirectory(atPath: killed)
    #expect(names.allSatisfy { $0.hasPrefix("step-") || $0.contains(".part-") })
    for name in names where name != "step-000002.safetensors" {
      try FileManager.default.removeItem(atPath: killed + "/" + name)
    }
    guard names.contains("step-000002.safetensors") else { return }
    let resumed = try MPIRun.run(
      ranks: 4, "rehearse", small + ["--steps", "2", "--checkpoint", killed, "--resume"], timeout: 120)
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(losses(resumed.output) == Array(losses(through.output).suffix(2)))
  }

  @Test func `a world of the wrong size is one error`() throws {
    let run = try MPIRun.run(ranks: 3, "rehearse", small + ["--pp", "2"])
    #expect(run.status == 64)
    #expect(errors(run.errors) == 1 && run.errors.contains("mpirun -n 2"))
  }

  @Test func `a text that cannot be read is one error`() throws {
    let run = try MPIRun.run(ranks: 2, "rehearse", small + ["--data", "/nowhere/text"])
    #expect(run.status == 66)
    #expect(errors(run.errors) == 1)
  }

  @Test func `a full disk during a checkpoint is one error, and leaves no torn file`() throws {
    let path = folder()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let run = try MPIRun.run(ranks: 2, "execution-check", ["full-disk", GoldenFiles.models[0], path])
    #expect(run.status == 66, "\(run.errors)")
    #expect(errors(run.errors) == 1)
    #expect(run.seconds < 10)
    #expect((try? FileManager.default.contentsOfDirectory(atPath: path)) == [])
  }

  @Test func `a plan for more ranks than were started says how to start them`() throws {
    let run = try MPIRun.run(ranks: 1, "rehearse", small + ["--pp", "4", "--ep", "2"])
    #expect(run.status == 64)
    #expect(run.errors.contains("mpirun -n 8 rehearse execute"))
  }
}

/// When a rank was killed.
private final class Death: @unchecked Sendable {
  // Written before the run's end and read after it.
  var time: ContinuousClock.Instant?
}
