import Units

/// Terminal colours, or nothing where colour was not asked for.
struct TerminalStyle {
  var isOn: Bool

  enum Ink: Int {
    case bold = 1
    case faint = 2
    case red = 31
    case green = 32
    case yellow = 33
    case blue = 34
    case magenta = 35
    case cyan = 36
    case grey = 90
  }

  func callAsFunction(_ text: String, _ ink: Ink) -> String {
    isOn && !text.isEmpty ? "\u{1B}[\(ink.rawValue)m\(text)\u{1B}[0m" : text
  }

  func ink(of part: Estimate.StepPart) -> Ink {
    switch part {
    case .forward: .blue
    case .backwardInput: .green
    case .backwardWeight: .yellow
    case .overlapped: .cyan
    case .bubble: .grey
    case .optimizer: .magenta
    }
  }

  func ink(of part: Estimate.MemoryPart) -> Ink {
    switch part {
    case .parameters: .blue
    case .gradients: .cyan
    case .optimizer: .magenta
    case .activations: .green
    case .buffers: .yellow
    case .reserve: .grey
    }
  }
}

extension Tag {
  /// Stands for the tag beside a number.
  var mark: String {
    switch self {
    case .measured: "●"
    case .published: "■"
    case .derived: "◇"
    case .assumed: "○"
    }
  }

  /// What each mark means, on one line.
  static var legend: String { allCases.map { "\($0.mark) \($0.rawValue)" }.joined(separator: "  ") }
}
