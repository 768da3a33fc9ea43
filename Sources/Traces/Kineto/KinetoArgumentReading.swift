import Documents

extension KinetoArguments {
  /// Reads the value of the key that was just passed, where it is one of those that matter.
  mutating func readValue(from json: inout JSONReader) throws {
    switch json.token.count {
    case 3 where json.tokenIs("Seq"): sequence = try Self.integer(&json)
    case 5 where json.tokenIs("dtype"): dataType = try Self.text(&json)
    case 6 where json.tokenIs("stream"): stream = try Self.integer(&json)
    case 6 where json.tokenIs("device"): device = try Self.integer(&json)
    case 8 where json.tokenIs("Src Rank"): source = try Self.integer(&json)
    case 8 where json.tokenIs("Dst Rank"): destination = try Self.integer(&json)
    case 10 where json.tokenIs("Group size"): groupSize = try Self.integer(&json)
    case 10 where json.tokenIs("Input Dims"): try readDimensions(&json)
    case 10 where json.tokenIs("Input type"): try readTypes(&json)
    case 11 where json.tokenIs("correlation"): correlation = try Self.integer(&json)
    case 11 where json.tokenIs("External id"), 11 where json.tokenIs("external id"):
      externalID = try Self.integer(&json)
    case 13 where json.tokenIs("In msg nelems"): inputElements = try Self.integer(&json)
    case 14 where json.tokenIs("Out msg nelems"): outputElements = try Self.integer(&json)
    case 13 where json.tokenIs("In split size"): inputSplits = try Self.list(&json)
    case 14 where json.tokenIs("Out split size"): outputSplits = try Self.list(&json)
    case 15 where json.tokenIs("Collective name"): collective = try Self.text(&json)
    case 18 where json.tokenIs("Process Group Name"): groupName = try Self.text(&json)
    case 18 where json.tokenIs("Record function id"): recordFunctionID = try Self.integer(&json)
    case 19 where json.tokenIs("Process Group Ranks"): groupRanks = try Self.list(&json)
    case 25 where json.tokenIs("Process Group Description"): groupDescription = try Self.text(&json)
    default: try json.skipValue()
    }
  }

  private static func integer(_ json: inout JSONReader) throws -> Int64? {
    switch try json.peek() {
    case .number: return try json.number().integer
    case .string:
      try json.string()
      return json.token.count < 20 ? Int64(json.text) : nil
    default:
      try json.skipValue()
      return nil
    }
  }

  private static func text(_ json: inout JSONReader) throws -> String? {
    switch try json.peek() {
    case .string:
      try json.string()
      return json.text
    case .number: return try json.number().integer.map(String.init)
    default:
      try json.skipValue()
      return nil
    }
  }

  /// A list as text, or as JSON's own.
  private static func list(_ json: inout JSONReader) throws -> SplitList {
    switch try json.peek() {
    case .string:
      try json.string()
      guard let list = SplitList(json.token) else {
        throw json.error("a list is not one of whole numbers", found: String(json.text.prefix(40)))
      }
      return list
    case .array:
      var values: [Int64] = []
      var isWhole = true
      try json.beginArray()
      while try json.nextElement() {
        if let value = try integer(&json) { values.append(value) } else { isWhole = false }
      }
      return isWhole ? .list(values) : .cutOff
    default:
      try json.skipValue()
      return .absent
    }
  }

  /// `[[6144], [], []]`.
  private mutating func readDimensions(_ json: inout JSONReader) throws {
    guard try json.peek() == .array else { return try json.skipValue() }
    try json.beginArray()
    while try json.nextElement() {
      guard inputElementCounts.count < 64, try json.peek() == .array else {
        try json.skipValue()
        continue
      }
      inputElementCounts.append(try Self.elements(&json))
    }
  }

  /// The product of a list of dimensions; for a list of such lists, or what is no size, -2.
  private static func elements(_ json: inout JSONReader) throws -> Int64 {
    var product: Int64 = -1
    try json.beginArray()
    while try json.nextElement() {
      guard product != -2, try json.peek() == .number else {
        product = -2
        try json.skipValue()
        continue
      }
      let size = try json.number().integer ?? -1
      let (value, overflows) = (product == -1 ? 1 : product).multipliedReportingOverflow(by: size)
      product = overflows || size < 0 || value >= 1 << 50 ? -2 : value
    }
    return product
  }

  private mutating func readTypes(_ json: inout JSONReader) throws {
    guard try json.peek() == .array else { return try json.skipValue() }
    try json.beginArray()
    while try json.nextElement() {
      guard inputTypes.count < 64, try json.peek() == .string else {
        try json.skipValue()
        continue
      }
      try json.string()
      inputTypes.append(json.text)
    }
  }

  /// Bytes and type of the tensors among the inputs; nil where there are none, or one's size is not said, as that of a
  /// `TensorList`.
  var inputTensors: (bytes: Int64, type: String)? {
    guard inputElementCounts.count == inputTypes.count else { return nil }
    var bytes: Int64 = 0
    var tensorType: String?
    for (count, type) in zip(inputElementCounts, inputTypes)
    where type != "" && type != "Scalar" && type != "ScalarList" {
      guard count != -2, let size = ElementTypes.size(type) else { return nil }
      bytes += (count == -1 ? 1 : count) * size
      tensorType = tensorType ?? type
    }
    return tensorType.map { (bytes, $0) }
  }
}
