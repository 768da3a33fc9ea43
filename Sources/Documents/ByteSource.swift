import Foundation

/// The bytes of a large file, unpacked where it is gzip, seen through a window that moves over them.
///
/// Behind the window's ``end`` lie ``padding`` zero bytes, so that scanners need not test every byte for the end.
/// Memory is that of the window: it grows only for a single value that does not fit.
public struct ByteSource: ~Copyable {
  /// What a packed file may unpack to.
  public struct Limits: Sendable {
    /// Unpacked bytes; recordings of an hour stay far below it.
    public var unpackedBytes: Int
    /// Unpacked bytes for each packed byte, beyond the first 64 MiB. Recordings reach 30 to 60, deflate 1,032.
    public var ratio: Int
    /// The window's growth: the longest single string, line or message.
    public var valueBytes: Int

    public init(unpackedBytes: Int = 64 << 30, ratio: Int = 250, valueBytes: Int = 64 << 20) {
      self.unpackedBytes = unpackedBytes
      self.ratio = ratio
      self.valueBytes = valueBytes
    }
  }

  /// Zero bytes behind the window.
  public static let padding = 16

  /// As the user named it.
  public let file: String
  public let limits: Limits
  /// The first byte of the window; valid until the next call that reads.
  public private(set) var window: UnsafeMutablePointer<UInt8>
  /// The next unread byte, from the window's first.
  public var position = 0
  /// The window's length.
  public private(set) var end = 0
  /// Unpacked bytes that lie before the window.
  public private(set) var windowOffset = 0

  private var capacity: Int
  private let input: UnpackingInput

  /// - Throws: A ``Diagnostic`` with status `unavailableFile` where the file cannot be opened.
  public init(path: String, limits: Limits = Limits(), windowBytes: Int = 256 << 10) throws {
    self.init(try UnpackingInput(path: path, limits: limits), file: path, limits, windowBytes)
  }

  /// Reads from memory, plain or packed; `name` stands for the file's in errors.
  public init(bytes: [UInt8], named name: String, limits: Limits = Limits(), windowBytes: Int = 256 << 10)
    throws
  {
    self.init(try UnpackingInput(bytes: bytes, file: name, limits: limits), file: name, limits, windowBytes)
  }

  private init(_ input: UnpackingInput, file: String, _ limits: Limits, _ windowBytes: Int) {
    self.input = input
    self.file = file
    self.limits = limits
    capacity = max(windowBytes, 16)
    window = .allocate(capacity: capacity + Self.padding)
    (window + 0).update(repeating: 0, count: Self.padding)
  }

  deinit { window.deallocate() }

  /// Unpacked bytes before the next unread one.
  public var offset: Int { windowOffset + position }

  public var isPacked: Bool { input.isPacked }

  /// How an error names a place: `byte 17`, `byte 17 of the unpacked file`.
  public func place(_ offset: Int) -> String {
    isPacked ? "byte \(offset) of the unpacked file" : "byte \(offset)"
  }

  /// Moves the bytes from `kept` on to the front of the window and reads more behind them.
  ///
  /// ``position`` moves along; pointers into the window become invalid.
  /// - Returns: Whether there were more bytes.
  /// - Throws: A ``Diagnostic`` where the file cannot be read, unpacks to too much, or one value is too long.
  public mutating func refill(keeping kept: Int) throws -> Bool {
    let unread = end - kept
    if kept > 0 {
      memmove(window, window + kept, unread)
      windowOffset += kept
      position -= kept
      end = unread
    }
    if end == capacity { try grow() }
    let count = try input.read(into: window + end, capacity - end)
    end += count
    (window + end).update(repeating: 0, count: Self.padding)
    return count > 0
  }

  private mutating func grow() throws {
    guard capacity < limits.valueBytes else {
      throw Diagnostic(
        .data, "a single value of the file is too long", file: file, path: place(windowOffset),
        allowed: "at most \(limits.valueBytes) bytes")
    }
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: 2 * capacity + Self.padding)
    memcpy(larger, window, end)
    window.deallocate()
    window = larger
    capacity *= 2
  }

  /// The next bytes without reading past them: `count`, or as many as there are.
  public mutating func peek(_ count: Int) throws -> UnsafeBufferPointer<UInt8> {
    while end - position < count, try refill(keeping: position) {}
    return UnsafeBufferPointer(start: window + position, count: min(count, end - position))
  }

  public mutating func byte() throws -> UInt8? {
    if position == end, try !refill(keeping: position) { return nil }
    position += 1
    return window[position - 1]
  }

  /// The next `count` bytes, valid until the next call; nil where fewer are left.
  public mutating func bytes(_ count: Int) throws -> UnsafeBufferPointer<UInt8>? {
    while end - position < count { guard try refill(keeping: position) else { return nil } }
    position += count
    return UnsafeBufferPointer(start: window + position - count, count: count)
  }

  /// The next line without its end (`\n` or `\r\n`), valid until the next call; nil at the end of the file.
  public mutating func line() throws -> UnsafeBufferPointer<UInt8>? {
    var searched = position
    while true {
      if let found = memchr(window + searched, 10, end - searched) {
        let start = position
        var length = found - UnsafeMutableRawPointer(window + start)
        position = start + length + 1
        if length > 0, window[start + length - 1] == 13 { length -= 1 }
        return UnsafeBufferPointer(start: window + start, count: length)
      }
      let length = end - position
      guard try refill(keeping: position) else {
        guard length > 0 else { return nil }
        position = end
        return UnsafeBufferPointer(start: window + end - length, count: length)
      }
      searched = position + length
    }
  }

  /// All bytes that are left, for formats that must be seen whole.
  ///
  /// - Throws: A ``Diagnostic`` where there are more than `limit`.
  public mutating func rest(limit: Int = 1 << 30) throws -> [UInt8] {
    var all: [UInt8] = []
    repeat {
      guard all.count + end - position <= limit else {
        throw Diagnostic(
          .data, "the file holds too much", file: file, path: place(offset),
          found: "more than \(limit) bytes",
          allowed: "at most \(limit) bytes")
      }
      all.append(contentsOf: UnsafeBufferPointer(start: window + position, count: end - position))
      position = end
    } while try refill(keeping: end)
    return all
  }
}
