import CMPI
import Execution

/// How many calls a rank has made; what it tells the others when it comes to its end.
struct CallCounts {
  /// `[rank]`: messages posted to and from it.
  var sent: [Int64]
  var received: [Int64]
  var barriers: Int64 = 0
  /// `[channel]`.
  var allToAlls: [Int64] = []

  init(size: Int) {
    sent = Array(repeating: 0, count: size)
    received = Array(repeating: 0, count: size)
  }
}

/// Tells ranks that wait that another has come to its end.
///
/// MPI lets a rank wait for ever for one that has nothing more to say: programs that do not fit together would hang.
/// So each rank, when it is through, tells all others how many calls it has made; a rank that waits for a call beyond
/// those knows that it waits in vain.
final class Farewell {
  var calls: CallCounts
  /// The receive of the next farewell; nothing once all have been heard.
  var handle: MPI_Request? = cmpi_request_null()

  private let communicator: MPI_Comm?
  private let rank: Int
  private let size: Int
  /// `[rank]`: what it has told; nil while it runs.
  private var told: [Told?]
  private var heard = 0
  private var sends: [MPI_Request?] = []
  private var letters: [UnsafeMutableBufferPointer<Int64>] = []

  private static let notice: Int32 = 0
  private static let letter: Int32 = 1

  /// What another rank has told this one.
  private struct Told {
    /// Messages posted to this rank and from this rank.
    var sent: Int64
    var received: Int64
    var barriers: Int64
    var allToAlls: [Int64]
  }

  init(communicator: MPI_Comm?, rank: Int, size: Int) throws(TransportError) {
    self.communicator = communicator
    self.rank = rank
    self.size = size
    calls = CallCounts(size: size)
    told = Array(repeating: nil, count: size)
    try listen()
  }

  deinit { for letter in letters { letter.deallocate() } }

  var isComplete: Bool { heard == size - 1 }

  /// Tells all others that this rank is through.
  func say() throws(TransportError) {
    for peer in 0..<size where peer != rank {
      let content = [calls.sent[peer], calls.received[peer], calls.barriers] + calls.allToAlls
      let letter = UnsafeMutableBufferPointer<Int64>.allocate(capacity: content.count)
      _ = letter.initialize(from: content)
      letters.append(letter)
      for (bytes, tag) in [(8 * content.count, Self.letter), (0, Self.notice)] {
        var request: MPI_Request? = cmpi_request_null()
        try check(
          MPI_Isend(letter.baseAddress, Int32(bytes), cmpi_byte(), Int32(peer), tag, communicator, &request),
          "rank \(rank) says farewell")
        sends.append(request)
      }
    }
  }

  /// Takes the letter of a rank whose notice has come.
  func hear(from peer: Int) throws(TransportError) {
    var status = MPI_Status()
    try check(MPI_Probe(Int32(peer), Self.letter, communicator, &status), "rank \(rank) hears a farewell")
    var bytes: Int32 = 0
    try check(MPI_Get_count(&status, cmpi_byte(), &bytes), "MPI_Get_count")
    var content = [Int64](repeating: 0, count: Int(bytes) / 8)
    try check(
      MPI_Recv(&content, bytes, cmpi_byte(), Int32(peer), Self.letter, communicator, cmpi_status_ignore()),
      "rank \(rank) hears a farewell")
    guard content.count >= 3 else {
      throw TransportError("rank \(rank) cannot read the farewell of rank \(peer)")
    }
    told[peer] = Told(
      sent: content[0], received: content[1], barriers: content[2], allToAlls: Array(content[3...]))
    heard += 1
    try listen()
  }

  /// Why a transfer can never be done; nil where it may be.
  func reasonInVain(_ purpose: PendingTransfer.Purpose) -> String? {
    guard heard > 0 else { return nil }
    switch purpose {
    case .send(let peer, _, _):
      guard let told = told[peer], told.received < calls.sent[peer] else { return nil }
      return "rank \(peer) has ended after \(told.received) receives from it"
    case .receive(let peer, _, _):
      guard let told = told[peer], told.sent < calls.received[peer] else { return nil }
      return "rank \(peer) has ended after \(told.sent) messages to it"
    case .barrier(let number):
      guard let peer = told.firstIndex(where: { $0.map { $0.barriers < number } ?? false }) else {
        return nil
      }
      return "rank \(peer) has ended without it"
    case .allToAll(let channel, let group, let number):
      for peer in group {
        guard let told = told[peer] else { continue }
        let made = told.allToAlls.indices.contains(channel) ? told.allToAlls[channel] : 0
        if made < number { return "rank \(peer) has ended after \(made) on that channel" }
      }
      return nil
    }
  }

  /// Waits until its own farewells have left.
  func close() throws(TransportError) {
    try check(MPI_Waitall(Int32(sends.count), &sends, cmpi_statuses_ignore()), "rank \(rank) says farewell")
    var communicator = communicator
    try check(MPI_Comm_free(&communicator), "MPI_Comm_free")
  }

  private func listen() throws(TransportError) {
    guard !isComplete else { return }
    try check(
      MPI_Irecv(nil, 0, cmpi_byte(), MPI_ANY_SOURCE, Self.notice, communicator, &handle),
      "rank \(rank) listens for farewells")
  }
}
