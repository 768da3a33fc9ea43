import Foundation

/// A stretch of a named tensor's elements on one rank.
struct TensorPiece {
  var name: String
  /// Shape of the whole tensor.
  var shape: [Int]
  /// Elements before the stretch.
  var offset: Int
  var values: UnsafeBufferPointer<Float>
}

/// Bytes between rank 0 and the others outside of a step: results, checkpoints, errors.
///
/// These transfers are no tasks; they wait for one another and are not part of a step's record.
struct RankZero {
  let transport: any Transport

  /// Above the tags of a program's messages, below what MPI guarantees at least where that is known to be more.
  private static let sizeTag = 1 << 30
  private static let bytesTag = sizeTag + 1

  /// Hands every rank's bytes to rank 0, one after the other in the order of ranks.
  func gather(_ own: [UInt8], _ take: (_ rank: Int, _ bytes: UnsafeRawBufferPointer) throws -> Void) throws {
    guard transport.rank == 0 else {
      try send(own, to: 0)
      return
    }
    try own.withUnsafeBytes { try take(0, $0) }
    for rank in 1..<max(1, transport.size) {
      try receive(from: rank).withUnsafeBytes { try take(rank, $0) }
    }
  }

  /// Rank 0's bytes on every rank.
  func broadcast(_ bytes: [UInt8]) throws -> [UInt8] {
    guard transport.rank == 0 else { return try receive(from: 0) }
    for rank in 1..<max(1, transport.size) { try send(bytes, to: rank) }
    return bytes
  }

  /// The sum over all ranks, taken in the order of ranks, on every rank.
  func sum(_ values: [Double]) throws -> [Double] {
    var total = values
    try gather(values.withUnsafeBytes(Array.init)) { rank, bytes in
      guard rank > 0 else { return }
      for index in total.indices {
        total[index] += bytes.loadUnaligned(fromByteOffset: index * 8, as: Double.self)
      }
    }
    let result = try broadcast(total.withUnsafeBytes(Array.init))
    return result.withUnsafeBytes { bytes in
      total.indices.map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Double.self) }
    }
  }

  private func send(_ bytes: [UInt8], to rank: Int) throws {
    var size = Int64(bytes.count)
    try withUnsafeBytes(of: &size) {
      try transport.wait(for: transport.send($0, to: rank, tag: Self.sizeTag))
    }
    guard !bytes.isEmpty else { return }
    try bytes.withUnsafeBytes { try transport.wait(for: transport.send($0, to: rank, tag: Self.bytesTag)) }
  }

  private func receive(from rank: Int) throws -> [UInt8] {
    var size: Int64 = 0
    try withUnsafeMutableBytes(of: &size) {
      try transport.wait(for: transport.receive(into: $0, from: rank, tag: Self.sizeTag))
    }
    guard size > 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    try bytes.withUnsafeMutableBytes {
      try transport.wait(for: transport.receive(into: $0, from: rank, tag: Self.bytesTag))
    }
    return bytes
  }
}

/// Numbers and tensors one after the other in bytes.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func append<Value: BitwiseCopyable>(_ value: Value) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  mutating func append<Value: BitwiseCopyable>(values: [Value]) {
    append(values.count)
    values.withUnsafeBytes { bytes.append(contentsOf: $0) }
  }

  mutating func append(text: String) { append(values: Array(text.utf8)) }

  mutating func append(_ piece: TensorPiece) {
    append(text: piece.name)
    append(values: piece.shape)
    append(piece.offset)
    append(piece.values.count)
    bytes.append(contentsOf: UnsafeRawBufferPointer(piece.values))
  }
}

/// Reads what a ``ByteWriter`` wrote.
///
/// - Precondition: Of every call: that the bytes hold it. They come from this program's own ranks.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func read<Value: BitwiseCopyable>(_ type: Value.Type) -> Value {
    defer { position += MemoryLayout<Value>.size }
    return bytes.loadUnaligned(fromByteOffset: position, as: type)
  }

  mutating func readValues<Value: BitwiseCopyable>(_ type: Value.Type) -> [Value] {
    let count = read(Int.self)
    return (0..<count).map { _ in read(type) }
  }

  mutating func readText() -> String { String(decoding: readValues(UInt8.self), as: UTF8.self) }

  /// A tensor's stretch: its elements are copied.
  mutating func readPiece() -> (name: String, shape: [Int], offset: Int, values: [Float]) {
    let name = readText()
    let shape = readValues(Int.self)
    let offset = read(Int.self)
    let count = read(Int.self)
    var values = [Float](repeating: 0, count: count)
    let stretch = UnsafeRawBufferPointer(rebasing: bytes[position..<position + 4 * count])
    values.withUnsafeMutableBytes { $0.copyMemory(from: stretch) }
    position += 4 * count
    return (name, shape, offset, values)
  }
}

extension RankZero {
  /// All ranks' pieces as whole tensors on rank 0, in the order in which they first come; empty on the other ranks.
  func assemble(_ pieces: [TensorPiece]) throws -> [NamedTensor] {
    var writer = ByteWriter()
    for piece in pieces { writer.append(piece) }
    var tensors: [NamedTensor] = []
    var indices: [String: Int] = [:]
    try gather(writer.bytes) { _, bytes in
      var reader = ByteReader(bytes)
      while !reader.isAtEnd {
        let (name, shape, offset, values) = reader.readPiece()
        let index = indices[name] ?? tensors.count
        if index == tensors.count {
          indices[name] = index
          tensors.append(NamedTensor(name: name, shape: shape))
        }
        tensors[index].values.replaceSubrange(offset..<offset + values.count, with: values)
      }
    }
    return tensors
  }
}

/// A whole tensor with its name.
public struct NamedTensor: Hashable, Sendable {
  public var name: String
  public var shape: [Int]
  public var values: [Float]

  public init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
    values = Array(repeating: 0, count: shape.reduce(1, *))
  }
}
