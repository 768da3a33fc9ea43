import Units

/// Columns of a raster, each with the work that filled most of it.
///
/// What is shorter than a column is merged: a column shows the work with the largest share of its time, or
/// nothing where idling has the largest. The first in `Work`'s order wins a tie.
///
/// - Parameter intervals: Of one lane.
/// - Complexity: O(intervals + columns × kinds of work).
func rasterised(
  _ intervals: [PipelinePicture.Interval], from start: Instant, to end: Instant, columns: Int
) -> [(columns: Range<Int>, work: PipelinePicture.Work)] {
  let length = (end - start).picoseconds
  guard length > 0, columns > 0 else { return [] }
  let kinds = PipelinePicture.Work.allCases
  let width = Double(length) / Double(columns)
  var filled = [Double](repeating: 0, count: columns * kinds.count)
  for interval in intervals where interval.end > start && interval.start < end {
    guard let kind = kinds.firstIndex(of: interval.work) else { continue }
    let first = Double((max(interval.start, start) - start).picoseconds) / width
    let last = Double((min(interval.end, end) - start).picoseconds) / width
    var column = min(columns - 1, Int(first))
    while column < columns && Double(column) < last {
      let share = min(last, Double(column + 1)) - max(first, Double(column))
      filled[column * kinds.count + kind] += share
      column += 1
    }
  }
  var runs: [(columns: Range<Int>, work: PipelinePicture.Work)] = []
  for column in 0..<columns {
    let shares = filled[column * kinds.count..<(column + 1) * kinds.count]
    let idle = 1 - shares.reduce(0, +)
    guard let largest = shares.max(), largest > 0, largest >= idle, let index = shares.firstIndex(of: largest)
    else {
      continue
    }
    let work = kinds[index - shares.startIndex]
    if let last = runs.last, last.work == work, last.columns.upperBound == column {
      runs[runs.count - 1].columns = last.columns.lowerBound..<column + 1
    } else {
      runs.append((column..<column + 1, work))
    }
  }
  return runs
}
