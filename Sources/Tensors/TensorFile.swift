import Documents

#if canImport(Glibc)
  import Glibc
#endif

/// A safetensors file, opened for reading: its header is checked whole, its data stays on disk until it is touched.
///
/// The file is mapped, so it must not be shortened while it is open; writers that replace it (as ``TensorWriter``
/// does) are harmless.
/// Source: github.com/huggingface/safetensors, "Format".
public final class TensorFile: Sendable {
  /// The file, as the user named it.
  public let path: String
  public let metadata: [String: String]
  /// In the order of the file's header.
  public let tensors: [TensorDescription]
  private let ranges: [Range<Int>]
  private let indices: [String: Int]
  private let storage: MappedBytes

  /// Opens a file.
  ///
  /// - Throws: A ``Diagnostic``: `unavailableFile` where it cannot be opened, `data` where it is not whole and right.
  public convenience init(_ path: String) throws {
    try self.init(storage: MappedBytes(path), path: path)
  }

  /// Reads a file's bytes from memory, as if `path` held them.
  public convenience init(bytes: [UInt8], path: String) throws {
    try self.init(storage: MappedBytes(copying: bytes), path: path)
  }

  private init(storage: MappedBytes, path: String) throws {
    let header = try TensorHeader(of: storage.bytes, path: path)
    self.path = path
    self.storage = storage
    metadata = header.metadata
    tensors = header.entries.map(\.description)
    ranges = header.entries.map {
      header.dataStart + $0.range.lowerBound..<header.dataStart + $0.range.upperBound
    }
    indices = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
  }

  /// In the order of the file's header.
  public var names: [String] { tensors.map(\.name) }

  public func contains(_ name: String) -> Bool { indices[name] != nil }

  /// A tensor by name.
  ///
  /// - Throws: A ``Diagnostic`` that names the nearest tensor where there is none of this name.
  public func tensor(_ name: String) throws -> Tensor {
    guard let index = indices[name] else {
      let near = tensors.count <= 5_000 ? nearest(to: name, in: names) : nil
      throw Diagnostic(
        .data, "the file has no such tensor", file: path, path: name, found: "\(tensors.count) other tensors",
        hint: near.map { "did you mean \($0)?" })
    }
    return Tensor(
      description: tensors[index], file: path,
      bytes: UnsafeRawBufferPointer(rebasing: storage.bytes[ranges[index]]), storage: storage)
  }

  /// A tensor by name, which must have the given format and shape where they are given.
  public func tensor(_ name: String, _ format: TensorFormat?, shape: [Int]?) throws -> Tensor {
    let tensor = try tensor(name)
    if let format, tensor.format != format {
      throw tensor.error(
        "the tensor has another format", found: tensor.format.rawValue, allowed: format.rawValue)
    }
    if let shape, tensor.shape != shape {
      throw tensor.error("the tensor has another shape", found: "\(tensor.shape)", allowed: "\(shape)")
    }
    return tensor
  }

  /// The elements as float32: F32 as they are, BF16 and F64 converted.
  public func floats(_ name: String, shape: [Int]? = nil) throws -> [Float] {
    try tensor(name, nil, shape: shape).floats()
  }

  public func int32s(_ name: String, shape: [Int]? = nil) throws -> [Int32] {
    try tensor(name, .int32, shape: shape).elements(as: Int32.self)
  }

  /// The elements of a U8, BOOL or float8 tensor.
  public func uint8s(_ name: String, shape: [Int]? = nil) throws -> [UInt8] {
    let tensor = try tensor(name, nil, shape: shape)
    guard tensor.format.width == 1 else {
      throw tensor.error("the tensor has another format", found: tensor.format.rawValue, allowed: "U8")
    }
    return tensor.elements(as: UInt8.self)
  }

  /// Copies a tensor into a buffer of exactly its size, converted to float32.
  public func read(_ name: String, shape: [Int]? = nil, into buffer: UnsafeMutableBufferPointer<Float>) throws
  {
    try tensor(name, nil, shape: shape).copyFloats(to: buffer)
  }
}

/// The bytes of a file, mapped or copied, for as long as someone refers to them.
final class MappedBytes: @unchecked Sendable {
  // Nobody writes to the bytes, so that sharing them is safe.
  let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  init(_ path: String) throws {
    func unavailable(_ problem: String, found: String) -> Diagnostic {
      Diagnostic(.unavailableFile, problem, file: path, found: found)
    }
    // Opening a pipe would wait for its other end.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw errno == ENOENT
        ? Diagnostic(.unavailableFile, "the file does not exist", file: path)
        : unavailable("the file cannot be read", found: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw unavailable("the file cannot be read", found: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw unavailable(
        "a file is needed here",
        found: status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "a device or a pipe")
    }
    guard status.st_size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      isMapped = false
      return
    }
    guard let start = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0),
      start != MAP_FAILED
    else { throw unavailable("the file cannot be mapped", found: String(cString: strerror(errno))) }
    bytes = UnsafeRawBufferPointer(start: start, count: Int(status.st_size))
    isMapped = true
  }

  init(copying content: [UInt8]) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 64)
    copy.copyBytes(from: content)
    bytes = UnsafeRawBufferPointer(copy)
    isMapped = false
  }

  deinit {
    guard let start = bytes.baseAddress else { return }
    if isMapped {
      munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    } else {
      start.deallocate()
    }
  }
}
