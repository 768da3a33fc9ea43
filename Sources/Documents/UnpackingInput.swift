import CZlib
import Foundation

/// Where a ``ByteSource``'s bytes come from: a file or memory, through zlib where it is gzip.
final class UnpackingInput {
  private let file: String
  private let limits: ByteSource.Limits
  private let descriptor: Int32
  /// Bytes as they lie in the file.
  private let block: UnsafeMutablePointer<UInt8>
  private let blockSize: Int
  private var blockStart = 0
  private var blockEnd = 0
  private var isMemory = false
  /// Bytes of the file before the block's end.
  private var readCount = 0
  private var unpackedCount = 0
  /// On the heap: zlib's state points back at it.
  private var stream: UnsafeMutablePointer<z_stream>?
  private var isBetweenMembers = false

  var isPacked: Bool { stream != nil }

  init(path: String, limits: ByteSource.Limits) throws {
    file = path
    self.limits = limits
    blockSize = 128 << 10
    block = .allocate(capacity: blockSize)
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let problem = errno == ENOENT ? "the file does not exist" : "the file cannot be read"
      throw Diagnostic(.unavailableFile, problem, file: path, found: String(cString: strerror(errno)))
    }
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      throw Diagnostic(.unavailableFile, "a file is needed here", file: path, found: "a directory")
    }
    try begin()
  }

  init(bytes: [UInt8], file: String, limits: ByteSource.Limits) throws {
    self.file = file
    self.limits = limits
    descriptor = -1
    blockSize = bytes.count
    block = .allocate(capacity: max(bytes.count, 1))
    bytes.withUnsafeBufferPointer { if let base = $0.baseAddress { memcpy(block, base, $0.count) } }
    isMemory = true
    blockEnd = bytes.count
    readCount = bytes.count
    try begin()
  }

  deinit {
    if let stream {
      inflateEnd(stream)
      stream.deallocate()
    }
    block.deallocate()
    if descriptor >= 0 { close(descriptor) }
  }

  /// Looks at the first two bytes and prepares for gzip.
  private func begin() throws {
    while blockEnd < 2, try readBlock() {}
    guard blockEnd >= 2, block[0] == 0x1f, block[1] == 0x8b else { return }
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 16 asks for gzip's header and checksum, 15 for the largest window.
    guard inflateInit2_(stream, 16 + 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      stream.deallocate()
      throw Diagnostic(.internal, "zlib cannot be started", file: file)
    }
    self.stream = stream
  }

  /// Appends to the block, or starts a new one; false at the end of the file.
  private func readBlock() throws -> Bool {
    if isMemory { return false }
    if blockStart == blockEnd { (blockStart, blockEnd) = (0, 0) }
    while true {
      let count = Foundation.read(descriptor, block + blockEnd, blockSize - blockEnd)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw Diagnostic(
          .unavailableFile, "the file cannot be read", file: file, path: "byte \(readCount)",
          found: String(cString: strerror(errno)))
      }
      blockEnd += count
      readCount += count
      return count > 0
    }
  }

  /// Fills up to `capacity` bytes; 0 at the end.
  func read(into target: UnsafeMutablePointer<UInt8>, _ capacity: Int) throws -> Int {
    if let stream { return try unpack(stream, into: target, capacity) }
    if blockStart == blockEnd, try !readBlock() { return 0 }
    let count = min(capacity, blockEnd - blockStart)
    memcpy(target, block + blockStart, count)
    blockStart += count
    return count
  }

  private func unpack(
    _ stream: UnsafeMutablePointer<z_stream>, into target: UnsafeMutablePointer<UInt8>, _ capacity: Int
  ) throws -> Int {
    let room = min(capacity, 1 << 30)
    stream.pointee.next_out = target
    stream.pointee.avail_out = UInt32(room)
    while stream.pointee.avail_out == UInt32(room) {
      if blockStart == blockEnd, try !readBlock() {
        if isBetweenMembers { return 0 }
        throw damaged("its end", hint: "it may have been cut off")
      }
      if isBetweenMembers, try !beginMember(stream) { return 0 }
      let available = min(blockEnd - blockStart, 1 << 30)
      stream.pointee.next_in = block + blockStart
      stream.pointee.avail_in = UInt32(available)
      let result = inflate(stream, Z_NO_FLUSH)
      blockStart += available - Int(stream.pointee.avail_in)
      switch result {
      case Z_STREAM_END: isBetweenMembers = true
      case Z_OK, Z_BUF_ERROR: break
      default: throw damaged(stream.pointee.msg.map { String(cString: $0) } ?? "zlib's error \(result)")
      }
    }
    let count = room - Int(stream.pointee.avail_out)
    unpackedCount += count
    try checkLimits()
    return count
  }

  /// Whether another member follows; zeros up to the end are padding.
  private func beginMember(_ stream: UnsafeMutablePointer<z_stream>) throws -> Bool {
    if block[blockStart] == 0 {
      while true {
        while blockStart < blockEnd, block[blockStart] == 0 { blockStart += 1 }
        guard blockStart == blockEnd else { throw damaged("more bytes behind its end") }
        guard try readBlock() else { return false }
      }
    }
    inflateReset(stream)
    isBetweenMembers = false
    return true
  }

  private func checkLimits() throws {
    let packed = readCount - (blockEnd - blockStart)
    let isBomb = unpackedCount > 64 << 20 && unpackedCount / max(packed, 1) > limits.ratio
    guard isBomb || unpackedCount > limits.unpackedBytes else { return }
    throw Diagnostic(
      .data, "the file unpacks to too much", file: file, path: "byte \(packed)",
      found: "more than \(unpackedCount) bytes from \(packed)",
      allowed: "at most \(limits.unpackedBytes) bytes, and \(limits.ratio) for each packed byte")
  }

  private func damaged(_ found: String, hint: String? = nil) -> Diagnostic {
    Diagnostic(
      .data, "the file is not a whole gzip file", file: file,
      path: "byte \(readCount - (blockEnd - blockStart))", found: found, hint: hint)
  }
}
