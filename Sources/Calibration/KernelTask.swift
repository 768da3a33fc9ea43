import CKernels
import Kernels
import Operators

/// One kernel of one size, to be measured.
struct KernelTask {
  /// What a table's row says of it.
  enum Shape {
    case product(Operators.MatrixProduct.Kind, Pass, rows: Int, columns: Int, depth: Int)
    case attention(isBackward: Bool, sequence: Int, dimension: Int)
    case memoryPass(MemoryPass.Kind, Pass, bytes: Double)
  }

  var shape: Shape
  /// Processor seconds of one call.
  var seconds: (Workspace) -> Double
}

extension KernelTask {
  /// How densely shapes are measured.
  struct Grid {
    var rows = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    var widths = [16, 64, 256, 1024, 2048]
    var sequences = [16, 64, 256, 1024]
    var dimensions = [16, 32, 64, 128]
    var passBytes = [1 << 14, 1 << 17, 1 << 20, 1 << 23]

    /// What a step asks for, in well under a minute.
    static let full = Grid()
  }

  /// Every kernel of a CPU rank, in a fixed order.
  static func all(_ grid: Grid) -> [KernelTask] {
    var tasks: [KernelTask] = []
    for isGrouped in [false, true] {
      for pass in Pass.allCases {
        // Experts have fewer tokens than a micro-batch.
        let tokens = isGrouped ? grid.rows.filter { $0 <= 256 } : grid.rows
        for rows in pass == .weightGradient ? grid.widths : tokens {
          for columns in grid.widths {
            for depth in pass == .weightGradient ? tokens : grid.widths {
              tasks.append(product(isGrouped, pass, rows: rows, columns: columns, depth: depth))
            }
          }
        }
      }
    }
    for isBackward in [false, true] {
      for sequence in grid.sequences {
        for dimension in grid.dimensions {
          tasks.append(.attention(isBackward: isBackward, sequence: sequence, dimension: dimension))
        }
      }
    }
    return tasks + grid.passBytes.flatMap { passes(bytes: $0) }
  }

  /// How many tokens experts have that have `mean` on average: as uneven and odd as routing makes them.
  private static func uneven(_ mean: Int) -> [Int] {
    [0.55, 1.15, 0.85, 1.45, 0.7, 1.3, 0.95, 1.05].map { max(1, Int((Double(mean) * $0).rounded())) }
  }

  /// Products as projections make them: forward by transposed weights, backward by the weights as they lie, and the
  /// gradient of the weights from two activations, added to what is there.
  static func product(_ isGrouped: Bool, _ pass: Pass, rows: Int, columns: Int, depth: Int) -> KernelTask {
    let kind: Operators.MatrixProduct.Kind =
      isGrouped ? .grouped : pass == .weightGradient ? .weightGradient : .dense
    let shape = Shape.product(kind, pass, rows: rows, columns: columns, depth: depth)
    let mean = pass == .weightGradient ? depth : rows
    let tokens = isGrouped ? uneven(mean) : [mean]
    // Rounding may leave more or fewer tokens than were asked for.
    let share = Double(mean) / Double(tokens.reduce(0, +))
    return KernelTask(shape: shape) { workspace in
      let (a, b, c) = (workspace.activations[0], workspace.activations[1], workspace.activations[2])
      return share
        * secondsPerCall { call in
          for (index, tokens) in tokens.enumerated() {
            let turn = call * 8 + index
            switch pass {
            case .forward:
              Kernels.MatrixProduct.multiply(
                a, workspace.cold(columns * depth, call: turn), bTransposed: true, into: c, rows: tokens,
                columns: columns, depth: depth)
            case .inputGradient:
              Kernels.MatrixProduct.multiply(
                a, workspace.cold(columns * depth, call: turn), into: c, rows: tokens, columns: columns,
                depth: depth)
            case .weightGradient:
              Kernels.MatrixProduct.multiply(
                a, aTransposed: true, b, into: workspace.cold(rows * columns, call: turn), rows: rows,
                columns: columns, depth: tokens, accumulate: true)
            }
          }
        }
    }
  }

  /// One head of one sequence.
  static func attention(isBackward: Bool, sequence: Int, dimension: Int) -> KernelTask {
    let shape = Shape.attention(isBackward: isBackward, sequence: sequence, dimension: dimension)
    return KernelTask(shape: shape) { workspace in
      let core = CausalAttention(
        length: sequence, queryKeyWidth: dimension, valueWidth: dimension,
        scale: 1 / Float(dimension).squareRoot())
      // Heads lie side by side in a row; a pitch of eight heads stands for that.
      let pitch = 8 * dimension
      let base = workspace.activations[0]
      func rows(_ head: Int) -> Rows { Rows(base + head * dimension, pitch: pitch) }
      let (logSum, scratch) = (workspace.activations[1], workspace.activations[1] + sequence)
      let forward = {
        core.forward(
          query: rows(0), key: rows(1), value: rows(2), output: rows(3), logSum: logSum, logPitch: 1,
          scratch: scratch)
      }
      guard isBackward else { return secondsPerCall { _ in forward() } }
      forward()
      return secondsPerCall { _ in
        core.gradient(
          query: rows(0), key: rows(1), value: rows(2), output: rows(3), outputGradient: rows(4),
          logSum: logSum,
          logPitch: 1, queryGradient: rows(5), keyGradient: rows(6), valueGradient: rows(7), scratch: scratch)
      }
    }
  }
}
