/// Horizontal bars, each a row of parts on one common scale.
struct StackedBars {
  struct Row {
    var label: String
    var parts: [Part]
    /// Written at the right.
    var value: String
    var isEmphasised = false
    var isWarning = false
  }

  struct Part {
    var amount: Double
    /// Its style in the page; also its colour.
    var `class`: String
    /// What a pointer over it shows.
    var title: String
    /// Drawn within, where there is room.
    var inside: String? = nil
  }

  var identifier: String
  var title: String
  var description: String
  var rows: [Row]
  /// The amount at the right edge.
  var scale: Double
  /// Of the axis, with what the amount is divided by to be shown in it; nil for no axis, where the values say
  /// it all.
  var unit: (name: String, worth: Double)?
  /// A vertical line with a name.
  var mark: (amount: Double, name: String)?

  var html: String {
    let pitch = rows.count > 24 ? 14.0 : 24.0
    let top = mark == nil ? 0.0 : 18.0
    var chart = Chart(
      height: top + rows.reduce(0) { $0 + height(of: $1, pitch) }, identifier: identifier, title: title,
      description: description, hasAxis: unit != nil)
    guard scale > 0 else { return chart.html }
    if let unit { chart.axis(0...scale / unit.worth, unit: unit.name) }
    var y = top
    for row in rows {
      let height = height(of: row, pitch)
      let bar = height - (row.isEmphasised ? 10 : 4)
      chart.label(row.label, y: y + bar / 2, class: row.isEmphasised ? "label strong" : "label")
      chart.value(
        row.value, y: y + bar / 2,
        class: row.isWarning ? "value bad" : row.isEmphasised ? "value strong" : "value")
      var start = 0.0
      for part in row.parts where part.amount > 0 {
        let inside = part.inside.flatMap {
          part.amount / scale * 100 > Double($0.count) * 0.75 + 1 ? $0 : nil
        }
        chart.draw {
          $0.box(
            inside, x: .share(start / scale), y: y, width: .share(part.amount / scale), height: bar,
            class: part.class,
            title: part.title)
        }
        start += part.amount
      }
      y += height
    }
    if let mark {
      let share = mark.amount / scale
      let height = chart.height
      chart.draw {
        $0.line(x1: .share(share), y1: 4, x2: .share(share), y2: height, class: "capacity")
        $0.label(
          mark.name, x: .share(share), y: 12, anchor: share > 0.5 ? .end : .start,
          shift: share > 0.5 ? -5 : 5,
          class: "axis")
      }
    }
    return chart.html
  }

  private func height(of row: Row, _ pitch: Double) -> Double { row.isEmphasised ? pitch + 16 : pitch }
}
