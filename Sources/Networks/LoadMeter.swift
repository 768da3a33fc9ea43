/// What links carry in each bucket of time, gathered from changes of their loads in any order.
final class LoadMeter {
  private let width: Double
  private let buckets: Int
  /// Per link and bucket: bytes that changes within the bucket add there, and the change of the load for later ones.
  private var bytes: Column<Double>
  private var steps: Column<Double>
  private var links: Int

  init(links: Int, buckets: Int, width: Double) {
    self.links = links
    self.buckets = buckets
    self.width = width
    bytes = Column(repeating: 0, count: links * buckets)
    steps = Column(repeating: 0, count: links * buckets)
  }

  /// From `time` on the link carries `change` more bytes per picosecond; limits of single flows are not metered.
  func change(_ link: Int32, by change: Double, at time: Double) {
    if link >= links { return }
    let bucket = min(max(0, Int(time / width)), buckets - 1)
    let place = Int(link) * buckets + bucket
    bytes[place] += change * (Double(bucket + 1) * width - time)
    steps[place] += change
  }

  /// Bytes over a link in each bucket.
  func bytes(of link: Int) -> [Double] {
    var load = 0.0
    return (0..<buckets).map { bucket in
      let place = link * buckets + bucket
      defer { load += steps[place] }
      return max(0, bytes[place] + load * width)
    }
  }
}
