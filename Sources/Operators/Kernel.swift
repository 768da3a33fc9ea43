import Units

/// `count` products of `[rows, depth]` by `[depth, columns]`, as one launch.
public struct MatrixProduct: Hashable, Sendable {
  /// How the products are laid out, which decides the kernel that runs them.
  public enum Kind: String, CaseIterable, Codable, Sendable {
    /// One product, or a strided batch.
    case dense
    /// Many products of one column and depth count with rows divided among them (experts, contiguous layout).
    case grouped
    /// A parameter gradient: the products are added into float32 accumulators in memory.
    case weightGradient
  }

  public var kind: Kind
  /// Rows of one product (of the average product when grouped).
  public var rows: Double
  public var columns: Int
  /// For a weight gradient: the tokens summed over.
  public var depth: Double
  public var count: Int
  public var format: Format

  public init(
    _ kind: Kind = .dense, rows: Double, columns: Int, depth: Double, count: Int = 1, format: Format
  ) {
    self.kind = kind
    self.rows = rows
    self.columns = columns
    self.depth = depth
    self.count = count
    self.format = format
  }

  public var flops: FLOPs { FLOPs(2 * rows * Double(columns) * depth * Double(count)) }

  public var bytesRead: Double {
    let inputs = (rows * depth + depth * Double(columns)) * format.bytesPerElement
    let accumulator = kind == .weightGradient ? rows * Double(columns) * 4 : 0
    return (inputs + accumulator) * Double(count)
  }

  /// Products leave in bfloat16 (float32 products in float32); weight gradients in float32.
  public var bytesWritten: Double {
    let element: Double = kind == .weightGradient || format == .float32 ? 4 : 2
    return rows * Double(columns) * element * Double(count)
  }
}

/// Softmax attention in one fused kernel that never writes the score matrix (FlashAttention).
public struct FusedAttention: Hashable, Sendable {
  public var sequences: Double
  public var queries: Int
  public var keys: Int
  public var queryHeads: Int
  public var keyValueHeads: Int
  public var queryKeyDimension: Int
  public var valueDimension: Int
  public var isCausal: Bool
  public var isBackward: Bool
  public var format: Format

  public init(
    sequences: Double, queries: Int, keys: Int, queryHeads: Int, keyValueHeads: Int, queryKeyDimension: Int,
    valueDimension: Int, isCausal: Bool, isBackward: Bool, format: Format
  ) {
    self.sequences = sequences
    self.queries = queries
    self.keys = keys
    self.queryHeads = queryHeads
    self.keyValueHeads = keyValueHeads
    self.queryKeyDimension = queryKeyDimension
    self.valueDimension = valueDimension
    self.isCausal = isCausal
    self.isBackward = isBackward
    self.format = format
  }

  /// Two products forward (`QKᵀ`, `PV`) and five backward (`S` again, `dV`, `dP`, `dQ`, `dK`); causal
  /// attention counts half the score matrix.
  public var flops: FLOPs {
    let scores =
      sequences * Double(queryHeads) * Double(queries) * Double(keys) * (isCausal ? 0.5 : 1)
    let forward = 2 * scores * Double(queryKeyDimension + valueDimension)
    let backward = 2 * scores * Double(3 * queryKeyDimension + 2 * valueDimension)
    return FLOPs(isBackward ? backward : forward)
  }

  private var inputBytes: Double {
    let query = Double(queries * queryHeads * queryKeyDimension)
    let keyValue = Double(keys * keyValueHeads * (queryKeyDimension + valueDimension))
    return sequences * (query + keyValue) * format.bytesPerElement
  }

  private var outputBytes: Double {
    sequences * Double(queries * queryHeads * valueDimension) * format.bytesPerElement
  }

  /// Backward reads the forward's inputs and output and the output's gradient.
  public var bytesRead: Double { isBackward ? inputBytes + 2 * outputBytes : inputBytes }
  public var bytesWritten: Double { isBackward ? inputBytes : outputBytes }
}

/// A kernel that does little but move bytes: a norm, an activation, a cast, a permutation.
public struct MemoryPass: Hashable, Sendable {
  /// What is computed on the way. A GPU's memory is the limit for all alike; a processor computes an exponential more
  /// slowly than it moves the bytes.
  public enum Kind: String, CaseIterable, Codable, Sendable {
    /// Copies, permutations, additions, casts.
    case copy
    /// The rows of one token added up.
    case rowSum
    case norm
    /// SwiGLU or GELU.
    case activation
    /// Rotary embedding, with the copies that assemble queries and keys.
    case rotary
    case softmax
    /// Cross-entropy over the vocabulary.
    case loss
    /// Scores, groups, top-k, weights.
    case router
    /// Table look-up; backward, addition into the table's rows.
    case embedding
    case optimizer
  }

  public var kind: Kind
  public var bytesRead: Double
  public var bytesWritten: Double
  public var launches: Int

  public init(_ kind: Kind = .copy, bytesRead: Double, bytesWritten: Double, launches: Int = 1) {
    self.kind = kind
    self.bytesRead = bytesRead
    self.bytesWritten = bytesWritten
    self.launches = launches
  }
}

/// What one launch on a GPU is asked to do, without saying how long it takes.
public enum Kernel: Hashable, Sendable {
  case matrixProduct(MatrixProduct)
  case fusedAttention(FusedAttention)
  case memoryPass(MemoryPass)

  /// Zero for a ``MemoryPass``: elementwise arithmetic is not counted, as in every published FLOP count.
  public var flops: FLOPs {
    switch self {
    case .matrixProduct(let product): product.flops
    case .fusedAttention(let attention): attention.flops
    case .memoryPass: .zero
    }
  }

  public var bytesRead: Double {
    switch self {
    case .matrixProduct(let product): product.bytesRead
    case .fusedAttention(let attention): attention.bytesRead
    case .memoryPass(let pass): pass.bytesRead
    }
  }

  public var bytesWritten: Double {
    switch self {
    case .matrixProduct(let product): product.bytesWritten
    case .fusedAttention(let attention): attention.bytesWritten
    case .memoryPass(let pass): pass.bytesWritten
    }
  }
}
