import CMPI
import Execution

/// A transfer that has been handed to MPI: what a request stands for.
final class PendingTransfer {
  enum Purpose {
    case send(peer: Int, tag: Int, bytes: Int)
    case receive(peer: Int, tag: Int, bytes: Int)
    /// - Parameter number: Which of this rank's all-to-alls on the channel, from 1.
    case allToAll(channel: Int, group: [Int], number: Int64)
    case barrier(number: Int64)

    var phrase: String {
      switch self {
      case .send(let peer, let tag, let bytes): "sends \(bytes) bytes to rank \(peer) with tag \(tag)"
      case .receive(let peer, let tag, let bytes): "receives \(bytes) bytes from rank \(peer) with tag \(tag)"
      case .allToAll(let channel, let group, let number):
        "is in all-to-all \(number) on channel \(channel) of ranks \(group.map(String.init).joined(separator: ", "))"
      case .barrier: "waits at a barrier"
      }
    }
  }

  let purpose: Purpose
  var handle: MPI_Request? = cmpi_request_null()
  var isDone = false
  var incomingBytes: Int64 = 0
  private var storage: UnsafeMutablePointer<Int32>?

  init(purpose: Purpose) { self.purpose = purpose }

  deinit { storage?.deallocate() }

  /// Counts and places of an all-to-all, which must outlive it.
  struct Table {
    var sendCounts: UnsafeMutablePointer<Int32>
    var sendPlaces: UnsafeMutablePointer<Int32>
    var receiveCounts: UnsafeMutablePointer<Int32>
    var receivePlaces: UnsafeMutablePointer<Int32>
  }

  func table(
    outgoing: [Range<Int>], incoming: [Range<Int>], own: Int, what: () -> String
  ) throws(TransportError) -> Table {
    let members = outgoing.count
    let base = UnsafeMutablePointer<Int32>.allocate(capacity: 4 * members)
    storage = base
    for (side, ranges) in [outgoing, incoming].enumerated() {
      let counts = base + 2 * side * members
      for (member, range) in ranges.enumerated() {
        let isMoved = member != own && !range.isEmpty
        counts[member] = isMoved ? try int32(range.count, what()) : 0
        counts[members + member] = isMoved ? try int32(range.lowerBound, what()) : 0
      }
    }
    return Table(
      sendCounts: base, sendPlaces: base + members, receiveCounts: base + 2 * members,
      receivePlaces: base + 3 * members)
  }

  func releaseTable() {
    storage?.deallocate()
    storage = nil
  }
}
