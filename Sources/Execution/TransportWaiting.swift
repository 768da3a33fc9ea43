extension Transport {
  /// Waits until all of these are done, in whatever order that happens.
  public func wait(for requests: [TransportRequest]) throws {
    var left = requests
    while !left.isEmpty {
      try left.removeAll { request in try test(request) }
      if !left.isEmpty { try waitForAny(left) }
    }
  }

  /// Waits until this one is done.
  public func wait(for request: TransportRequest) throws {
    while try !test(request) { try waitForAny([request]) }
  }
}
