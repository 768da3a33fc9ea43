import CMPI
import Execution

/// What the launcher says of this process, read from its environment before MPI starts.
public struct World: Hashable, Sendable {
  public var rank: Int
  public var size: Int
  /// This rank among those of its machine, and their number; as the launcher says, else all ranks.
  public var localRank: Int
  public var localSize: Int
  /// A folder of this job on this machine, which the launcher removes; nil if it names none.
  public var sessionFolder: String?

  public init(rank: Int, size: Int, localRank: Int, localSize: Int, sessionFolder: String? = nil) {
    self.rank = rank
    self.size = size
    self.localRank = localRank
    self.localSize = localSize
    self.sessionFolder = sessionFolder
  }

  /// Reads what `mpirun` of Open MPI, `srun` or a PMI launcher sets; nil where this process was started alone.
  ///
  /// Errors: variables that contradict each other or are no numbers.
  public init?(environment: [String: String]) throws(TransportError) {
    func number(_ names: [String], _ allowed: (Int) -> Bool) throws(TransportError) -> Int? {
      for name in names {
        guard let text = environment[name] else { continue }
        guard let value = Int(text), allowed(value) else {
          throw TransportError("the environment's \(name) is \(text), which is no such number")
        }
        return value
      }
      return nil
    }
    let rank = try number(["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"]) { $0 >= 0 }
    let size = try number(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]) { $0 > 0 }
    if rank == nil && size == nil { return nil }
    // srun with PMIx names the rank only; the number of tasks is Slurm's.
    let slurm = try number(["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"]) { $0 > 0 }
    guard let rank, let tasks = size ?? slurm else {
      throw TransportError("the environment gives a rank without a number of ranks, or the reverse")
    }
    guard rank < tasks else { throw TransportError("the environment says rank \(rank) of \(tasks)") }
    let localSize = try number(["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"]) { $0 > 0 }
    let localRank = try number(["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"]) { $0 >= 0 }
    self.init(
      rank: rank, size: tasks, localRank: localRank ?? rank, localSize: localSize ?? tasks,
      sessionFolder: environment["PMIX_SERVER_TMPDIR"] ?? environment["OMPI_FILE_LOCATION"])
  }

  /// How many cores this process may run on, by `sched_getaffinity`; under `mpirun` that depends on `--bind-to`.
  public static var availableCores: Int {
    var mask = [UInt8](repeating: 0, count: 128)
    return max(1, Int(cmpi_cores(&mask, 128)))
  }
}

/// How many ranks of one machine run on how many of its cores.
public struct CoreShare: Hashable, Sendable, CustomStringConvertible {
  public var ranks: Int
  public var cores: Int

  public init(ranks: Int, cores: Int) {
    self.ranks = ranks
    self.cores = cores
  }

  /// Ranks outnumber cores.
  public var isShared: Bool { ranks > cores }

  /// "8 ranks share 2 cores", "2 ranks on 4 cores".
  public var description: String {
    "\(ranks) rank\(ranks == 1 ? "" : "s") \(isShared ? ranks == 1 ? "shares" : "share" : "on")"
      + " \(cores) core\(cores == 1 ? "" : "s")"
  }
}
