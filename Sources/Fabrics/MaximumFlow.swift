/// The most that can flow between two sides of a graph: Dinic's algorithm.
///
/// Source: Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation" (1970).
struct MaximumFlow {
  private var targets: [Int32] = []
  private var left: [Double] = []
  private var next: [Int32] = []
  private var heads: [Int32]

  init(vertices: Int) { heads = Array(repeating: -1, count: vertices) }

  /// An edge with a capacity each way.
  mutating func connect(_ a: Int, _ b: Int, _ forward: Double, _ backward: Double) {
    for (from, to, capacity) in [(a, b, forward), (b, a, backward)] {
      next.append(heads[from])
      heads[from] = Int32(targets.count)
      targets.append(Int32(to))
      left.append(capacity)
    }
  }

  /// - Complexity: O(vertices² × edges), far less on shallow graphs.
  mutating func run(from source: Int, to sink: Int) -> Double {
    var total = 0.0
    var levels: [Int32] = []
    // Smaller rests are rounding.
    let least = (left.max() ?? 0) * 1e-12
    while true {
      levels = Array(repeating: -1, count: heads.count)
      levels[source] = 0
      var queue = [source]
      var head = 0
      while head < queue.count {
        let vertex = queue[head]
        head += 1
        var edge = heads[vertex]
        while edge >= 0 {
          let other = Int(targets[Int(edge)])
          if left[Int(edge)] > least && levels[other] < 0 {
            levels[other] = levels[vertex] + 1
            queue.append(other)
          }
          edge = next[Int(edge)]
        }
      }
      if levels[sink] < 0 { return total }
      var places = heads
      total += push(from: source, to: sink, levels, &places, least)
    }
  }

  /// A blocking flow; paths are kept on a stack of edges, not of calls.
  private mutating func push(
    from source: Int, to sink: Int, _ levels: [Int32], _ places: inout [Int32], _ least: Double
  ) -> Double {
    var total = 0.0
    var path: [Int32] = []
    var vertex = source
    while true {
      if vertex == sink {
        let amount = path.map { left[Int($0)] }.min() ?? 0
        total += amount
        var keep = path.count
        for (place, edge) in path.enumerated() {
          left[Int(edge)] -= amount
          left[Int(edge) ^ 1] += amount
          if left[Int(edge)] <= least { keep = min(keep, place) }
        }
        path.removeSubrange(keep...)
        vertex = path.last.map { Int(targets[Int($0)]) } ?? source
        continue
      }
      var edge = places[vertex]
      while edge >= 0, left[Int(edge)] <= least || levels[Int(targets[Int(edge)])] != levels[vertex] + 1 {
        edge = next[Int(edge)]
      }
      places[vertex] = edge
      if edge >= 0 {
        path.append(edge)
        vertex = Int(targets[Int(edge)])
      } else {
        guard let last = path.popLast() else { return total }
        // Nothing goes on from here: its edge is done with.
        vertex = Int(targets[Int(last) ^ 1])
        places[vertex] = next[Int(last)]
      }
    }
  }
}
