/// Where the named tensors of one block lie in a flat buffer, one after the other.
///
/// Names and shapes are those of Hugging Face checkpoints without the layer's prefix
/// (`self_attn.q_a_proj.weight`, `[out, in]`); the experts of a rank are one tensor for each matrix
/// (`mlp.experts.gate_proj`, `[experts, out, in]`).
public struct ParameterLayout: Hashable, Sendable {
  /// One tensor.
  public struct Entry: Hashable, Sendable {
    public var name: String
    public var shape: [Int]
    /// Elements before it.
    public var offset: Int

    public var count: Int { shape.reduce(1, *) }
  }

  public private(set) var entries: [Entry] = []
  /// Elements of all tensors.
  public private(set) var count = 0

  public init() {}

  /// Appends a tensor and returns its offset.
  @discardableResult
  public mutating func append(_ name: String, _ shape: [Int]) -> Int {
    let entry = Entry(name: name, shape: shape, offset: count)
    entries.append(entry)
    count += entry.count
    return entry.offset
  }
}
