import Documents
import Traces

/// One order of all events of all ranks in which everything that an event waits for stands before it.
///
/// Parts of one communication stand in one place. Lanes that keep to such an order cannot block each other, whatever
/// events share a lane.
struct Linearisation {
  /// Place of an event in the order, `[rank][event]`.
  private(set) var place: [[Int32]]
  /// Sends end when they have begun, as MPI's do for short messages; ranks would wait in a circle otherwise.
  private(set) var sendsAreBuffered = false

  private struct Entry: Comparable {
    var time: Int64
    var node: Int32

    static func < (a: Entry, b: Entry) -> Bool { (a.time, a.node) < (b.time, b.node) }
  }

  /// - Parameters:
  ///   - operationOfEvent: The communication that an event is part of, or -1, `[rank][event]`.
  ///   - offsets: Added to each rank's times.
  /// - Throws: A `Diagnostic` that names events which wait for each other.
  /// - Complexity: O((events + edges) × log events).
  init(
    _ recording: Recording, orders: inout [RankOrder], operationOfEvent: [[Int32]], operations: Int,
    offsets: [Int64]
  ) throws(Diagnostic) {
    place = recording.ranks.map { Array(repeating: -1, count: $0.count) }
    let events = recording.ranks.reduce(0) { $0 + $1.count }
    if run(recording, orders, operationOfEvent, operations, offsets) == events { return }
    sendsAreBuffered = true
    for rank in orders.indices { orders[rank].bufferSends(of: recording.ranks[rank]) }
    if run(recording, orders, operationOfEvent, operations, offsets) == events { return }
    for (index, rank) in recording.ranks.enumerated() {
      guard let stuck = place[index].firstIndex(of: -1) else { continue }
      let awaited = orders[index].waits[stuck].first { place[index][Int($0)] < 0 }
      throw Diagnostic(
        .data, "events wait for each other in a circle", file: rank.file,
        path: "rank \(rank.rank), event \(stuck)",
        found: "\"\(rank.names[Int(rank.name[stuck])])\" waits"
          + (awaited.map { " for event \($0), \"\(rank.names[Int(rank.name[Int($0)])])\"" }
            ?? " for another rank"))
    }
  }

  /// - Returns: Events that found their place.
  private mutating func run(
    _ recording: Recording, _ orders: [RankOrder], _ operationOfEvent: [[Int32]], _ operations: Int,
    _ offsets: [Int64]
  ) -> Int {
    // Nodes: communications first, then every event that is part of none.
    var first: [Int32] = []
    var next = Int32(operations)
    for rank in recording.ranks {
      first.append(next)
      next += Int32(rank.count)
    }
    func node(_ rank: Int, _ event: Int) -> Int {
      let operation = operationOfEvent[rank][event]
      return operation >= 0 ? Int(operation) : Int(first[rank]) + event
    }
    var waiting = Array(repeating: Int32(0), count: Int(next))
    var dependents = Array(repeating: [Int32](), count: Int(next))
    var members = Array(repeating: [(rank: Int, event: Int)](), count: Int(next))
    var times = Array(repeating: Int64.min, count: Int(next))
    for (index, rank) in recording.ranks.enumerated() {
      for event in 0..<rank.count {
        let own = node(index, event)
        members[own].append((index, event))
        let start =
          rank.start[event] == RankRecording.unknownTime ? Int64(event) : rank.start[event] &+ offsets[index]
        times[own] = max(times[own], start)
        for before in orders[index].waits[event] {
          let other = node(index, Int(before))
          waiting[own] += 1
          dependents[other].append(Int32(own))
        }
      }
    }
    for index in place.indices { place[index] = Array(repeating: -1, count: place[index].count) }
    var heap = Heap<Entry>()
    for node in 0..<Int(next) where waiting[node] == 0 && !members[node].isEmpty {
      heap.insert(Entry(time: times[node], node: Int32(node)))
    }
    var placed: Int32 = 0
    while let entry = heap.popSmallest() {
      for (rank, event) in members[Int(entry.node)] {
        place[rank][event] = placed
        placed += 1
      }
      for dependent in dependents[Int(entry.node)] {
        waiting[Int(dependent)] -= 1
        if waiting[Int(dependent)] == 0 { heap.insert(Entry(time: times[Int(dependent)], node: dependent)) }
      }
    }
    return Int(placed)
  }
}

extension RankOrder {
  /// What waits for a send waits for what the send waits for instead.
  ///
  /// Edges to a send that follow it in its own queue of sends stay away too: a buffer has room.
  mutating func bufferSends(of rank: RankRecording) {
    func isSend(_ event: Int32) -> Bool {
      let communication = rank.communication[Int(event)]
      return communication >= 0 && rank.communications[Int(communication)].kind == .send
    }
    // Chains of sends are followed once each: what a send stands for is remembered.
    var standsFor: [Int32: [Int32]] = [:]
    func resolved(_ start: Int32) -> [Int32] {
      var result: [Int32] = []
      var seen: Set<Int32> = []
      var stack = [start]
      while let event = stack.popLast() {
        guard seen.insert(event).inserted else { continue }
        if !isSend(event) {
          result.append(event)
        } else if let known = standsFor[event] {
          result += known
        } else {
          stack += waits[Int(event)]
        }
      }
      standsFor[start] = Array(Set(result)).sorted()
      return standsFor[start] ?? []
    }
    var relaxed = waits
    for event in 0..<rank.count where waits[event].contains(where: isSend) {
      var list: [Int32] = []
      for before in waits[event] {
        for other in isSend(before) ? resolved(before) : [before] where !list.contains(other) {
          list.append(other)
        }
      }
      relaxed[event] = list
    }
    replaceWaits(relaxed)
  }
}

/// A binary heap, smallest first.
struct Heap<Element: Comparable> {
  private var elements: [Element] = []

  mutating func insert(_ element: Element) {
    elements.append(element)
    var child = elements.count - 1
    while child > 0, elements[child] < elements[(child - 1) / 2] {
      elements.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func popSmallest() -> Element? {
    guard let smallest = elements.first, let last = elements.popLast() else { return nil }
    guard !elements.isEmpty else { return smallest }
    elements[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < elements.count else { return smallest }
      if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
      guard elements[child] < elements[parent] else { return smallest }
      elements.swapAt(child, parent)
      parent = child
    }
  }
}
