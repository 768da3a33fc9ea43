/// A communication task under way: it goes on a little each time it is asked, and never waits.
protocol Operation: AnyObject {
  /// What it waits for; nil before its start.
  var request: TransportRequest? { get }
  /// Starts or goes on.
  ///
  /// - Returns: Whether it is done.
  func advance() throws -> Bool
}

/// One end of a message.
final class MessageOperation: Operation {
  private let start: () throws -> TransportRequest
  private let finish: () -> Void
  private let transport: any Transport
  private(set) var request: TransportRequest?

  init(
    _ transport: any Transport, start: @escaping () throws -> TransportRequest,
    finish: @escaping () -> Void = {}
  ) {
    self.transport = transport
    self.start = start
    self.finish = finish
  }

  func advance() throws -> Bool {
    guard let request else {
      self.request = try start()
      return try advance()
    }
    guard try transport.test(request) else { return false }
    finish()
    return true
  }
}
