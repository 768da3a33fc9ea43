import Kernels

/// A named tensor within a bucket's flat buffer.
///
/// Names are those of Hugging Face checkpoints; each expert's matrices are tensors of their own
/// (`model.layers.1.mlp.experts.7.gate_proj.weight`), so that the experts of a rank are whole tensors.
public struct TensorPlace: Hashable, Sendable {
  public var name: String
  public var shape: [Int]
  /// Elements before it in the bucket.
  public var offset: Int
  /// A second copy on another stage: it counts neither in the norm nor in a checkpoint.
  public var isCopy = false

  public var count: Int { shape.reduce(1, *) }
  public var range: Range<Int> { offset..<offset + count }
}

extension ParameterLayout {
  /// The layout's tensors with full names, behind `offset` elements of the bucket.
  func places(prefix: String, offset: Int) -> [TensorPlace] {
    entries.map { TensorPlace(name: prefix + $0.name, shape: $0.shape, offset: offset + $0.offset) }
  }

  /// The stacked matrices of some experts as one tensor for each expert and matrix.
  ///
  /// - Parameter experts: Numbers among all experts of the layer, as many as the stacks hold.
  func expertPlaces(prefix: String, experts: Range<Int>) -> [TensorPlace] {
    entries.flatMap { entry -> [TensorPlace] in
      let shape = Array(entry.shape.dropFirst())
      let size = shape.reduce(1, *)
      let parts = entry.name.split(separator: ".")
      let matrix = parts.last.map(String.init) ?? entry.name
      let path = parts.dropLast().joined(separator: ".")
      return experts.enumerated().map { index, expert in
        TensorPlace(
          name: "\(prefix)\(path).\(expert).\(matrix).weight", shape: shape,
          offset: entry.offset + index * size)
      }
    }
  }
}
