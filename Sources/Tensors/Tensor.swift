import Documents

/// One tensor of an open file; it keeps the file's bytes alive.
public struct Tensor: @unchecked Sendable {
  // The bytes are read only and live as long as `storage`.
  public let description: TensorDescription
  /// The file, as the user named it.
  public let file: String
  /// The elements as they lie in the file, little-endian; valid while this value or its file lives.
  public let bytes: UnsafeRawBufferPointer
  let storage: MappedBytes

  public var name: String { description.name }
  public var format: TensorFormat { description.format }
  public var shape: [Int] { description.shape }
  /// Number of elements.
  public var count: Int { bytes.count / format.width }

  /// An error at this tensor.
  public func error(
    _ problem: String, found: String? = nil, allowed: String? = nil, hint: String? = nil
  ) -> Diagnostic {
    Diagnostic(.data, problem, file: file, path: name, found: found, allowed: allowed, hint: hint)
  }

  /// The bytes, with the file kept alive meanwhile.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(storage) { try body(bytes) }
  }

  /// The elements as float32, where they lie if they are F32 and aligned, else in a converted copy.
  public func withFloats<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result {
    let isAligned = Int(bitPattern: bytes.baseAddress) % MemoryLayout<Float>.alignment == 0
    guard format == .float32, isAligned else { return try floats().withUnsafeBufferPointer(body) }
    return try withBytes { try body($0.assumingMemoryBound(to: Float.self)) }
  }

  /// The elements as float32: F32 as they are, BF16 and F64 converted.
  public func floats() throws -> [Float] {
    try requireFloats()
    // The initialiser must not leave anything half done, so conversion comes after.
    return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      try copyFloats(to: UnsafeMutableBufferPointer(rebasing: buffer[0..<count]))
      initialized = count
    }
  }

  /// Copies the elements into a buffer of exactly their number, converted to float32.
  public func copyFloats(to buffer: UnsafeMutableBufferPointer<Float>) throws {
    try requireFloats()
    guard buffer.count == count else {
      throw error("the tensor has another size", found: "\(count) elements", allowed: "\(buffer.count)")
    }
    withBytes { bytes in
      switch format {
      case .bfloat16:
        for index in buffer.indices {
          let bits = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
          buffer[index] = Float(bitPattern: UInt32(bits) << 16)
        }
      case .float64:
        for index in buffer.indices {
          buffer[index] = Float(bytes.loadUnaligned(fromByteOffset: 8 * index, as: Double.self))
        }
      default: UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
      }
    }
  }

  private func requireFloats() throws {
    guard [.float32, .bfloat16, .float64].contains(format) else {
      throw error(
        "the tensor holds no floating-point numbers", found: format.rawValue, allowed: "F32, BF16, F64")
    }
  }

  /// The elements of a format whose width is the type's.
  public func elements<Element: BitwiseCopyable>(as type: Element.Type) -> [Element] {
    precondition(MemoryLayout<Element>.size == format.width, "the type is as wide as the format")
    return withBytes { bytes in
      (0..<count).map { bytes.loadUnaligned(fromByteOffset: $0 * format.width, as: Element.self) }
    }
  }
}
