/// Hands out consecutive ranges of one buffer when a block is laid out.
struct Cursor {
  private(set) var count = 0

  mutating func take(_ elements: Int) -> Int {
    defer { count += elements }
    return count
  }
}
