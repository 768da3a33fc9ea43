import Documents

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a safetensors file whole or not at all: beside its place, synchronised, then renamed over it.
///
/// All tensors are named first; their elements may then come in any order and in pieces, and nothing larger than a
/// piece is held. Wider elements lie before narrower ones, otherwise in the given order, so that all are aligned;
/// equal calls make equal bytes. A writer that is dropped or has failed leaves nothing behind.
/// Source: github.com/huggingface/safetensors, "Format".
public final class TensorWriter {
  private let path: String
  /// The path with links followed: where the file will lie.
  private let place: String
  private let beside: String
  private var descriptor: Int32
  private let tensors: [TensorDescription]
  private var places: [String: Place] = [:]
  /// `pwrite`, or what a test puts in its stead.
  private let write: WriteAt

  typealias WriteAt = (Int32, UnsafeRawPointer, Int, off_t) -> Int

  private struct Place {
    var start: Int
    var count: Int
    var written = 0
  }

  /// Creates the file beside its place and writes the header.
  ///
  /// - Throws: A ``Diagnostic``: `unavailableFile` where the file cannot be created or written, `data` where names
  ///   stand twice or a shape is too large.
  public convenience init(_ path: String, tensors: [TensorDescription], metadata: [String: String] = [:])
    throws
  {
    try self.init(path, tensors: tensors, metadata: metadata, write: { pwrite($0, $1, $2, $3) })
  }

  init(
    _ path: String, tensors: [TensorDescription], metadata: [String: String], write: @escaping WriteAt
  ) throws {
    let widths = Set(tensors.map(\.format.width)).sorted(by: >)
    let ordered = widths.flatMap { width in tensors.filter { $0.format.width == width } }
    var starts: [Int] = []
    var end = 0
    for tensor in ordered {
      let (next, isTooLarge) = end.addingReportingOverflow(tensor.byteCount ?? .max)
      guard tensor.byteCount != nil, !isTooLarge else {
        throw Diagnostic(
          .data, "the shape is too large", file: path, path: tensor.name, found: "\(tensor.shape)",
          allowed: "fewer than 2^63 bytes")
      }
      starts.append(end)
      end = next
      let place = Place(start: starts[starts.count - 1], count: next - starts[starts.count - 1])
      guard tensor.name != "__metadata__", places.updateValue(place, forKey: tensor.name) == nil else {
        throw Diagnostic(
          .data, "two tensors have one name", file: path, path: tensor.name, found: tensor.name,
          allowed: "each name once, and not __metadata__")
      }
    }
    let header = headerBytes(ordered, starts: starts, metadata: metadata)
    for name in places.keys { places[name]?.start += header.count }

    self.path = path
    self.tensors = ordered
    self.write = write
    place = try Self.place(for: path)
    beside = place + ".part-\(getpid())"
    descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure("create", errno, path: path) }
    try header.withUnsafeBytes { try put($0, at: 0) }
  }

  deinit { abandon() }

  /// The next bytes of a tensor, after those written before.
  public func append(_ bytes: UnsafeRawBufferPointer, to name: String) throws {
    guard let place = places[name], bytes.count <= place.count - place.written else {
      abandon()
      throw Diagnostic(
        .internal, "more is written to a tensor than it holds", file: path, path: name,
        found: "\(bytes.count) bytes", allowed: "\(places[name].map { $0.count - $0.written } ?? 0) bytes")
    }
    try put(bytes, at: place.start + place.written)
    places[name]?.written += bytes.count
  }

  public func append(_ floats: UnsafeBufferPointer<Float>, to name: String) throws {
    try append(UnsafeRawBufferPointer(floats), to: name)
  }

  public func append<Element: BitwiseCopyable>(_ elements: [Element], to name: String) throws {
    try elements.withUnsafeBytes { try append($0, to: name) }
  }

  /// Synchronises the file and puts it in its place.
  ///
  /// - Throws: A ``Diagnostic``; what stood in that place before is then still there.
  public func finish() throws {
    if let missing = tensors.first(where: { places[$0.name]?.written != places[$0.name]?.count }) {
      abandon()
      throw Diagnostic(.internal, "a tensor was not written whole", file: path, path: missing.name)
    }
    guard descriptor >= 0 else {
      throw Diagnostic(.internal, "the file is finished already", file: path)
    }
    guard fsync(descriptor) == 0 else { throw abandoned("fsync") }
    let closing = descriptor
    descriptor = -1
    guard close(closing) == 0, rename(beside, place) == 0 else {
      let error = Self.failure("rename", errno, path: path)
      unlink(beside)
      throw error
    }
    try Self.synchronizeFolder(of: place, path: path)
  }

  // MARK: The file

  private func put(_ bytes: UnsafeRawBufferPointer, at start: Int) throws {
    guard descriptor >= 0 else {
      throw Diagnostic(.internal, "the file is finished or failed already", file: path)
    }
    var offset = 0
    while offset < bytes.count, let base = bytes.baseAddress {
      errno = 0
      let count = write(descriptor, base + offset, bytes.count - offset, off_t(start + offset))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw abandoned("write") }
      offset += count
    }
  }

  private func abandoned(_ step: String) -> Diagnostic {
    let error = Self.failure(step, errno, path: path)
    abandon()
    return error
  }

  private func abandon() {
    guard descriptor >= 0 else { return }
    close(descriptor)
    descriptor = -1
    unlink(beside)
  }

  private static func failure(_ step: String, _ code: Int32, path: String) -> Diagnostic {
    Diagnostic(
      .unavailableFile, "the output cannot be written", file: path,
      found: "\(step): \(String(cString: strerror(code)))",
      hint: "look at the folder, its permissions and the space left")
  }

  private static func place(for path: String) throws -> String {
    var status = stat()
    guard stat(path, &status) == 0 else { return path }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Diagnostic(
        .unavailableFile, "the output cannot be written", file: path,
        found: status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "a device or a pipe",
        allowed: "a file, or no file yet")
    }
    guard let target = realpath(path, nil) else { return path }
    defer { free(target) }
    return String(cString: target)
  }

  /// A rename lasts only once the folder is on disk too.
  private static func synchronizeFolder(of place: String, path: String) throws {
    let folder = place.lastIndex(of: "/").map { $0 == place.startIndex ? "/" : String(place[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open the folder", errno, path: path) }
    defer { close(descriptor) }
    // Some file systems know no fsync for folders.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw failure("fsync the folder", errno, path: path)
    }
  }
}

/// Writes tensors that are in memory to a file, whole or not at all.
public func writeTensors(
  _ tensors: [(description: TensorDescription, bytes: [UInt8])], metadata: [String: String] = [:],
  to path: String
) throws {
  let writer = try TensorWriter(path, tensors: tensors.map(\.description), metadata: metadata)
  for tensor in tensors { try writer.append(tensor.bytes, to: tensor.description.name) }
  try writer.finish()
}

/// The length, the JSON and the spaces that bring the data to a multiple of 8 bytes.
private func headerBytes(
  _ tensors: [TensorDescription], starts: [Int], metadata: [String: String]
) -> [UInt8] {
  var entries: [String] = []
  if !metadata.isEmpty {
    let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
    entries.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
  }
  for (tensor, start) in zip(tensors, starts) {
    let shape = tensor.shape.map(String.init).joined(separator: ",")
    entries.append(
      "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.format.rawValue)\",\"shape\":[\(shape)],"
        + "\"data_offsets\":[\(start),\(start + (tensor.byteCount ?? 0))]}")
  }
  var text = Array("{\(entries.joined(separator: ","))}".utf8)
  text.append(contentsOf: repeatElement(0x20, count: (8 - text.count % 8) % 8))
  return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
}

private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
