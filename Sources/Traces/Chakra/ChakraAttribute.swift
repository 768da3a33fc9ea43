/// One attribute of a node or of the file (`AttributeProto`), still in its bytes.
///
/// Writers disagree about types (`comm_size` is int64 here, uint64 there), so readers ask for a meaning and take any
/// type that has it. What counts is that a value stands there: an explicit 0 is a value.
struct ChakraAttribute {
  var name: UnsafeBufferPointer<UInt8>
  /// Number of the value's field in the message; 0 without a value.
  private(set) var field = 0
  private(set) var bits: UInt64 = 0
  private(set) var bytes = UnsafeBufferPointer<UInt8>(start: nil, count: 0)

  /// The fields of the value, as `et_def.proto` numbers them; each list follows its scalar.
  enum Field {
    static let double = 3
    static let float = 5
    static let int32 = 7
    static let int32List = 8
    static let int64 = 9
    static let int64List = 10
    static let uint32 = 11
    static let uint64 = 13
    static let sint32 = 15
    static let sint64 = 17
    static let fixed32 = 19
    static let fixed64 = 21
    static let sfixed32 = 23
    static let sfixed64 = 25
    static let bool = 27
    static let string = 29
    static let bytes = 31
    static let last = 32
  }

  init(_ message: UnsafeBufferPointer<UInt8>) throws(WireFault) {
    name = UnsafeBufferPointer(start: nil, count: 0)
    var cursor = WireCursor(message)
    while let (number, type) = try cursor.field() {
      switch (number, type) {
      case (1, WireCursor.WireType.bytes): name = try cursor.bytes()
      case (Field.double...Field.last, WireCursor.WireType.varint):
        bits = try cursor.varint()
        field = number
      case (Field.double...Field.last, WireCursor.WireType.bytes):
        bytes = try cursor.bytes()
        field = number
      case (Field.double...Field.last, WireCursor.WireType.fixed64):
        bits = try cursor.fixed64()
        field = number
      case (Field.double...Field.last, WireCursor.WireType.fixed32):
        bits = UInt64(try cursor.fixed32())
        field = number
      default: try cursor.skip(type)
      }
    }
  }

  @inline(__always)
  func isNamed(_ text: StaticString) -> Bool { name.holds(text) }

  /// The value as a whole number, whatever its type; nil where it is none or does not fit.
  var integer: Int64? {
    switch field {
    case Field.int32, Field.int64: Int64(bitPattern: bits)
    case Field.uint32, Field.fixed32: Int64(bits & 0xffff_ffff)
    case Field.uint64, Field.fixed64: Int64(exactly: bits)
    case Field.sint32, Field.sint64: Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1)
    case Field.sfixed32: Int64(Int32(truncatingIfNeeded: bits))
    case Field.sfixed64: Int64(bitPattern: bits)
    case Field.bool: bits == 0 ? 0 : 1
    case Field.double, Field.float: number.flatMap { Int64(exactly: $0) }
    case Field.string, Field.bytes: text.flatMap { Int64($0) }
    default: nil
    }
  }

  private var number: Double? {
    switch field {
    case Field.double: Double(bitPattern: bits)
    case Field.float: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
    default: nil
    }
  }

  /// The value of a string or of bytes.
  var text: String? {
    field == Field.string || field == Field.bytes ? String(decoding: bytes, as: UTF8.self) : nil
  }

  /// A list of whole numbers, packed or not; nil where the value is none.
  func integers() throws(WireFault) -> [Int64]? {
    guard field == Field.int64List || field == Field.int32List else { return nil }
    var list: [Int64] = []
    var cursor = WireCursor(bytes)
    while let (number, type) = try cursor.field() {
      if number == 1, type == WireCursor.WireType.varint {
        list.append(Int64(bitPattern: try cursor.varint()))
      } else if number == 1, type == WireCursor.WireType.bytes {
        var inner = WireCursor(try cursor.bytes())
        while !inner.isAtEnd { list.append(Int64(bitPattern: try inner.varint())) }
      } else {
        try cursor.skip(type)
      }
    }
    return list
  }

  /// The value in words, for what a file says of itself; nil for lists and without a value.
  var description: String? {
    switch field {
    case Field.bool: bits == 0 ? "false" : "true"
    case Field.uint64, Field.fixed64: String(bits)
    case Field.double, Field.float: number.map { "\($0)" }
    case Field.string, Field.bytes: text
    default: integer.map { "\($0)" }
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Whether the bytes are those of a text.
  @inline(__always)
  func holds(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    for index in 0..<count where self[index] != text.utf8Start[index] { return false }
    return true
  }

  func begins(with text: StaticString) -> Bool {
    count >= text.utf8CodeUnitCount
      && UnsafeBufferPointer(rebasing: self[..<text.utf8CodeUnitCount]).holds(text)
  }
}
