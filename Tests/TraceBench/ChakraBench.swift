import Foundation
import Traces

/// Writes a `.et` file of many nodes as PyTorch's converter makes them (names of kernels, five attributes, two or three
/// dependencies), reads it, and prints nodes for each second of processor time.
///
/// Use: `trace-bench chakra [nodes] [repeats]`.
func benchChakra(_ arguments: [String]) throws {
  let nodes = arguments.first.flatMap { Int($0) } ?? 1_000_000
  let repeats = arguments.dropFirst().first.flatMap { Int($0) } ?? 5
  let path = FileManager.default.temporaryDirectory.appending(path: "chakra-bench-\(getpid()).0.et").path
  defer { try? FileManager.default.removeItem(atPath: path) }
  let bytes = chakraBenchFile(nodes: nodes)
  try Data(bytes).write(to: URL(filePath: path))
  print("\(nodes) nodes, \(bytes.count) bytes")
  for _ in 0..<repeats {
    let start = processorSeconds()
    let recording = try readChakra([path])
    let seconds = processorSeconds() - start
    let events = recording.ranks.first?.count ?? 0
    print(String(format: "%.3f s, %.2f M nodes/s, %d events", seconds, Double(nodes) / seconds / 1e6, events))
  }
}

private func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// Four of five nodes are computations, every fifth is a collective.
private func chakraBenchFile(nodes: Int) -> [UInt8] {
  let names = (0..<200).map {
    "void at::native::vectorized_elementwise_kernel<4, at::native::functor_\($0)<float>>(int)"
  }
  var file: [UInt8] = []
  func number(_ value: UInt64, _ bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
  func field(_ tag: UInt64, _ content: [UInt8], _ bytes: inout [UInt8]) {
    number(tag << 3 | 2, &bytes)
    number(UInt64(content.count), &bytes)
    bytes += content
  }
  func attribute(_ name: String, _ tag: UInt64, _ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    field(1, Array(name.utf8), &bytes)
    number(tag << 3, &bytes)
    number(value, &bytes)
    return bytes
  }
  var metadata: [UInt8] = []
  field(1, Array("0.0.4".utf8), &metadata)
  number(UInt64(metadata.count), &file)
  file += metadata
  for id in 0..<nodes {
    var node: [UInt8] = []
    number(1 << 3, &node)
    number(UInt64(id + 100), &node)
    field(2, Array(names[id % names.count].utf8), &node)
    number(3 << 3, &node)
    number(id % 5 == 4 ? 7 : 4, &node)
    var after: [UInt8] = []
    for distance in [1, 2, 40] where id >= distance { number(UInt64(id + 100 - distance), &after) }
    if !after.isEmpty { field(5, after, &node) }
    number(6 << 3, &node)
    number(1_700_000_000_000_000 + UInt64(id) * 10, &node)
    number(7 << 3, &node)
    number(UInt64(id % 90 + 1), &node)
    field(10, attribute("is_cpu_op", 27, 0), &node)
    field(10, attribute("stream", 7, 7), &node)
    field(10, attribute("tid", 9, 3), &node)
    if id % 5 == 4 {
      field(10, attribute("comm_type", 9, 0), &node)
      field(10, attribute("comm_size", 9, 1 << 20), &node)
    } else {
      field(10, attribute("num_ops", 9, 1 << 30), &node)
      field(10, attribute("tensor_size", 13, 1 << 20), &node)
    }
    number(UInt64(node.count), &file)
    file += node
  }
  return file
}
