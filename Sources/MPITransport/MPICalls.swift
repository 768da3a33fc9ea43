import CMPI
import Execution

/// Turns an error code of MPI into an error with MPI's own text.
func check(_ code: Int32, _ what: @autoclosure () -> String) throws(TransportError) {
  guard code != MPI_SUCCESS else { return }
  throw TransportError("\(what()): \(text(ofError: code))")
}

/// MPI's words for an error code: "MPI_ERR_RANK: invalid rank".
func text(ofError code: Int32) -> String {
  var length: Int32 = 0
  let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MPI_MAX_ERROR_STRING) + 1) {
    buffer in
    buffer.initialize(repeating: 0)
    guard MPI_Error_string(code, buffer.baseAddress, &length) == MPI_SUCCESS else { return "" }
    return String(decoding: buffer[..<Int(length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
  return text.isEmpty ? "MPI error \(code)" : text
}

/// A byte count or place as MPI takes it, which ends at 2 GiB.
func int32(_ bytes: Int, _ what: @autoclosure () -> String) throws(TransportError) -> Int32 {
  guard let value = Int32(exactly: bytes) else {
    throw TransportError("\(what()): \(bytes) bytes are more than MPI's counts hold, 2147483647")
  }
  return value
}
