import Units

extension CommunicationKind {
  /// Whether all ranks of a group take part together.
  public var isCollective: Bool {
    switch self {
    case .send, .receive: false
    default: true
    }
  }

  /// Bytes a rank moves over its slowest link for each byte of an operation's size: bus bandwidth over algorithm
  /// bandwidth.
  ///
  /// Nil where nccl-tests defines none. Source: nccl-tests, doc/PERFORMANCE.md.
  public func busFactor(ranks: Int) -> Double? {
    guard ranks > 0 else { return nil }
    let n = Double(ranks)
    switch self {
    case .allReduce: return 2 * (n - 1) / n
    case .reduceScatter, .allGather, .allToAll, .allToAllV, .gather, .scatter: return (n - 1) / n
    case .broadcast, .reduce, .send, .receive, .sendReceive: return 1
    case .barrier, .dispatch, .combine, .notify, .unknown: return nil
    }
  }
}

extension RecordedCommunication {
  /// The operation's size as nccl-tests counts it: the larger of a rank's two buffers, the input of an all-to-all.
  public var size: Int64? {
    switch kind {
    case .allToAll, .allToAllV: return inputBytes ?? outputBytes
    default:
      guard let inputBytes, let outputBytes else { return inputBytes ?? outputBytes }
      return max(inputBytes, outputBytes)
    }
  }
}
