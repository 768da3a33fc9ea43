/// Which computation of a stage a chunk is.
public enum ChunkPass: UInt8, CaseIterable, Sendable {
  case forward
  /// Gradients of inputs and weights in one go.
  case backward
  /// The gradient that the previous stage waits for.
  case backwardInput
  /// The gradient that only the optimizer waits for.
  case backwardWeight

  /// How papers and the text form abbreviate it: `F`, `B`, `b`, `w`.
  public var letter: Character {
    switch self {
    case .forward: "F"
    case .backward: "B"
    case .backwardInput: "b"
    case .backwardWeight: "w"
    }
  }

  public init?(letter: Character) {
    guard let pass = Self.allCases.first(where: { $0.letter == letter }) else { return nil }
    self = pass
  }

  /// Whether the previous stage's backward waits for this pass.
  public var sendsGradient: Bool { self == .backward || self == .backwardInput }
}

/// One pass of one micro-batch through one stage.
///
/// The stage is not stored: the rank that runs the chunk and ``part`` determine it
/// (``PipelineOrder/stage(rank:part:)``).
public struct Chunk: Hashable, Sendable {
  public let pass: ChunkPass
  private let storedPart: UInt16
  private let storedMicroBatch: UInt32

  /// - Precondition: `part` fits 16 bits, `microBatch` 32.
  public init(_ pass: ChunkPass, part: Int, microBatch: Int) {
    self.pass = pass
    storedPart = UInt16(part)
    storedMicroBatch = UInt32(microBatch)
  }

  /// Which of the rank's stages: DualPipe's direction, the half of DualPipeV's V, the virtual stage of
  /// interleaving.
  public var part: Int { Int(storedPart) }

  /// Counted within the direction for DualPipe, over the whole batch otherwise.
  public var microBatch: Int { Int(storedMicroBatch) }
}

extension Chunk: CustomStringConvertible {
  /// `F0.7`: pass, part, micro-batch.
  public var description: String { "\(pass.letter)\(part).\(microBatch)" }
}

/// What a rank does at one place of its order.
public enum Slot: Hashable, Sendable {
  case chunk(Chunk)
  /// A forward and a backward run as one call, each hiding the other's communication.
  case overlapped(forward: Chunk, backward: Chunk)

  /// One chunk, or the two of a pair, forward first.
  @inlinable public func forEachChunk(_ body: (Chunk) throws -> Void) rethrows {
    switch self {
    case .chunk(let chunk): try body(chunk)
    case .overlapped(let forward, let backward):
      try body(forward)
      try body(backward)
    }
  }
}

extension Slot: CustomStringConvertible {
  /// `F0.7`, or `F0.7&B1.3` for a pair.
  public var description: String {
    switch self {
    case .chunk(let chunk): chunk.description
    case .overlapped(let forward, let backward): "\(forward)&\(backward)"
    }
  }
}
