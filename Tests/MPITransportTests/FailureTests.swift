import Foundation
import TestSupport
import Testing

/// A rank fails in the middle of an all-to-all: the job ends soon, with one message, and leaves no process behind.
@Suite(.serialized, .enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)))
struct FailureTests {
  private func fail(_ how: String, ranks: Int) throws -> MPIRun {
    let mark = "\(how)-\(UUID().uuidString)"
    let run = try MPIRun.run(ranks: ranks, "transport-check", ["failure", how, mark], timeout: 30)
    #expect(run.status != 0)
    #expect(run.seconds < 10, "\(how) took \(run.seconds) s")
    #expect(areGone(mark), "processes are left: \(processes(with: mark))")
    return run
  }

  /// Whether no process with a mark is left; a killed one may take a moment to vanish on a busy machine.
  private func areGone(_ mark: String) -> Bool {
    for _ in 0..<50 {
      if processes(with: mark).isEmpty { return true }
      Thread.sleep(forTimeInterval: 0.1)
    }
    return false
  }

  /// What our own ranks said; the rest is `mpirun`'s.
  private func own(_ run: MPIRun) -> [String] {
    run.errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("transport-check") }
  }

  @Test(arguments: [2, 4, 8])
  func `a killed rank is told by mpirun alone`(ranks: Int) throws {
    let run = try fail("kill", ranks: ranks)
    #expect(run.status == 137)
    #expect(own(run).isEmpty, "\(run.errors)")
    #expect(run.errors.contains("exited on signal 9"), "\(run.errors)")
    #expect(!run.errors.contains("Read -1"), "\(run.errors)")
  }

  @Test(arguments: [2, 8])
  func `a rank that leaves without a word is told by mpirun alone`(ranks: Int) throws {
    let run = try fail("exit", ranks: ranks)
    #expect(own(run).isEmpty, "\(run.errors)")
    #expect(run.errors.contains("exiting improperly"), "\(run.errors)")
  }

  @Test(arguments: [2, 8])
  func `a rank that throws is the one that tells`(ranks: Int) throws {
    let run = try fail("throw", ranks: ranks)
    #expect(run.status == 3)
    #expect(own(run) == ["transport-check: rank 1 has failed"])
    #expect(!run.errors.contains("Read -1"), "\(run.errors)")
  }

  @Test(arguments: [2, 8])
  func `where all ranks throw, one tells`(ranks: Int) throws {
    let run = try fail("everyone", ranks: ranks)
    #expect(run.status == 3)
    #expect(own(run).count == 1, "\(run.errors)")
  }

  @Test(arguments: [2, 8])
  func `a rank that comes to its end too early is not waited for`(ranks: Int) throws {
    let run = try fail("finish", ranks: ranks)
    #expect(run.status == 3)
    #expect(own(run).count == 1, "\(run.errors)")
    #expect(
      own(run).first?.hasSuffix("but rank 1 has ended after 5 on that channel") == true, "\(run.errors)")
  }

  @Test(arguments: [
    ("length", "rank 0 receives 100 bytes from rank 1 with tag 1: MPI_ERR_TRUNCATE: message truncated"),
    ("short", "rank 0 receives 100 bytes from rank 1 with tag 1, but 10 bytes were sent"),
  ])
  func `messages of another length than expected are refused`(how: String, message: String) throws {
    let run = try fail(how, ranks: 2)
    #expect(own(run) == ["transport-check: " + message], "\(run.errors)")
  }

  @Test func `what all ranks refuse before MPI starts is told once`() throws {
    let run = try MPIRun.run(ranks: 4, "transport-check", ["refuse"], timeout: 30)
    #expect(run.status == 4)
    #expect(run.seconds < 10)
    #expect(own(run) == ["transport-check: refused"])
  }

  @Test(arguments: [SIGKILL, SIGTERM, SIGINT])
  func `ranks do not outlive mpirun`(signal: Int32) throws {
    let mark = "orphan-\(UUID().uuidString)"
    let run = try MPIRun.run(ranks: 4, "transport-check", ["failure", "never", mark], timeout: 30) { mpirun in
      // `mpirun` and four ranks.
      for _ in 0..<100 where processes(with: mark).count < 5 { usleep(100_000) }
      #expect(processes(with: mark).count == 5)
      usleep(500_000)
      kill(mpirun, signal)
    }
    #expect(run.seconds < 20)
    for _ in 0..<50 where !processes(with: mark).isEmpty { usleep(100_000) }
    #expect(processes(with: mark).isEmpty)
    #expect(own(run).isEmpty, "\(run.errors)")
  }

  @Test func `a job that hangs is ended by the time that mpirun is given`() throws {
    let run = try MPIRun.run(ranks: 2, "transport-check", ["failure", "never"], timeout: 2)
    #expect(run.status == 110)
    #expect(own(run).isEmpty)
  }
}

/// Processes that still run and have this among their arguments; a process that has ended shows none.
private func processes(with mark: String) -> [String] {
  let folder = URL(filePath: "/proc")
  let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter {
    Int($0) != nil
  }
  return numbers.filter { number in
    let line = try? Data(contentsOf: folder.appending(path: number).appending(path: "cmdline"))
    return line.map { String(decoding: $0, as: UTF8.self).contains(mark) } ?? false
  }
}
