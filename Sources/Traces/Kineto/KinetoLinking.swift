/// Joins a Kineto trace with the execution trace of the same rank: its kernels get the sizes, splits and groups that
/// only the execution trace knows.
///
/// `External id` does not join the two; the recorded function's number does, where Kineto has it. Otherwise both list
/// the same host operations in the order of their beginning, which is checked by what both say of each.
struct KinetoLinking {
  /// For each of Kineto's host operations the execution trace's, or nil.
  private(set) var matches: [Int?]
  private(set) var note: String?

  init(_ host: [HostOperation], _ trace: [ExecutionTrace.Operation]) {
    matches = [Int?](repeating: nil, count: host.count)
    guard !host.isEmpty, !trace.isEmpty else {
      note = "nothing links the execution trace with the kernels"
      return
    }
    if linkByNumber(host, trace) { return }
    linkByOrder(host, trace)
  }

  /// What Kineto says of a `record_param_comms`.
  struct HostOperation {
    var recordFunction: Int64?
    var kind: CommunicationKind?
    var inputBytes: Int64?
    /// Whether it says that there is no tensor, as for a wait.
    var hasNoTensor: Bool

    func fits(_ operation: ExecutionTrace.Operation) -> Bool {
      guard let communication = operation.communication else { return kind == nil && inputBytes == nil }
      if hasNoTensor, communication.inputBytes != nil { return false }
      if let kind, !kind.isLike(communication.kind) { return false }
      if let inputBytes, let other = communication.inputBytes, inputBytes != other { return false }
      return true
    }
  }

  private mutating func linkByNumber(_ host: [HostOperation], _ trace: [ExecutionTrace.Operation]) -> Bool {
    var byNumber: [Int64: Int] = [:]
    for (index, operation) in trace.enumerated() {
      if let number = operation.recordFunction { byNumber[number] = index }
    }
    var found = [Int?](repeating: nil, count: host.count)
    for (index, operation) in host.enumerated() {
      guard let number = operation.recordFunction, let other = byNumber[number] else { continue }
      // One that does not fit shows that the numbers are not the same run's.
      guard operation.fits(trace[other]) else { return false }
      found[index] = other
    }
    guard found.contains(where: { $0 != nil }) else { return false }
    matches = found
    return true
  }

  /// Lays the shorter list along the longer one; only a place where all fit, and no other, counts.
  private mutating func linkByOrder(_ host: [HostOperation], _ trace: [ExecutionTrace.Operation]) {
    let (shorter, longer) = (min(host.count, trace.count), max(host.count, trace.count))
    var places: [Int] = []
    var comparisons = 0
    for place in 0...(longer - shorter) {
      var fits = true
      for index in 0..<shorter where fits {
        comparisons += 1
        fits =
          host.count <= trace.count
          ? host[index].fits(trace[place + index]) : host[place + index].fits(trace[index])
      }
      if fits { places.append(place) }
      if places.count > 1 || comparisons > 50_000_000 { break }
    }
    guard places.count == 1, let place = places.first else {
      note =
        places.isEmpty
        ? "the execution trace lists other operations than the kernels' trace: they are not linked"
        : "the execution trace fits the kernels' trace in several places: they are not linked"
      return
    }
    for index in 0..<shorter {
      if host.count <= trace.count { matches[index] = place + index } else { matches[place + index] = index }
    }
  }
}

extension CommunicationKind {
  /// Whether two words may mean one operation: Kineto does not tell an all-to-all with splits, NCCL's kernel not what
  /// it sends and receives for.
  func isLike(_ other: CommunicationKind) -> Bool {
    func isExchange(_ kind: CommunicationKind) -> Bool {
      [.allToAll, .allToAllV, .sendReceive, .send, .receive, .gather, .scatter].contains(kind)
    }
    return self == other || self == .unknown || other == .unknown
      || isExchange(self) && isExchange(other) && (self != .send || other != .receive)
        && (self != .receive || other != .send)
  }
}
