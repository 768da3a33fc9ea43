import Execution
import Plans
import Programs

/// What a run of some steps gave, on rank 0.
public struct ExecutionResult: Sendable {
  /// One training step.
  public struct Step: Sendable {
    /// From 1.
    public var number: Int
    public var report: StepReport
    /// From the first task of any rank to the last.
    public var seconds: Double
    public var tokensPerSecond: Double
    /// Model FLOPs of forward and backward over the step, causal attention.
    public var gigaflopsPerSecond: Double
  }

  /// Communication or computation of one kind in one step, the mean over steps.
  public struct Kind: Sendable {
    public var name: String
    public var isCompute: Bool
    /// Tasks of all ranks.
    public var tasks: Int
    /// From start to end, summed over a rank's tasks, the mean over ranks.
    public var seconds: Double
    /// Processor time, likewise.
    public var processorSeconds: Double
    /// Bytes that all ranks sent.
    public var bytes: Int64
  }

  public var plan: ValidPlan
  /// How many ranks share how many cores.
  public var share: String
  public var steps: [Step] = []
  public var kinds: [Kind] = []
  /// Tasks, over all steps, whose counted bytes are not the program's.
  public var differences: [String] = []
  public var comparison: StepComparison?
}

extension Program {
  /// What kind of work a task is, in a report's words.
  func kindName(code: Code, task: Int) -> String {
    switch code.kind[task] {
    case .compute: return works[Int(code.work[task])].name
    case .dispatch: return "dispatch"
    case .combine: return "combine"
    case .send: return "pipeline send"
    case .receive: return "pipeline receive"
    default: break
    }
    switch code.purpose[task] {
    case .gradients: return "gradient reduction"
    case .parameters: return "parameter gather"
    case .expertCounts: return "expert counts"
    case .gradientNorm: return "gradient norm"
    case .sharedEmbedding: return "shared embedding"
    case .unspecified, .activation, .inputGradient: return code.kind[task].name
    }
  }
}

/// Sums what steps did by kind of task.
struct KindSums {
  private var kinds: [ExecutionResult.Kind] = []
  private var indices: [String: Int] = [:]
  private var steps = 0

  mutating func add(_ step: MeasuredStep) {
    steps += 1
    let program = step.program.program
    let share = 1e-9 / Double(program.ranks)
    for rank in 0..<program.ranks {
      let code = program.codes[Int(program.codeOfRank[rank])]
      for task in 0..<code.count {
        let name = program.kindName(code: code, task: task)
        let index = indices[name] ?? kinds.count
        if index == kinds.count {
          indices[name] = index
          kinds.append(
            ExecutionResult.Kind(
              name: name, isCompute: code.kind[task] == .compute, tasks: 0, seconds: 0, processorSeconds: 0,
              bytes: 0))
        }
        kinds[index].tasks += 1
        kinds[index].seconds += Double(step.ended[rank][task] - step.started[rank][task]) * share
        kinds[index].processorSeconds += Double(step.processor[rank][task]) * share
        kinds[index].bytes += step.sent[rank][task]
      }
    }
  }

  /// The mean of a step: computation first, the longest first.
  var means: [ExecutionResult.Kind] {
    kinds.map { kind in
      var kind = kind
      kind.tasks /= max(1, steps)
      kind.seconds /= Double(max(1, steps))
      kind.processorSeconds /= Double(max(1, steps))
      kind.bytes /= Int64(max(1, steps))
      return kind
    }.sorted { ($0.isCompute ? 0 : 1, $1.seconds, $0.name) < ($1.isCompute ? 0 : 1, $0.seconds, $1.name) }
  }
}
