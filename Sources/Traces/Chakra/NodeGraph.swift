/// Finds nodes by their ids, which are unique in a file and nothing more.
struct NodeTable {
  private var lowest: UInt64 = 0
  /// Where ids lie close together: the node of each id, or -1.
  private var dense: [Int32] = []
  private var sparse: [UInt64: Int32] = [:]
  /// The first node whose id an earlier node has.
  private(set) var duplicate: Int?

  init(_ ids: [UInt64]) {
    guard let least = ids.min(), let most = ids.max() else { return }
    lowest = least
    if most - least < UInt64(4 * ids.count + 1024) {
      dense = [Int32](repeating: -1, count: Int(most - least) + 1)
      for (node, id) in ids.enumerated() {
        let place = Int(id - least)
        if dense[place] >= 0 {
          duplicate = node
          return
        }
        dense[place] = Int32(node)
      }
    } else {
      sparse.reserveCapacity(ids.count)
      for (node, id) in ids.enumerated() where sparse.updateValue(Int32(node), forKey: id) != nil {
        duplicate = node
        return
      }
    }
  }

  @inline(__always)
  func node(_ id: UInt64) -> Int32? {
    if dense.isEmpty { return sparse[id] }
    guard id >= lowest, id - lowest < UInt64(dense.count) else { return nil }
    let node = dense[Int(id - lowest)]
    return node < 0 ? nil : node
  }
}

/// Dependencies of events as a list of lists, whose circles can be cut.
struct EventGraph {
  /// Events that event `i` waits for: `targets[offsets[i]..<offsets[i + 1]]`.
  private(set) var offsets: [Int32] = [0]
  private(set) var targets: [Int32] = []

  var count: Int { offsets.count - 1 }

  init() {}

  init(offsets: [Int32], targets: [Int32]) {
    self.offsets = offsets
    self.targets = targets
  }

  @inline(__always)
  mutating func add(_ target: Int32) { targets.append(target) }

  mutating func endEvent() { offsets.append(Int32(targets.count)) }

  mutating func reserve(events: Int, edges: Int) {
    offsets.reserveCapacity(events + 1)
    targets.reserveCapacity(edges)
  }

  func targets(of event: Int) -> Range<Int> { Int(offsets[event])..<Int(offsets[event + 1]) }

  /// Takes out, of every set of events that wait for each other, the dependencies that do not go back in the file's
  /// order; what is left has no circle.
  ///
  /// - Returns: Dependencies taken out.
  /// - Complexity: O(events + edges).
  mutating func cutCircles() -> Int {
    var goesBack = true
    for event in 0..<count where goesBack {
      for edge in targets(of: event) where targets[edge] >= event { goesBack = false }
    }
    if goesBack { return 0 }
    let components = strongComponents()
    var kept: [Int32] = []
    kept.reserveCapacity(targets.count)
    var newOffsets: [Int32] = [0]
    newOffsets.reserveCapacity(offsets.count)
    for event in 0..<count {
      for edge in targets(of: event) {
        let target = targets[edge]
        if target < event || components[Int(target)] != components[event] { kept.append(target) }
      }
      newOffsets.append(Int32(kept.count))
    }
    defer { (offsets, targets) = (newOffsets, kept) }
    return targets.count - kept.count
  }

  /// The set of events that wait for each other that each event belongs to (Tarjan 1972, without recursion: a chain may
  /// be as long as the file).
  private func strongComponents() -> [Int32] {
    let unseen = Int32(-1)
    var component = [Int32](repeating: unseen, count: count)
    var number = [Int32](repeating: unseen, count: count)
    var low = [Int32](repeating: 0, count: count)
    var next = offsets
    var stack: [Int32] = []
    var path: [Int32] = []
    var (numbers, components) = (Int32(0), Int32(0))
    for root in 0..<count where number[root] == unseen {
      path.append(Int32(root))
      while let top = path.last {
        let event = Int(top)
        if number[event] == unseen {
          number[event] = numbers
          low[event] = numbers
          numbers += 1
          stack.append(top)
        }
        var goesDeeper = false
        while next[event] < offsets[event + 1] {
          let target = Int(targets[Int(next[event])])
          next[event] += 1
          if number[target] == unseen {
            path.append(Int32(target))
            goesDeeper = true
            break
          }
          if component[target] == unseen { low[event] = min(low[event], number[target]) }
        }
        if goesDeeper { continue }
        path.removeLast()
        if let parent = path.last { low[Int(parent)] = min(low[Int(parent)], low[event]) }
        guard low[event] == number[event] else { continue }
        while let member = stack.popLast() {
          component[Int(member)] = components
          if member == top { break }
        }
        components += 1
      }
    }
    return component
  }
}
