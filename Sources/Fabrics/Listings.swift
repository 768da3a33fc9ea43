import Documents
import Networks
import Units

/// A quantity of bytes per second in GB/s or TB/s.
func rateText(_ rate: BytesPerSecond) -> String {
  rate.value >= 1e13 ? "\(shortNumber(rate.value / 1e12)) TB/s" : "\(shortNumber(rate.value / 1e9)) GB/s"
}

/// Whole numbers with commas between thousands.
func grouped(_ number: Int) -> String {
  var digits = String(number.magnitude)
  var parts: [String] = []
  while digits.count > 3 {
    parts.insert(String(digits.suffix(3)), at: 0)
    digits.removeLast(3)
  }
  return (number < 0 ? "-" : "") + ([digits] + parts).joined(separator: ",")
}

/// Rows in columns: the first to the left, the others to the right.
func columns(_ rows: [[String]], gap: Int = 2) -> String {
  let count = rows.map(\.count).max() ?? 0
  let widths = (0..<count).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
  return rows.map { row in
    let cells = row.enumerated().map { column, cell in
      let blanks = String(repeating: " ", count: widths[column] - cell.count)
      return column == 0 ? cell + blanks : blanks + cell
    }
    let line = cells.joined(separator: String(repeating: " ", count: gap))
    return String(line.reversed().drop { $0 == " " }.reversed())
  }.joined(separator: "\n") + "\n"
}

/// Text broken between words at a width.
func wrapped(_ text: String, indent: String = "", width: Int = 80) -> String {
  var lines: [String] = []
  var line = indent
  for word in text.split(separator: " ") {
    if line.count > indent.count && line.count + 1 + word.count > width {
      lines.append(line)
      line = indent
    }
    line += line.count > indent.count ? " \(word)" : String(word)
  }
  return (lines + [line]).joined(separator: "\n") + "\n"
}

extension FabricGraph {
  /// The devices and cables in 80 columns.
  public func summary() -> String {
    var text = "\(name)\n\n"
    var rows: [[String]] = [["devices", "number"]]
    for kind in DeviceKind.allCases where kind != .networkSwitch && count(kind) > 0 {
      rows.append([
        kind.name
          + (count(kind) == 1 ? "" : kind.name.hasSuffix("switch") ? "es" : kind == .nvswitch ? "es" : "s"),
        grouped(count(kind)),
      ])
    }
    let top = tiers.max() ?? 0
    if top > 0 {
      for tier in 1...top {
        let number = tiers.count { $0 == tier }
        let name =
          top == 1 ? "switches" : ["leaf switches", "spine switches", "core switches"][Int(tier) - 1]
        rows.append([name, grouped(number)])
      }
    }
    text += columns(rows) + "\n"

    // Cables of one kind between the same kinds of devices at the same rate and latency are one row.
    var groups: [(key: [String], number: Int)] = []
    var places: [[String]: Int] = [:]
    for cable in 0..<cables {
      let link = LinkID(2 * cable)
      let ends = [source(of: link), target(of: link)].map { device -> String in
        kinds[device] == .networkSwitch && top > 1
          ? ["leaf", "spine", "core"][Int(tiers[device]) - 1] : kinds[device].name
      }
      let latency = "\(shortNumber(table.latency(of: link).microseconds)) us"
      let state = isUp[2 * cable] ? rateText(rate(of: link)) : "failed"
      let key = ["\(ends[0]) - \(ends[1])", cableKinds[cable].name, state, latency]
      if let place = places[key] {
        groups[place].number += 1
      } else {
        places[key] = groups.count
        groups.append((key, 1))
      }
    }
    text += columns(
      [["cables", "kind", "number", "each way", "latency"]]
        + groups.map { [$0.key[0], $0.key[1], grouped($0.number), $0.key[2], $0.key[3]] })
    for failure in failures { text += "\nfailure: \(failure)" }
    if !failures.isEmpty { text += "\n" }
    for note in notes { text += "\n" + wrapped(note) }
    return text
  }

  /// Everything as JSON: devices and cables by index.
  public func json() -> String {
    func quoted(_ text: String) -> String {
      var out = "\""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        case _ where scalar.value < 0x20:
          let digits = String(scalar.value, radix: 16)
          out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: out.unicodeScalars.append(scalar)
        }
      }
      return out + "\""
    }
    var text = "{\n  \"name\": \(quoted(name)),\n  \"gpus\": \(gpus),\n  \"devices\": [\n"
    text += deviceNames.indices.map { device in
      var line = "    {\"name\": \(quoted(deviceNames[device])), \"kind\": \(quoted(kinds[device].name))"
      if tiers[device] > 0 { line += ", \"tier\": \(tiers[device]), \"plane\": \(planes[device])" }
      return line + "}"
    }.joined(separator: ",\n")
    text += "\n  ],\n  \"cables\": [\n"
    text += (0..<cables).map { cable in
      let link = LinkID(2 * cable)
      return "    {\"a\": \(sources[2 * cable]), \"b\": \(targets[2 * cable]), \"kind\": "
        + "\(quoted(cableKinds[cable].name)), \"bytes_per_second\": \(Int64(rate(of: link).value)), "
        + "\"latency_ps\": \(table.latency(of: link).picoseconds), \"up\": \(isUp[2 * cable])}"
    }.joined(separator: ",\n")
    text += "\n  ],\n  \"failures\": [" + failures.map(quoted).joined(separator: ", ")
    return text + "],\n  \"notes\": [" + notes.map(quoted).joined(separator: ", ") + "]\n}\n"
  }
}

extension FabricCheck {
  /// What was found, in 80 columns.
  public func text(_ graph: FabricGraph) -> String {
    var text = "\(graph.name)\n\n"
    let counts = FabricCounts(graph)
    text += "every one of \(grouped(graph.gpus)) GPUs reaches every other\n\n"
    var rows: [[String]] = []
    if let bisection {
      let share =
        injection.value > 0 ? " (\(shortNumber(bisection / injection * 100)) % of what its cards send)" : ""
      rows.append(["bisection, one direction", rateText(bisection) + share])
    }
    if counts.switches > 0 {
      if let oversubscription {
        rows.append(["oversubscription of a leaf", shortNumber(oversubscription.value) + " : 1"])
      }
      rows.append(["ports of a switch in use", "\(mostPorts)" + (graph.ports.map { " of \($0)" } ?? "")])
      rows.append(["longest way between leaves", "\(diameter) cable\(diameter == 1 ? "" : "s")"])
    }
    let width = rows.map { $0[0].count }.max() ?? 0
    for row in rows {
      text += row[0] + String(repeating: " ", count: width - row[0].count + 2) + row[1] + "\n"
    }
    if !paths.isEmpty {
      text +=
        "\n"
        + columns(
          [["from the other GPUs to the first", "GPUs", "links", "latency", "equal ways"]]
            + paths.map {
              [
                $0.name, grouped($0.gpus), "\($0.links)", "\(shortNumber($0.latency.microseconds)) us",
                grouped($0.ways),
              ]
            })
    }
    for failure in graph.failures { text += "\nfailure: \(failure)" }
    return text + (graph.failures.isEmpty ? "" : "\n")
  }
}

extension FabricPrices {
  /// Counts and dollars of a fabric beside the published ones, in 80 columns.
  ///
  /// - Throws: A ``Documents/Diagnostic`` when a published fabric cannot be built.
  public func text(_ name: String, _ counts: FabricCounts) throws -> String {
    func millions(_ dollars: Dollars) -> String {
      dollars.value >= 99.5e6 ? "\(Int((dollars.value / 1e6).rounded()))" : shortNumber(dollars.value / 1e6)
    }
    func row(_ name: String, _ counts: FabricCounts, _ dollars: Dollars) -> [String] {
      let each = counts.endpoints > 0 ? shortNumber(dollars.value / Double(counts.endpoints) / 1e3) : "-"
      return [
        name, grouped(counts.endpoints), grouped(counts.switches), grouped(counts.links), millions(dollars),
        each,
      ]
    }
    let head = ["", "endpoints", "switches", "links", "M$", "k$/endpoint"]
    var text = columns([head, row(name, counts, cost(of: counts))]) + "\n"
    text += "at these prices (\(perSwitch.tag.rawValue)):\n"
    for (name, price) in [
      ("switch", perSwitch), ("cable between switches", perLink), ("endpoint", perEndpoint),
    ] {
      text += "  \(name): \(grouped(Int(price.value.value))) $\n"
    }
    text += wrapped(perSwitch.source, indent: "  ") + "\n"
    text += "published fabrics, built from the same switches, and as printed:\n"
    var rows = [head]
    var notes: [String] = []
    for fabric in published {
      let built = try PublishedFabrics.build(fabric.name)
      rows.append(row(fabric.name, built.counts, cost(of: built.counts)))
      rows.append(
        ["  printed"]
          + row("", fabric.counts, fabric.cost).dropFirst().dropLast() + [
            shortNumber(fabric.perEndpoint.value / 1e3)
          ])
      if let note = built.note { notes.append("\(fabric.name): \(note)") }
    }
    text += columns(rows)
    for note in notes { text += wrapped(note, indent: "  ") }
    return text + wrapped(source, indent: "  ")
  }
}
