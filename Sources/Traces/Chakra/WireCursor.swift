/// Why the bytes of a message are no protobuf, and the address where that shows.
struct WireFault: Error {
  enum Problem: UInt8 {
    case cutOff, endlessNumber, noSuchWireType, noField

    var sentence: String {
      switch self {
      case .cutOff: "a field goes beyond the end of its message"
      case .endlessNumber: "a number does not end within ten bytes"
      case .noSuchWireType: "a field has a wire type that no longer exists"
      case .noField: "a field has the number 0"
      }
    }
  }

  var problem: Problem
  var address: UInt

  init(problem: Problem, address: UnsafePointer<UInt8>) {
    self.problem = problem
    self.address = UInt(bitPattern: address)
  }
}

/// Walks over the fields of one protobuf message in its wire form.
///
/// Generated code makes an object of every message; a trace has millions, of which a few fields are wanted.
struct WireCursor {
  private(set) var position: UnsafePointer<UInt8>
  let end: UnsafePointer<UInt8>

  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    // An empty buffer may have no address; any will do, as nothing is read.
    position = bytes.baseAddress ?? UnsafePointer(bitPattern: 1).unsafelyUnwrapped
    end = position + bytes.count
  }

  enum WireType {
    static let varint: UInt8 = 0
    static let fixed64: UInt8 = 1
    static let bytes: UInt8 = 2
    static let fixed32: UInt8 = 5
  }

  @inline(__always)
  var isAtEnd: Bool { position == end }

  @inline(__always)
  mutating func varint() throws(WireFault) -> UInt64 {
    guard position < end else { throw WireFault(problem: .cutOff, address: position) }
    let byte = position.pointee
    if byte < 0x80 {
      position += 1
      return UInt64(byte)
    }
    return try longVarint()
  }

  private mutating func longVarint() throws(WireFault) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw WireFault(problem: .cutOff, address: start) }
      let byte = position.pointee
      position += 1
      value |= UInt64(byte & 0x7f) &<< shift
      if byte < 0x80 { return value }
    }
    throw WireFault(problem: .endlessNumber, address: start)
  }

  /// The next field's number and wire type; nil at the end of the message.
  @inline(__always)
  mutating func field() throws(WireFault) -> (number: Int, type: UInt8)? {
    guard position < end else { return nil }
    let start = position
    let tag = try varint()
    guard tag >> 3 != 0, tag <= UInt64(UInt32.max) else { throw WireFault(problem: .noField, address: start) }
    return (Int(tag >> 3), UInt8(tag & 7))
  }

  @inline(__always)
  mutating func bytes() throws(WireFault) -> UnsafeBufferPointer<UInt8> {
    let start = position
    let count = try varint()
    guard count <= UInt64(end - position) else { throw WireFault(problem: .cutOff, address: start) }
    let bytes = UnsafeBufferPointer(start: position, count: Int(count))
    position += Int(count)
    return bytes
  }

  mutating func fixed64() throws(WireFault) -> UInt64 {
    guard end - position >= 8 else { throw WireFault(problem: .cutOff, address: position) }
    defer { position += 8 }
    return UInt64(littleEndian: UnsafeRawPointer(position).loadUnaligned(as: UInt64.self))
  }

  mutating func fixed32() throws(WireFault) -> UInt32 {
    guard end - position >= 4 else { throw WireFault(problem: .cutOff, address: position) }
    defer { position += 4 }
    return UInt32(littleEndian: UnsafeRawPointer(position).loadUnaligned(as: UInt32.self))
  }

  /// Passes a field that is not known, as the format demands.
  mutating func skip(_ type: UInt8) throws(WireFault) {
    switch type {
    case WireType.varint: _ = try varint()
    case WireType.fixed64: _ = try fixed64()
    case WireType.bytes: _ = try bytes()
    case WireType.fixed32: _ = try fixed32()
    default: throw WireFault(problem: .noSuchWireType, address: position)
    }
  }
}
