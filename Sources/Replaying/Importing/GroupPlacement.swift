import Programs
import Traces

/// Communicators of a program made from the groups that a recording names.
///
/// A group that no file lists is assumed: all ranks, or blocks of its size. Ranks without a recording behave as a
/// recorded one; the groups they are in are the recorded ones, moved along.
struct GroupPlacement {
  private(set) var communicators: [(name: String, groups: [[Int]])] = []
  private(set) var notes: [String] = []
  private let world: Int
  private let isComplete: Bool
  private var placeOfGroup: [Int32: Int] = [:]
  private var placeOfSize: [Int: Int] = [:]
  private var messages: Int?

  /// - Parameter isComplete: Every rank of the world was recorded.
  init(world: Int, isComplete: Bool) {
    self.world = world
    self.isComplete = isComplete
  }

  /// The communicator of an operation, or nil where it cannot be said who takes part.
  mutating func communicator(group: Int32, size: Int?, of recording: Recording) -> Int? {
    if group >= 0 {
      if let known = placeOfGroup[group] { return known < 0 ? nil : known }
      let named = recording.groups[Int(group)]
      guard let ranks = named.ranks?.map(Int.init), !ranks.isEmpty else {
        return assumed(size: named.size ?? size)
      }
      let place = place(ranks, of: named)
      placeOfGroup[group] = place ?? -1
      return place
    }
    return assumed(size: size)
  }

  /// One communicator of all ranks, for messages.
  mutating func forMessages() -> Int {
    if let messages { return messages }
    communicators.append(("messages", [Array(0..<world)]))
    messages = communicators.count - 1
    return communicators.count - 1
  }

  private mutating func place(_ ranks: [Int], of group: ProcessGroup) -> Int? {
    guard Set(ranks).count == ranks.count, ranks.allSatisfy({ (0..<world).contains($0) }) else { return nil }
    let name = group.description.isEmpty ? "group \(group.name)" : group.description
    let groups: [[Int]]
    if isComplete || ranks.count == world {
      groups = [ranks]
    } else if let tiled = tiled(ranks) {
      groups = tiled
    } else {
      return nil
    }
    // Groups of one kind share a communicator as long as no rank is in two of them.
    for index in communicators.indices where messages != index && communicators[index].name == name {
      let taken = Set(communicators[index].groups.flatMap { $0 })
      if groups.allSatisfy({ communicators[index].groups.contains($0) }) { return index }
      if taken.isDisjoint(with: groups.flatMap { $0 }) {
        communicators[index].groups += groups
        return index
      }
    }
    communicators.append((name, groups))
    return communicators.count - 1
  }

  /// The whole world in groups like one: ranks at an even distance, moved along.
  private func tiled(_ ranks: [Int]) -> [[Int]]? {
    guard ranks.count > 1 else { return (0..<world).map { [$0] } }
    let stride = ranks[1] - ranks[0]
    let block = stride * ranks.count
    guard stride > 0, zip(ranks, ranks.dropFirst()).allSatisfy({ $1 - $0 == stride }), world % block == 0
    else {
      return nil
    }
    return Swift.stride(from: 0, to: world, by: block).flatMap { base in
      (0..<stride).map { first in ranks.indices.map { base + first + $0 * stride } }
    }
  }

  private mutating func assumed(size: Int?) -> Int? {
    let size = size ?? world
    if let known = placeOfSize[size] { return known }
    guard size > 0, world % size == 0 else { return nil }
    let groups = Swift.stride(from: 0, to: world, by: size).map { Array($0..<$0 + size) }
    communicators.append((size == world ? "world" : "blocks of \(size)", groups))
    notes.append(
      size == world
        ? "operations whose group the recording does not name are taken as among all \(world) ranks"
        : "groups of \(size) whose ranks the recording does not list are taken as consecutive ranks")
    placeOfSize[size] = communicators.count - 1
    return communicators.count - 1
  }
}
