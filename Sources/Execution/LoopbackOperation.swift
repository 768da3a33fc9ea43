import Foundation

/// Which queue of a loopback world a message stands in; the channel is -1 for messages between two ranks.
struct LoopbackRoute: Hashable {
  var channel: Int
  var tag: Int
  var source: Int
  var destination: Int
}

/// A copy of the bytes that one rank sends another.
final class LoopbackMessage {
  /// The transfer that sent it; nil once a receive has met it.
  var operation: LoopbackOperation?
  private let bytes: UnsafeMutableRawBufferPointer
  var count: Int { bytes.count }

  init(_ bytes: UnsafeRawBufferPointer, operation: LoopbackOperation) {
    self.operation = operation
    self.bytes = .allocate(byteCount: bytes.count, alignment: 16)
    self.bytes.copyMemory(from: bytes)
  }

  deinit { bytes.deallocate() }

  func copy(into destination: UnsafeMutableRawBufferPointer) {
    destination.copyMemory(from: UnsafeRawBufferPointer(bytes))
  }

  func equals(_ other: UnsafeRawBufferPointer) -> Bool {
    guard let own = bytes.baseAddress, let others = other.baseAddress, !bytes.isEmpty else {
      return bytes.count == other.count
    }
    return bytes.count == other.count && memcmp(own, others, bytes.count) == 0
  }
}

/// A transfer of one rank: what a request stands for.
///
/// Until it is ready it belongs to the world's lock, afterwards to the rank's thread.
final class LoopbackOperation {
  enum Purpose {
    case send(peer: Int, tag: Int, bytes: Int)
    case receive(peer: Int, tag: Int, bytes: Int)
    case allToAll(channel: Int, group: [Int])
  }

  let rank: Int
  let purpose: Purpose
  var sent: [(message: LoopbackMessage, bytes: UnsafeRawBufferPointer)] = []
  var arrived: [(message: LoopbackMessage, bytes: UnsafeMutableRawBufferPointer)] = []
  /// Ranks that have not posted the receive of a sent message, and ranks that have not sent.
  var untaken: [Int] = []
  var missing: [Int] = []

  var isReady: Bool { untaken.isEmpty && missing.isEmpty }

  init(rank: Int, purpose: Purpose) {
    self.rank = rank
    self.purpose = purpose
  }

  /// "rank 1 sends 64 bytes to rank 2 with tag 7".
  var phrase: String {
    switch purpose {
    case .send(let peer, let tag, let bytes):
      "rank \(rank) sends \(bytes) bytes to rank \(peer) with tag \(tag)"
    case .receive(let peer, let tag, let bytes):
      "rank \(rank) receives \(bytes) bytes from rank \(peer) with tag \(tag)"
    case .allToAll(let channel, let group):
      "rank \(rank) is in an all-to-all on channel \(channel) of ranks \(ranksText(group))"
    }
  }

  /// What it lacks: "for 64 bytes from rank 2 with tag 7".
  var waitingFor: String {
    switch purpose {
    case .send(let peer, let tag, let bytes): "for rank \(peer) to take \(bytes) bytes with tag \(tag)"
    case .receive(let peer, let tag, let bytes): "for \(bytes) bytes from rank \(peer) with tag \(tag)"
    case .allToAll(let channel, _):
      "for \(ranksText(Set(untaken + missing).sorted())) in an all-to-all on channel \(channel)"
    }
  }
}

/// "rank 1", or "ranks 1, 2".
func ranksText(_ ranks: [Int]) -> String {
  (ranks.count == 1 ? "rank " : "ranks ") + ranks.map(String.init).joined(separator: ", ")
}
