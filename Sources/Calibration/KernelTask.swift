import CKernels
import Kernels
import Operators

/// One kernel of one size, to be measured.
struct KernelTask {
  /// What a table's row says of it.
  enum Shape {
    case product(Pass, rows: Int, columns: Int, depth: Int)
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
    for pass in Pass.allCases {
      for rows in pass == .weightGradient ? grid.widths : grid.rows {
        for columns in grid.widths {
          for depth in pass == .weightGradient ? grid.rows : grid.widths {
            tasks.append(.product(pass, rows: rows, columns: columns, depth: depth))
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

  /// A product as a projection makes it: forward by transposed weights, backward by the weights as they lie, and the
  /// gradient of the weights from two activations, added to what is there.
  static func product(_ pass: Pass, rows: Int, columns: Int, depth: Int) -> KernelTask {
    KernelTask(shape: .product(pass, rows: rows, columns: columns, depth: depth)) { workspace in
      let (a, b, c) = (workspace.activations[0], workspace.activations[1], workspace.activations[2])
      return secondsPerCall { call in
        switch pass {
        case .forward:
          Kernels.MatrixProduct.multiply(
            a, workspace.cold(columns * depth, call: call), bTransposed: true, into: c, rows: rows,
            columns: columns, depth: depth)
        case .inputGradient:
          Kernels.MatrixProduct.multiply(
            a, workspace.cold(columns * depth, call: call), into: c, rows: rows, columns: columns, depth: depth)
        case .weightGradient:
          Kernels.MatrixProduct.multiply(
            a, aTransposed: true, b, into: workspace.cold(rows * columns, call: call), rows: rows,
            columns: columns, depth: depth, accumulate: true)
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
          query: rows(0), key: rows(1), value: rows(2), output: rows(3), outputGradient: rows(4), logSum: logSum,
          logPitch: 1, queryGradient: rows(5), keyGradient: rows(6), valueGradient: rows(7), scratch: scratch)
      }
    }
  }
}
