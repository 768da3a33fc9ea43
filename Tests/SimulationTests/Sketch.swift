import Operators
import Programs
import Simulation
import Timelines
import Timing
import Units

/// A program of a few tasks and their costs, written as text: a line for each rank, its tasks with `;` between them.
///
///     compute a 4; send m 2 nic=1 after a
///     receive m 2 nic=1; compute b 3 after m
///
/// A task has a kind, a name of one letter, the microseconds that it takes alone, and then, as it likes, the
/// share of a link that it uses (`nic=0.5`, `nvlink=1`), of a processor (`processor=0.5`), how much slower it goes beside compute (`slow=2`),
/// its lane (`on=reduction`) and the tasks of its rank that it waits for. Tasks of one letter on two ranks
/// are the ends of a message, or a collective of all.
struct Sketch {
  private(set) var program: Program
  private var costs: [[Cost]] = []
  private var names: [[Character]] = []
  private let processors: SharedProcessors?

  /// - Parameter processors: Of one node with all ranks; compute takes a whole one.
  init(_ text: String, ranks order: [Int]? = nil, processors: Int? = nil) {
    let lines = text.split(separator: "\n").map(String.init)
    // Renumbered ranks must behave alike; `order[i]` is the rank that line i describes.
    let rankOfLine = order ?? Array(lines.indices)
    self.processors = processors.map { SharedProcessors(processorsPerNode: $0, ranksPerNode: lines.count) }
    let tasks = lines.map { line in
      line.split(separator: ";").map { $0.split(separator: " ").map(String.init) }.filter { !$0.isEmpty }
    }
    program = Program(
      name: "sketch", codeOfRank: lines.indices.map { _ in -1 },
      communicators: [Communicator(name: "all", ranks: lines.count, groups: [Array(lines.indices)])],
      works: [Work(name: "work", pass: .forward, kernels: [])])
    for (line, list) in tasks.enumerated() {
      var code = Code(name: "line \(line)")
      var lineCosts: [Cost] = []
      let letters = list.map { Character($0[1]) }
      for words in list {
        let other = tasks.indices.first { $0 != line && tasks[$0].contains { $0[1] == words[1] } }
        var (task, cost, after) = Self.task(words, letters)
        if task.kind == .send || task.kind == .receive { task.peer = Int32(rankOfLine[other!]) }
        code.append(task, after: after)
        lineCosts.append(cost)
        after = []
      }
      program.codeOfRank[rankOfLine[line]] = Int32(line)
      program.codes.append(code)
      costs.append(lineCosts)
      names.append(letters)
    }
  }

  private static func task(_ words: [String], _ letters: [Character]) -> (Code.Task, Cost, [TaskIndex]) {
    let kind = TaskKind.allCases.first { $0.name == words[0] }!
    let isUpper = words[1] == words[1].uppercased()
    var lane = Lane.communication
    if kind == .compute { lane = .compute }
    if kind == .send || kind == .receive {
      lane = .pipeline(isSend: kind == .send, isForward: isUpper, toHigherRank: true)
    }
    var cost = Cost(alone: Span(microseconds: Double(words[2])!), processorShare: kind == .compute ? 1 : 0)
    var after: [TaskIndex] = []
    for word in words.dropFirst(3) where word != "after" {
      let parts = word.split(separator: "=").map(String.init)
      switch parts[0] {
      case "nic": (cost.linkShare.2, cost.linkShare.3) = (Double(parts[1])!, Double(parts[1])!)
      case "nvlink": (cost.linkShare.0, cost.linkShare.1) = (Double(parts[1])!, Double(parts[1])!)
      case "processor": cost.processorShare = Double(parts[1])!
      case "slow": cost.slowdownBesideCompute = Double(parts[1])!
      case "on": lane = Lane(name: parts[1])!
      default: after.append(TaskIndex(letters.firstIndex(of: Character(word))!))
      }
    }
    var task = Code.Task(kind, on: lane)
    if kind == .compute { task.work = 0 } else { task.communicator = 0 }
    task.tag = Int32(Character(words[1]).asciiValue!)
    return (task, cost, after)
  }

  func run() throws -> Timeline {
    let verified = try VerifiedProgram(program)
    return Simulator.run(verified, costs: ProgramCosts(verified, processors: processors) { costs[$0][$1] })
  }

  /// The timeline drawn: a row for each lane, a letter for each microsecond of a task, `-` where it waits for
  /// others, `.` where the lane is empty.
  func drawing() throws -> String {
    let timeline = try run()
    let unit: Int64 = 1_000_000
    var rows: [String] = []
    for rank in 0..<program.ranks {
      let role = Int(timeline.program.roles.roleOfRank[rank])
      let code = timeline.program.code(ofRole: role)
      for lane in Lane.all {
        let tasks = (0..<code.count).filter { code.lane[$0] == lane }
        guard !tasks.isEmpty else { continue }
        var cells: [Character] = []
        for task in tasks {
          let letter = names[Int(program.codeOfRank[rank])][task]
          func fill(to end: Int64, with cell: Character) {
            while cells.count < Int((end + unit / 2) / unit) { cells.append(cell) }
          }
          fill(to: timeline.started[role][task], with: ".")
          fill(to: timeline.began[role][task], with: "-")
          fill(to: timeline.ended[role][task], with: letter)
        }
        rows.append("\(rank) \(lane.name.split(separator: "_").first!): " + String(cells))
      }
    }
    return rows.joined(separator: "\n")
  }
}
