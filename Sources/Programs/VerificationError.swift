/// Why a program was refused, in terms of its ranks and tasks.
public enum VerificationError: Error, Hashable, Sendable {
  /// An index points outside its table.
  case brokenReference(String)
  /// A message or a collective that the other side never meets.
  case unmatched(String)
  /// Members of a group meet different collectives in the same place.
  case disagreement(String)
  /// Tasks that wait for each other, or for something that never comes; each entry names rank, task and what
  /// it awaits.
  case stuck([String])
  /// A chunk that stands twice, or a backward without its forward.
  case chunks(String)
  /// Activations given back that were never taken.
  case negativeMemory(String)
}

extension VerificationError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .brokenReference(let text): "the program points outside itself: \(text)"
    case .unmatched(let text): "nobody meets this task: \(text)"
    case .disagreement(let text): "members of a group disagree: \(text)"
    case .stuck(let tasks): "the program would hang: " + tasks.joined(separator: "; ")
    case .chunks(let text): "the chunks are wrong: \(text)"
    case .negativeMemory(let text): "memory is given back that was never taken: \(text)"
    }
  }
}
