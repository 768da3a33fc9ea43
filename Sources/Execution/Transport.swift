/// How one rank's bytes reach the others; everything an executor knows of the world outside its rank.
///
/// Transfers are non-blocking: a call hands back a request, whose buffers stay untouched until ``test(_:)`` has said
/// that it is done. Buffers belong to the caller. Reductions are no business of a transport: sums are taken by the
/// executor, in rank order, so that every transport gives the same bits.
///
/// Calls come from one thread, that of the rank.
public protocol Transport: AnyObject {
  /// This rank and the number of ranks.
  var rank: Int { get }
  var size: Int { get }

  /// Bytes handed over and received so far, as the transport itself counted them; own copies are not counted.
  var counters: TransportCounters { get }

  /// Makes the groups known on which all-to-alls run, one channel for each communicator and lane of a program; every
  /// rank calls it once with the same list. `groups` are disjoint lists of ranks; a rank may be in none.
  func open(channels: [[[Int]]]) throws

  /// Messages of one tag between one pair of ranks arrive in the order of their sending; both sides give one length.
  /// A send may be done only once its receive has been posted.
  /// - Parameter tag: Tells messages between one pair of ranks apart; from 0 to at least 2,147,483,647.
  func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws -> TransportRequest
  func receive(into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int) throws -> TransportRequest

  /// Every member of this rank's group on a channel sends a range of bytes to every member.
  ///
  /// Members call the all-to-alls of a channel in one order. Ranges may overlap among the sent ones, so that an
  /// all-gather is an all-to-all in which every member gets the same range. Source and destination may be one buffer,
  /// where no range that is sent overlaps one that is received.
  /// - Parameters:
  ///   - outgoing: `[member]`: byte ranges in `source`.
  ///   - incoming: `[member]`: byte ranges in `destination`; as long as the member sends.
  func allToAll(
    channel: Int, source: UnsafeRawPointer?, outgoing: [Range<Int>],
    destination: UnsafeMutableRawPointer?, incoming: [Range<Int>]
  ) throws -> TransportRequest

  /// Whether a request is done; a request that is done must not be tested again.
  func test(_ request: TransportRequest) throws -> Bool

  /// Waits until at least one of these may be done, giving the core away meanwhile.
  ///
  /// Errors: another rank has failed or has come to its end, so that one of these can never be done.
  func waitForAny(_ requests: [TransportRequest]) throws

  /// Whether waiting is sleeping between looks, as it is from the start where ranks outnumber cores; else it polls.
  ///
  /// A measurement among some of the ranks chooses; transports with one way of waiting ignore it.
  func sleepWhileWaiting(_ sleeps: Bool)

  /// All ranks wait for all.
  func barrier() throws

  /// Ends the whole job at once, other ranks included.
  func abort(status: Int32) -> Never
}

extension Transport {
  public func sleepWhileWaiting(_ sleeps: Bool) {}
}

/// A transfer under way.
public struct TransportRequest: Hashable, Sendable {
  public let id: Int
  public init(id: Int) { self.id = id }
}

/// What a transport has carried.
public struct TransportCounters: Hashable, Sendable {
  public var bytesSent: Int64 = 0
  public var bytesReceived: Int64 = 0
  public var messages: Int64 = 0
  public init() {}
}

/// What went wrong between ranks, in words.
public struct TransportError: Error, Hashable, Sendable {
  public var description: String
  public init(_ description: String) { self.description = description }
}
