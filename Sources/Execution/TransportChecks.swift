/// The checks that every transport makes of what it is handed.
public enum TransportChecks {
  /// Refuses groups that name a rank twice or one that does not exist.
  public static func check(channels: [[[Int]]], size: Int) throws(TransportError) {
    for (channel, groups) in channels.enumerated() {
      var isTaken = [Bool](repeating: false, count: size)
      for group in groups {
        for member in group {
          guard (0..<size).contains(member) else {
            throw TransportError("channel \(channel) names rank \(member) of a world of \(size)")
          }
          guard !isTaken[member] else {
            throw TransportError("channel \(channel) names rank \(member) twice")
          }
          isTaken[member] = true
        }
      }
    }
  }

  /// Refuses a message to a rank that does not exist, to this rank itself, or with a tag out of range.
  public static func check(peer: Int, tag: Int, of rank: Int, size: Int, maximumTag: Int)
    throws(TransportError)
  {
    guard (0..<size).contains(peer), peer != rank else {
      throw TransportError("rank \(rank) of \(size) cannot exchange a message with rank \(peer)")
    }
    guard (0...maximumTag).contains(tag) else {
      throw TransportError("rank \(rank): the tag \(tag) is not in 0...\(maximumTag)")
    }
  }

  /// Refuses ranges of an all-to-all that are not one for each member, or whose own parts differ in length.
  public static func check(
    outgoing: [Range<Int>], incoming: [Range<Int>], own: Int, members: Int, rank: Int, channel: Int
  ) throws(TransportError) {
    guard outgoing.count == members, incoming.count == members else {
      throw TransportError(
        "rank \(rank): an all-to-all on channel \(channel) has \(members) members,"
          + " not \(outgoing.count) to send to and \(incoming.count) to receive from")
    }
    guard outgoing[own].count == incoming[own].count else {
      throw TransportError(
        "rank \(rank): its own part of an all-to-all on channel \(channel) has \(outgoing[own].count) bytes"
          + " on one side and \(incoming[own].count) on the other")
    }
  }
}
