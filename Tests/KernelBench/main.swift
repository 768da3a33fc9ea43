import CKernels
import COpenBLAS
import Foundation
import Kernels

// Measures the kernels of mixture-of-experts layers: `kernel-bench layer CASE THREADS [repeats]` prints one JSON line
// of seconds, `kernel-bench grouped` the share of the machine's peak that expert products reach.

/// Seconds on the clock and on all processors together.
struct Stopwatch {
  private let clock = Self.now(CLOCK_MONOTONIC)
  private let processor = Self.now(CLOCK_PROCESS_CPUTIME_ID)

  private static func now(_ id: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(id, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  var seconds: Double { Self.now(CLOCK_MONOTONIC) - clock }
  var processorSeconds: Double { Self.now(CLOCK_PROCESS_CPUTIME_ID) - processor }
}

/// Numbers that are the same on every run, about evenly spread in -scale ..< scale.
func filled(_ count: Int, scale: Float) -> UnsafeMutablePointer<Float> {
  // Aligned as PyTorch's tensors are, and the executor's buffers.
  let buffer = UnsafeMutableRawPointer.allocate(byteCount: 4 * max(1, count), alignment: 64)
    .bindMemory(to: Float.self, capacity: count)
  var state: UInt64 = UInt64(count) | 1
  for index in 0..<count {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    buffer[index] = (Float(state >> 40) * 0x1p-23 - 1) * scale
  }
  return buffer
}

/// A layer as the peers know it by name.
struct LayerCase {
  var hidden, intermediate, experts, groups, limitedGroups, topK, tokens: Int
  var isShared: Bool

  static let all = [
    "mid": LayerCase(
      hidden: 1024, intermediate: 512, experts: 64, groups: 8, limitedGroups: 4, topK: 8, tokens: 2048,
      isShared: true),
    "big8": LayerCase(
      hidden: 7168, intermediate: 2048, experts: 8, groups: 1, limitedGroups: 1, topK: 8, tokens: 1024,
      isShared: false),
    "big16": LayerCase(
      hidden: 7168, intermediate: 2048, experts: 16, groups: 1, limitedGroups: 1, topK: 8, tokens: 1024,
      isShared: false),
    "ep8": LayerCase(
      hidden: 7168, intermediate: 2048, experts: 8, groups: 1, limitedGroups: 1, topK: 1, tokens: 1024,
      isShared: false),
    "tiny": LayerCase(
      hidden: 64, intermediate: 32, experts: 16, groups: 4, limitedGroups: 2, topK: 4, tokens: 128,
      isShared: true),
  ]

  /// Forward and backward, without the elementwise work.
  var operations: Double {
    let rows = Double(tokens * topK + (isShared ? tokens : 0))
    return 3 * (6 * Double(hidden * intermediate) * rows + 2 * Double(tokens * hidden * experts))
  }
}

func measureLayer(_ name: String, threads: Int, repeats: Int) {
  guard let shape = LayerCase.all[name] else {
    FileHandle.standardError.write(Data("no case \(name)\n".utf8))
    exit(2)
  }
  MatrixProduct.setThreads(threads)
  let layer = MixtureLayer(
    router: Router(
      experts: shape.experts, topK: shape.topK, groups: shape.groups, limitedGroups: shape.limitedGroups,
      scaling: 2.5),
    hidden: shape.hidden, intermediate: shape.intermediate,
    sharedIntermediate: shape.isShared ? shape.intermediate : 0, tokens: shape.tokens)
  let inner = (3 / Float(shape.hidden)).squareRoot()
  let router = filled(shape.experts * shape.hidden, scale: inner)
  let experts = filled(layer.experts.parameters.count, scale: inner)
  let shared = filled(max(1, layer.shared?.parameters.count ?? 0), scale: inner)
  let x = filled(shape.tokens * shape.hidden, scale: 1.7)
  let dy = filled(shape.tokens * shape.hidden + 1, scale: 1.7)
  let y = filled(shape.tokens * shape.hidden, scale: 0)
  let dx = filled(shape.tokens * shape.hidden, scale: 0)
  let routerGradient = filled(shape.experts * shape.hidden, scale: 0)
  let expertGradient = filled(layer.experts.parameters.count, scale: 0)
  let sharedGradient = filled(max(1, layer.shared?.parameters.count ?? 0), scale: 0)
  let parameters = MixtureLayer.Parameters<UnsafePointer<Float>>(
    router: UnsafePointer(router), experts: UnsafePointer(experts), shared: UnsafePointer(shared))
  let gradients = MixtureLayer.Parameters(
    router: routerGradient, experts: expertGradient, shared: sharedGradient)
  var best = [Double](repeating: .infinity, count: 8)
  for _ in 0...repeats {
    let whole = Stopwatch()
    var times: [Double] = []
    func measure(_ body: () -> Void) {
      let watch = Stopwatch()
      body()
      times += [watch.seconds, watch.processorSeconds]
    }
    measure { layer.forward(input: x, parameters: parameters, bias: nil, output: y) }
    measure { layer.inputGradient(outputGradient: dy, parameters: parameters, inputGradient: dx) }
    // As the peers do: what was in the gradients is replaced.
    measure { layer.weightGradient(input: x, outputGradient: dy, gradients: gradients, accumulate: false) }
    times += [whole.seconds, whole.processorSeconds]
    best = zip(best, times).map(min)
  }
  let names = ["forward", "input_gradient", "weight_gradient", "total"]
  let parts = names.indices.map { index in
    "\"\(names[index])\": \(best[2 * index]), \"\(names[index])_cpu\": \(best[2 * index + 1])"
  }
  print(
    "{\"case\": \"\(name)\", \"threads\": \(threads), \(parts.joined(separator: ", ")), "
      + "\"gflops\": \(shape.operations / best[6] / 1e9), \"gflops_cpu\": \(shape.operations / best[7] / 1e9)}"
  )
}

/// GFLOP/s of processor time, once.
func rate(_ operations: Double, _ body: () -> Void) -> Double {
  let watch = Stopwatch()
  body()
  return operations / watch.processorSeconds / 1e9
}

/// The best of some tries.
func rate(_ operations: Double, tries: Int, _ body: () -> Void) -> Double {
  (0..<tries).map { _ in rate(operations, body) }.max() ?? 0
}

/// Multiply-adds that need no memory, the best of three short runs.
func peakRate() -> Double {
  (0..<3).map { _ in
    let watch = Stopwatch()
    let operations = ck_peak_operations(100_000)
    return operations / watch.processorSeconds / 1e9
  }.max() ?? 0
}

func measureGrouped() {
  MatrixProduct.setThreads(1)
  // The clock of a core moves with its neighbours' load: the peak is measured again before every try of a product.
  var peak = (0..<20).map { _ in peakRate() }.max() ?? 0
  let size = 1536
  let (a, b, c) = (
    filled(size * size, scale: 1), filled(size * size, scale: 1), filled(size * size, scale: 0)
  )
  let cube = 2 * Double(size * size * size)
  let library = rate(cube, tries: 5) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(size), blasint(size), blasint(size), 1, a,
      blasint(size), b,
      blasint(size), 0, c, blasint(size))
  }
  let own = rate(cube, tries: 5) {
    ck_product(size, size, size, 1, a, 0, size, b, 0, size, c, size, 0)
  }
  var lines: [(label: String, rates: [Double])] = []
  for (hidden, intermediate, experts) in [(1024, 512, 32), (7168, 2048, 4)] {
    let weights = filled(experts * hidden * intermediate, scale: 0.1)
    let gradients = filled(experts * hidden * intermediate, scale: 0)
    for rows in [16, 32, 64, 128, 256] {
      let x = filled(rows * experts * hidden, scale: 1)
      let h = filled(rows * experts * intermediate, scale: 1)
      let operations = 2 * Double(rows * hidden * intermediate * experts)
      func grouped(_ body: (Int) -> Void) -> Double {
        (0..<(hidden > 4000 ? 8 : 24)).map { _ in
          peak = max(peak, peakRate())
          return rate(operations) { for expert in 0..<experts { body(expert) } }
        }.max() ?? 0
      }
      let rates = [
        grouped {
          MatrixProduct.multiply(
            x + $0 * rows * hidden, weights + $0 * hidden * intermediate, bTransposed: true,
            into: h + $0 * rows * intermediate, rows: rows, columns: intermediate, depth: hidden)
        },
        grouped {
          MatrixProduct.multiply(
            h + $0 * rows * intermediate, weights + $0 * hidden * intermediate, bTransposed: true,
            into: x + $0 * rows * hidden, rows: rows, columns: hidden, depth: intermediate)
        },
        grouped {
          MatrixProduct.multiply(
            h + $0 * rows * intermediate, weights + $0 * hidden * intermediate,
            into: x + $0 * rows * hidden, rows: rows, columns: hidden, depth: intermediate)
        },
        grouped {
          MatrixProduct.multiply(
            h + $0 * rows * intermediate, aTransposed: true, x + $0 * rows * hidden,
            into: gradients + $0 * hidden * intermediate, rows: intermediate, columns: hidden, depth: rows)
        },
      ]
      lines.append(("\(hidden) x \(intermediate), \(rows) rows", rates))
      x.deallocate()
      h.deallocate()
    }
    weights.deallocate()
    gradients.deallocate()
  }
  // All against the highest rate of the whole run.
  let highest = max(peak, library, own)
  print(
    String(
      format: "peak of multiply-adds %.0f GFLOP/s, square product: library %.0f, own %.0f", peak, library, own
    ))
  for (label, rates) in lines {
    let shares = rates.map { String(format: "%.0f (%.1f %%)", $0, $0 / highest * 100) }
    print("\(label): up \(shares[0]), down \(shares[1]), dx \(shares[2]), dW \(shares[3])")
  }
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "layer" where arguments.count >= 3:
  measureLayer(
    arguments[1], threads: Int(arguments[2]) ?? 1, repeats: arguments.count > 3 ? Int(arguments[3]) ?? 5 : 5)
case "grouped":
  measureGrouped()
default:
  FileHandle.standardError.write(
    Data("usage: kernel-bench layer CASE THREADS [REPEATS] | kernel-bench grouped\n".utf8))
  exit(2)
}
