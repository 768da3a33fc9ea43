/// The rank that a file's name speaks of: `rank_3.json`, `worker7_step_12`, `dlrm_eg_5.json.gz`, `trace.12.et`; nil
/// where it speaks of none.
func rankInFileName(_ path: String) -> Int? {
  let name = path.split(separator: "/").last.map(String.init) ?? path
  for word in ["rank", "worker", "npu", "_eg", "_et"] {
    for range in name.ranges(of: word).reversed() {
      var rest = name[range.upperBound...]
      if let separator = rest.first, "_-.=".contains(separator) { rest = rest.dropFirst() }
      if let number = leadingNumber(rest) { return number }
    }
  }
  // `all_reduce.1.et`
  let parts = name.split(separator: ".").reversed().drop { ["json", "gz", "et"].contains($0) }
  return parts.first.flatMap { $0.allSatisfy(\.isNumber) ? leadingNumber($0) : nil }
}

private func leadingNumber(_ text: Substring) -> Int? {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  return digits.count <= 7 ? Int(digits) : nil
}
