/// What an event's `args` say of a communication, as far as they say it.
struct KinetoArguments {
  var correlation: Int64?
  var externalID: Int64?
  var recordFunctionID: Int64?
  var stream: Int64?
  var device: Int64?
  var collective: String?
  var inputElements: Int64?
  var outputElements: Int64?
  var groupSize: Int64?
  var dataType: String?
  var inputSplits: SplitList = .absent
  var outputSplits: SplitList = .absent
  var groupName: String?
  var groupDescription: String?
  var groupRanks: SplitList = .absent
  var source: Int64?
  var destination: Int64?
  var sequence: Int64?
  /// Elements of each input of an operation, by `Input Dims`; -1 for an empty list, -2 for an impossible one.
  var inputElementCounts: [Int64] = []
  var inputTypes: [String] = []

  var isCommunication: Bool { collective != nil }
}

/// A list that a file writes as text: `[96, 224]`.
enum SplitList: Equatable {
  case absent
  /// Kineto cuts lists off after 30: `[0, 1, ..., ...]`.
  case cutOff
  case list([Int64])

  /// - Returns: nil where the text is no list of whole numbers.
  init?(_ text: UnsafeBufferPointer<UInt8>) {
    var values: [Int64] = []
    var index = 0
    func skipSpace() { while index < text.count, text[index] == 0x20 { index += 1 } }
    skipSpace()
    guard index < text.count, text[index] == UInt8(ascii: "[") else {
      if text.isEmpty {
        self = .absent
        return
      }
      return nil
    }
    index += 1
    skipSpace()
    while index < text.count, text[index] != UInt8(ascii: "]") {
      if text[index] == UInt8(ascii: ".") {
        self = .cutOff
        return
      }
      let isNegative = text[index] == UInt8(ascii: "-")
      if isNegative { index += 1 }
      let start = index
      var value: Int64 = 0
      while index < text.count, text[index] &- 48 < 10 {
        let (tenfold, isTooLarge) = value.multipliedReportingOverflow(by: 10)
        let (sum, overflows) = tenfold.addingReportingOverflow(Int64(text[index] - 48))
        guard !isTooLarge, !overflows else { return nil }
        value = sum
        index += 1
      }
      guard index > start else { return nil }
      values.append(isNegative ? -value : value)
      skipSpace()
      if index < text.count, text[index] == UInt8(ascii: ",") {
        index += 1
        skipSpace()
      } else {
        break
      }
    }
    guard index < text.count, text[index] == UInt8(ascii: "]") else { return nil }
    self = .list(values)
  }

  var values: [Int64]? {
    if case .list(let values) = self { return values }
    return nil
  }
}
