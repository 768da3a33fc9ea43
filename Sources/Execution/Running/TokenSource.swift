import Documents
import Foundation

/// Sequences of tokens by number.
public protocol TokenSource: Sendable {
  /// Tokens of sequence `index`, from 0 on without end: the inputs, and behind them the tokens that labels need.
  func read(sequence index: Int, into tokens: UnsafeMutableBufferPointer<Int32>)
}

/// A text's bytes as tokens, sequences one after the other; at its end the text begins again.
///
/// Neighbouring sequences overlap by the tokens that only labels read.
public struct ByteText: TokenSource {
  public let bytes: [UInt8]
  /// Input tokens of a sequence.
  public let length: Int

  /// - Throws: A `Diagnostic` where the text is too short for a sequence.
  public init(_ bytes: [UInt8], length: Int, file: String? = nil) throws {
    guard bytes.count > length + 1 else {
      throw Diagnostic(
        .data, "the text is shorter than a sequence", file: file, found: "\(bytes.count) bytes",
        allowed: "at least \(length + 2)", hint: "choose a longer text, or a shorter --seq-len")
    }
    self.bytes = bytes
    self.length = length
  }

  /// - Throws: A `Diagnostic` where the file cannot be read.
  public init(file path: String, length: Int) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Diagnostic(
        .unavailableFile, "the text cannot be read", file: path,
        hint: "--data takes a file; its bytes are the tokens")
    }
    try self.init([UInt8](data), length: length, file: path)
  }

  /// The text that comes with the program.
  public static func shipped(length: Int) throws -> ByteText {
    guard let url = Bundle.module.url(forResource: "clusters", withExtension: "txt", subdirectory: "Shipped")
    else {
      throw Diagnostic(.internal, "the shipped text is missing", hint: "please report it")
    }
    return try ByteText(file: url.path, length: length)
  }

  public func read(sequence index: Int, into tokens: UnsafeMutableBufferPointer<Int32>) {
    let start = index * length % bytes.count
    for position in tokens.indices { tokens[position] = Int32(bytes[(start + position) % bytes.count]) }
  }
}

/// Sequences held in memory, again and again.
public struct FixedTokens: TokenSource {
  /// `[sequence][token]`, label tokens included.
  public let sequences: [[Int32]]

  public init(_ sequences: [[Int32]]) { self.sequences = sequences }

  public func read(sequence index: Int, into tokens: UnsafeMutableBufferPointer<Int32>) {
    let sequence = sequences[index % sequences.count]
    for position in tokens.indices { tokens[position] = sequence[position] }
  }
}
