import Foundation

/// What one run of a program under `mpirun` did.
public struct MPIRun: Sendable {
  /// `mpirun`'s own exit status; that of a signal as a shell would say it.
  public var status: Int32
  public var output: String
  public var errors: String
  public var seconds: Double

  private static let turn = NSLock()
  private static let path: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    .map { "\($0)/mpirun" }.first(where: FileManager.default.isExecutableFile)

  /// Tests that need more than one process are skipped where this is false.
  public static let isAvailable = path != nil
  /// For `.enabled(if:)`.
  public static let reason = "needs Open MPI's mpirun"

  /// The folder of the executables that were built beside this test.
  public static func productsFolder() throws -> URL {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(filePath: own).deletingLastPathComponent()
  }

  /// Runs a product of this package on so many ranks and waits for its end.
  ///
  /// Ranks share the cores of small machines: they give their core away while they wait, and are bound to none.
  /// - Parameters:
  ///   - environment: Laid over this process's own, without what a launcher has left there.
  ///   - timeout: Seconds after which `mpirun` ends the job (status 110).
  ///   - whileRunning: Called once `mpirun` runs, with its process number.
  public static func run(
    ranks: Int, _ product: String, _ arguments: [String], environment: [String: String] = [:],
    timeout: Int = 60,
    whileRunning: @Sendable (Int32) throws -> Void = { _ in }
  ) throws -> MPIRun {
    let process = Process()
    process.executableURL = URL(filePath: path ?? "mpirun")
    process.arguments =
      [
        "--oversubscribe", "--bind-to", "none", "--timeout", "\(timeout)", "--mca", "pml", "ob1",
        "--mca", "btl", "self,vader", "-n", "\(ranks)",
      ] + [try productsFolder().appending(path: product).path] + arguments
    process.environment = cleaned(ProcessInfo.processInfo.environment).merging(environment) { $1 }
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    // Tests run in parallel; jobs take turns, so that a job's time is its own.
    turn.lock()
    defer { turn.unlock() }
    let start = ContinuousClock.now
    try withSignals { try process.run() }
    // Both pipes are drained at once: a full one would stop the job.
    let errorText = Drained(errors.fileHandleForReading)
    let outputText = Drained(output.fileHandleForReading)
    var failure: (any Error)?
    do { try whileRunning(process.processIdentifier) } catch { failure = error }
    process.waitUntilExit()
    let span = start.duration(to: .now)
    let (text, complaints) = (outputText.wait(), errorText.wait())
    if let failure { throw failure }
    let status = process.terminationStatus
    return MPIRun(
      status: process.terminationReason == .uncaughtSignal ? 128 + status : status, output: text,
      errors: complaints, seconds: span / .seconds(1))
  }

  /// Threads of Swift's pool block signals, and what they start inherits that; a shell's children get them.
  private static func withSignals(_ body: () throws -> Void) rethrows {
    var (none, before) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try body()
  }

  /// An environment without a launcher's variables, and with what ranks on few cores need.
  private static func cleaned(_ environment: [String: String]) -> [String: String] {
    let launchers = ["OMPI_", "PMIX_", "ORTE_", "PMI_", "OPAL_", "SLURM_"]
    var result = environment.filter { entry in !launchers.contains { entry.key.hasPrefix($0) } }
    result["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    result["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    result["OMPI_MCA_mpi_yield_when_idle"] = "1"
    result["OPENBLAS_NUM_THREADS"] = "1"
    result["SWIFT_BACKTRACE"] = "enable=no"
    return result
  }
}

/// What comes out of a pipe, read on a thread of its own.
private final class Drained: @unchecked Sendable {
  private let condition = NSCondition()
  private var text: String?

  init(_ handle: FileHandle) {
    let thread = Thread { [self] in
      let data = (try? handle.readToEnd()) ?? Data()
      condition.lock()
      text = String(decoding: data, as: UTF8.self)
      condition.signal()
      condition.unlock()
    }
    thread.start()
  }

  func wait() -> String {
    condition.lock()
    defer { condition.unlock() }
    while text == nil { condition.wait() }
    return text ?? ""
  }
}
