import Clusters
import Operators
import Units

/// A measured machine as a topology file, which ``Clusters/readCluster(at:origin:)`` reads.
///
/// - Precondition: The cluster's ranks share processors.
public func machineText(_ cluster: Cluster) -> String {
  guard let host = cluster.host, let kernels = cluster.gpu.kernels.processor else {
    preconditionFailure("\(cluster.name) has GPUs")
  }
  var lines = [
    "# Written by 'rehearse calibrate'; Topologies/README.md explains the keys.",
    "name: \(quoted(cluster.name))", "description: \(quoted(cluster.description))",
    "ranks: \(count(cluster.gpusPerNode))", "processor:",
    "  name: \(quoted(cluster.gpu.name))",
    "  count: \(count(host.processors))",
    "  memory: \(line(host.memory) { "\($0.count) B" })",
    "  memory_bandwidth: \(line(cluster.gpu.memoryBandwidth, text))",
  ]
  if let peak = cluster.gpu.peak(.float32) { lines.append("  peak: \(line(peak, text))") }
  lines.append("  products:")
  for speeds in kernels.products {
    lines.append("    - kind: \(speeds.kind.rawValue)")
    lines.append("      pass: \(speeds.pass.name)")
    lines += table(speeds.table, indent: "      ") {
      "{rows: \(Int($0.rows)), columns: \($0.columns), depth: \(Int($0.depth)), rate: \(text($0.rate))}"
    }
  }
  lines.append("  attention:")
  for speeds in kernels.attention {
    lines.append("    - backward: \(speeds.isBackward)")
    lines += table(speeds.table, indent: "      ") {
      "{sequence: \($0.sequence), dimension: \($0.dimension), rate: \(text($0.rate))}"
    }
  }
  lines.append("  passes:")
  for speeds in kernels.passes {
    lines.append("    - kind: \(speeds.kind.rawValue)")
    lines.append("      pass: \(speeds.pass.name)")
    lines += table(speeds.table, indent: "      ") { "{bytes: \($0.bytes.count) B, rate: \(text($0.rate))}" }
  }
  for (key, transport) in [("transport", host.transport), ("crowded_transport", host.crowdedTransport)] {
    guard let transport else { continue }
    lines += ["\(key):", "  messages:"]
    lines += table(transport.messages, indent: "    ") {
      "{bytes: \($0.bytes.count) B, time: \(text($0.time)), processor_time: \(text($0.processorTime))}"
    }
    lines.append("  all_to_all:")
    lines += table(transport.allToAlls, indent: "    ") {
      "{ranks: \($0.ranks), bytes: \($0.bytes.count) B, processor_time: \(text($0.processorTime))}"
    }
  }
  return lines.joined(separator: "\n") + "\n"
}

private func table<Row>(_ table: MeasurementTable<Row>, indent: String, _ row: (Row) -> String) -> [String] {
  [
    "\(indent)source: \(quoted(table.source))", "\(indent)tag: \(table.tag.rawValue)", "\(indent)rows:",
  ] + table.rows.map { "\(indent)  - \(row($0))" }
}

private func line<Value>(_ quantity: Sourced<Value>, _ text: (Value) -> String) -> String {
  "{value: \(text(quantity.value)), tag: \(quantity.tag.rawValue), source: \(quoted(quantity.source))}"
}

private func count(_ quantity: Sourced<Int>) -> String { line(quantity) { "\($0)" } }

private func text(_ rate: FLOPsPerSecond) -> String { "\(decimal(rate.value * 1e-9)) GFLOPS" }
private func text(_ rate: BytesPerSecond) -> String { "\(decimal(rate.value * 1e-9)) GB/s" }
private func text(_ span: Span) -> String { "\(decimal(span.microseconds)) us" }

/// Four significant digits, which a median of processor times is good for.
private func decimal(_ value: Double) -> String {
  guard value > 0 else { return "0" }
  var (scale, digits) = (1.0, 0)
  while value * scale < 1000, digits < 9 {
    scale *= 10
    digits += 1
  }
  return "\((value * scale).rounded() / scale)"
}

/// A YAML string in double quotes.
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n", "\r", "\t": result += " "
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
