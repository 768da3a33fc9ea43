/// A sum that stops at the ends of 64 bits: what hostile files say must not bring a reader down.
func clampedSum(_ a: Int64, _ b: Int64) -> Int64 {
  let (sum, overflows) = a.addingReportingOverflow(b)
  return overflows ? (b < 0 ? Int64.min : Int64.max) : sum
}

func clampedDifference(_ a: Int64, _ b: Int64) -> Int64 {
  let (difference, overflows) = a.subtractingReportingOverflow(b)
  return overflows ? (b > 0 ? Int64.min : Int64.max) : difference
}
