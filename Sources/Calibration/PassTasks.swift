import CKernels
import Kernels
import Operators

/// Elementwise kernels. Bytes are those that the operators of a model count for the same work, in float32.
extension KernelTask {
  /// Rows have a width as layers have, so that what is done once for a row counts as much as there.
  private static let width = 256

  /// Every kind of pass that moves about so many bytes.
  static func passes(bytes: Int) -> [KernelTask] {
    copies(bytes: bytes) + [sums(bytes: bytes)] + norms(bytes: bytes) + activations(bytes: bytes) + [
      rotary(bytes: bytes)
    ]
      + routers(bytes: bytes) + losses(bytes: bytes) + embeddings(bytes: bytes) + [optimizer(bytes: bytes)]
  }

  /// - Parameters:
  ///   - perRow: Bytes that the operators count for a row.
  ///   - body: Works on so many rows.
  private static func rowwise(
    _ kind: MemoryPass.Kind, _ pass: Pass, bytes: Int, perRow: Int,
    _ body: @escaping (_ workspace: Workspace, _ rows: Int, _ call: Int) -> Void
  ) -> KernelTask {
    let rows = max(1, bytes / perRow)
    return KernelTask(shape: .memoryPass(kind, pass, bytes: Double(rows * perRow))) { workspace in
      secondsPerCall { body(workspace, rows, $0) }
    }
  }

  /// Rows gathered by index: how tokens become experts' rows, and the order of sending. They go where other layers'
  /// and micro-batches' lay before.
  private static func copies(bytes: Int) -> [KernelTask] {
    let rows = max(1, bytes / (8 * width))
    // A fixed permutation that jumps about.
    let order = (0..<rows).map { Int32(($0 &* 7919 + 13) % rows) }
    return [
      rowwise(.copy, .forward, bytes: bytes, perRow: 8 * width) { workspace, rows, call in
        ck_gather_rows(
          workspace.activations[0], order, rows, width, workspace.cold(rows * width, call: call))
      }
    ]
  }

  /// Four rows of each token, with weights: experts' outputs on their way back.
  private static func sums(bytes: Int) -> KernelTask {
    let perToken = 4
    let tokens = max(1, bytes / (4 * width * (perToken + 1)))
    let rows = tokens * perToken
    let starts = (0...tokens).map { Int32($0 * perToken) }
    let order = (0..<rows).map { Int32(($0 &* 7919 + 13) % rows) }
    return rowwise(.rowSum, .forward, bytes: bytes, perRow: 4 * width * (perToken + 1)) {
      workspace, tokens, _ in
      ck_sum_rows(
        workspace.activations[0], starts, order, workspace.positives, tokens, width, 0,
        workspace.activations[1])
    }
  }

  private static func norms(bytes: Int) -> [KernelTask] {
    let norm = RMSNorm(width: width, epsilon: 1e-6)
    return [
      rowwise(.norm, .forward, bytes: bytes, perRow: 8 * width) { workspace, rows, _ in
        norm.forward(
          input: workspace.activations[0], pitch: width, rows: rows, weight: workspace.activations[2],
          inverse: workspace.activations[2] + width, output: workspace.activations[1], outputPitch: width)
      },
      rowwise(.norm, .inputGradient, bytes: bytes, perRow: 12 * width) { workspace, rows, call in
        norm.gradient(
          outputGradient: workspace.activations[0], gradientPitch: width,
          input: workspace.cold(rows * width, call: call), pitch: width, rows: rows,
          weight: workspace.activations[2],
          inverse: workspace.activations[2] + width, inputGradient: workspace.activations[0],
          inputGradientPitch: width, weightGradient: workspace.activations[2] + (1 << 20))
      },
    ]
  }

  private static func activations(bytes: Int) -> [KernelTask] {
    [
      rowwise(.activation, .forward, bytes: bytes, perRow: 12 * width) { workspace, rows, _ in
        for row in 0..<rows {
          let gate = workspace.activations[0] + 2 * row * width
          ck_swiglu(gate, gate + width, workspace.activations[1] + row * width, width)
        }
      },
      rowwise(.activation, .inputGradient, bytes: bytes, perRow: 20 * width) { workspace, rows, call in
        // Gradients of gradients would soon be none: gate and up are fresh each time.
        let gates = workspace.cold(2 * rows * width, call: call)
        for row in 0..<rows {
          let gate = gates + 2 * row * width
          ck_swiglu_gradient(
            gate, gate + width, workspace.activations[1] + row * width, gate, gate + width, width)
        }
      },
    ]
  }

  /// Queries of eight heads turned by position, and their keys put together.
  private static func rotary(bytes: Int) -> KernelTask {
    let (heads, content, half, length) = (8, 64, 16, 128)
    let head = content + 2 * half
    // Of a token: the key gathered, the value copied, the query passed through.
    let perRow = 4 * heads * (2 * head + 2 * head + 2 * content)
    return rowwise(.rotary, .forward, bytes: bytes, perRow: perRow) { workspace, rows, _ in
      let queries = workspace.activations[0]
      let angles = workspace.activations[2]
      ck_rotate(
        queries + content, heads * head, rows, heads, head, length, angles, angles + length * half, half, 1, 0
      )
      for row in 0..<rows * heads {
        let key = workspace.activations[1] + row * head
        key.update(from: angles + row * content, count: content)
        (key + content).update(from: angles + row / heads * 2 * half, count: 2 * half)
      }
    }
  }

  /// Scores, choice and weights of a token among 64 experts in 8 groups.
  private static func routers(bytes: Int) -> [KernelTask] {
    let router = Router(experts: 64, topK: 8, groups: 8, limitedGroups: 4)
    func indices(_ workspace: Workspace) -> UnsafeMutablePointer<Int32> {
      UnsafeMutableRawPointer(workspace.activations[2]).assumingMemoryBound(to: Int32.self)
    }
    return [
      rowwise(.router, .forward, bytes: bytes, perRow: 32 * router.experts) { workspace, tokens, _ in
        let scores = workspace.activations[1]
        router.score(logits: workspace.activations[0], tokens: tokens, scores: scores)
        router.choose(
          scores: scores, bias: nil, tokens: tokens, scratch: workspace.activations[0] + (4 << 20),
          indices: indices(workspace))
        router.weigh(
          scores: scores, indices: indices(workspace), tokens: tokens,
          weights: workspace.activations[0] + (5 << 20))
      },
      rowwise(.router, .inputGradient, bytes: bytes, perRow: 24 * router.experts) { workspace, tokens, _ in
        let scores = workspace.activations[1]
        for choice in 0..<tokens * router.topK {
          indices(workspace)[choice] = Int32((choice &* 37) % router.experts)
        }
        let gradients = workspace.activations[0] + (4 << 20)
        gradients.update(repeating: 0, count: tokens * router.experts)
        router.addScoreGradient(
          weightGradients: workspace.activations[0], scores: scores, indices: indices(workspace),
          tokens: tokens,
          scoreGradients: gradients)
        router.turnIntoLogitGradient(gradients, scores: scores, tokens: tokens)
      },
    ]
  }

  /// One kernel gives loss and gradient, in the forward; where the operators count bytes of a backward, nothing is left
  /// to do.
  private static func losses(bytes: Int) -> [KernelTask] {
    let vocabulary = 1024
    let labels = [Int32](repeating: 7, count: max(1, bytes / (12 * vocabulary)))
    return [
      rowwise(.loss, .forward, bytes: bytes, perRow: 12 * vocabulary) { workspace, rows, call in
        _ = ck_cross_entropy(workspace.cold(rows * vocabulary, call: call), rows, vocabulary, labels, 1)
      },
      rowwise(.loss, .inputGradient, bytes: bytes, perRow: 12 * vocabulary) { _, _, _ in },
    ]
  }

  private static func embeddings(bytes: Int) -> [KernelTask] {
    let (vocabulary, forwardRow, backwardRow) = (4096, 8 * width, 12 * width)
    func ids(_ rows: Int) -> [Int32] { (0..<rows).map { Int32(($0 &* 7919) % vocabulary) } }
    func block(_ rows: Int) -> EmbeddingBlock {
      EmbeddingBlock(hidden: width, vocabulary: vocabulary, tokens: rows)
    }
    let (forwardIDs, backwardIDs) = (ids(max(1, bytes / forwardRow)), ids(max(1, bytes / backwardRow)))
    let (forward, backward) = (block(forwardIDs.count), block(backwardIDs.count))
    return [
      rowwise(.embedding, .forward, bytes: bytes, perRow: forwardRow) { workspace, _, call in
        forward.forward(
          ids: forwardIDs, parameters: workspace.cold(vocabulary * width, call: call),
          output: workspace.activations[0])
      },
      rowwise(.embedding, .weightGradient, bytes: bytes, perRow: backwardRow) { workspace, _, call in
        backward.weightGradient(
          ids: backwardIDs, outputGradient: workspace.activations[0],
          gradients: workspace.cold(vocabulary * width, call: call))
      },
    ]
  }

  private static func optimizer(bytes: Int) -> KernelTask {
    // Gradient, parameter and two moments read; parameter and moments written.
    rowwise(.optimizer, .weightGradient, bytes: bytes, perRow: 28 * width) { workspace, rows, call in
      let count = rows * width
      let base = workspace.cold(4 * count, call: call)
      AdamW().update(
        parameters: base, gradients: base + count, firstMoments: base + 2 * count,
        secondMoments: workspace.positives, count: count, step: 1, learningRate: 0)
    }
  }
}
