/// The earliest of many changing times: blocks of 64 with their minima, of which only changed ones are read again.
///
/// One refill changes hundreds of times at once; a heap would pay a logarithm for each of them.
struct EarliestTimes: ~Copyable {
  private static let block = 64
  var times = Column<Double>()
  private var least = Column<Double>()
  private var isStale = Column<Bool>()
  private var stale = Column<Int32>()
  private var count = 0

  /// Adds an index, at infinity.
  mutating func append() {
    if count == times.count {
      times.extend(by: Self.block, with: .infinity)
      least.append(.infinity)
      isStale.append(false)
    }
    count += 1
  }

  @inline(__always)
  mutating func set(_ index: Int32, _ time: Double) {
    times.base[Int(index)] = time
    let block = Int(index) / Self.block
    if !isStale.base[block] {
      isStale.base[block] = true
      stale.append(Int32(block))
    }
  }

  mutating func earliest() -> Double {
    while let block = stale.popLast() {
      isStale[block] = false
      let base = times.base + Int(block) * Self.block
      // Four at a time, as the adders allow.
      var minimum = SIMD4<Double>(repeating: .infinity)
      for place in stride(from: 0, to: Self.block, by: 4) {
        let four = SIMD4(base[place], base[place + 1], base[place + 2], base[place + 3])
        minimum.replace(with: four, where: four .< minimum)
      }
      least[block] = minimum.min()
    }
    var minimum = Double.infinity
    for block in 0..<least.count where least.base[block] < minimum { minimum = least.base[block] }
    return minimum
  }

  /// Lists the indices whose time is not after `end`, ascending; `earliest()` must have been asked since the last
  /// change.
  mutating func collect(until end: Double, into due: inout Column<Int32>) {
    for block in 0..<least.count where least.base[block] <= end {
      for index in block * Self.block..<(block + 1) * Self.block where times.base[index] <= end {
        due.append(Int32(index))
      }
    }
  }
}
