import Documents

/// The header of a safetensors file, checked: every tensor's place in the data, in the order of the header.
struct TensorHeader {
  struct Entry {
    var description: TensorDescription
    /// Bytes of the data section.
    var range: Range<Int>
  }

  /// What the format's own reader allows for the JSON text.
  static let sizeLimit = 100_000_000

  var metadata: [String: String] = [:]
  var entries: [Entry] = []
  /// Bytes before the data section.
  var dataStart = 0

  /// Reads and checks the header of a whole file's bytes.
  ///
  /// The tensors' ranges must tile the data section: no holes, no overlaps, nothing left over.
  /// - Throws: A ``Diagnostic`` with the tensor's name as its path.
  init(of file: UnsafeRawBufferPointer, path: String) throws {
    func refused(
      _ problem: String, at place: String = "the header", found: String, allowed: String, hint: String? = nil
    ) -> Diagnostic {
      Diagnostic(.data, problem, file: path, path: place, found: found, allowed: allowed, hint: hint)
    }
    guard file.count >= 8 else {
      throw refused(
        "the file is too short for a safetensors file", found: "\(file.count) bytes",
        allowed: "8 bytes or more",
        hint: "the file may have been cut off")
    }
    let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
    guard length >= 2, length <= UInt64(Self.sizeLimit), length <= UInt64(file.count - 8) else {
      throw refused(
        "the header's length cannot be right", found: "\(length) bytes",
        allowed: "2 to \(min(Self.sizeLimit, file.count - 8)) bytes in a file of \(file.count)",
        hint: "the file may have been cut off, or it is no safetensors file")
    }
    dataStart = 8 + Int(length)
    var reader = HeaderReader(UnsafeRawBufferPointer(rebasing: file[8..<dataStart]), file: path)
    try reader.readHeader(into: &self)
    let dataCount = file.count - dataStart
    for entry in entries {
      let description = entry.description
      guard let needed = description.byteCount else {
        throw refused(
          "the shape is too large", at: description.name, found: "\(description.shape)",
          allowed: "fewer than 2^63 bytes")
      }
      guard needed == entry.range.count else {
        throw refused(
          "the tensor's bytes do not match its shape", at: description.name,
          found: "\(entry.range.count) bytes",
          allowed: "\(needed) bytes for \(description.format.rawValue) \(description.shape)")
      }
    }
    var end = 0
    for entry in entries.sorted(by: {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }) {
      guard entry.range.lowerBound == end else {
        throw refused(
          "the tensors leave a hole or overlap", at: entry.description.name,
          found: "data_offsets from \(entry.range.lowerBound)", allowed: "from \(end)")
      }
      end = entry.range.upperBound
      guard end <= dataCount else {
        throw refused(
          "the tensor reaches beyond the end of the file", at: entry.description.name,
          found: "data_offsets to \(end)", allowed: "at most \(dataCount)",
          hint: "the file may have been cut off")
      }
    }
    guard end == dataCount else {
      throw refused(
        "bytes follow the last tensor", at: "the end of the data", found: "\(dataCount) bytes of data",
        allowed: "\(end) bytes, which the header names")
    }
  }
}
