/// One node of a Chakra trace, as far as it is wanted; nil is what its file does not say.
struct ChakraNode {
  var id: UInt64 = 0
  var type = 0
  /// Index into the builder's names; -1 without one.
  var name: Int32 = -1
  var startMicroseconds: UInt64?
  var durationMicroseconds: UInt64?
  var isHost = false
  var collective: Int64?
  var bytes: Int64?
  var source: Int64?
  var destination: Int64?
  var tag: Int64?
  /// Index into the builder's group names; -1 where the node names none, which means all ranks.
  var group: Int32 = -1
  var operations: Int64?
  var stream: Int64?
  /// What this project's writer adds.
  var own: ChakraOwnAttributes?
}

/// Attributes that this project writes beside the standard ones, for what those cannot say.
struct ChakraOwnAttributes {
  /// Lines of the program's text form up to the node's task.
  var statement: String?
  var startPicoseconds: Int64?
  var durationPicoseconds: Int64?
  /// A ``CommunicationKind`` that the schema does not have.
  var kind: String?
  var inputSplits: [Int64]?
  var outputSplits: [Int64]?

  /// Names in the files; the prefix keeps them apart from all others'.
  enum Name {
    static let prefix: StaticString = "rehearsal_"
    static let version = "rehearsal_version"
    static let program = "rehearsal_program"
    static let code = "rehearsal_code"
    static let codeEnd = "rehearsal_code_end"
    static let traffic = "rehearsal_traffic"
    static let ranks = "rehearsal_ranks"
    static let rank = "rehearsal_rank"
    static let statement = "rehearsal_statement"
    static let start = "rehearsal_start_picoseconds"
    static let duration = "rehearsal_duration_picoseconds"
    static let kind = "rehearsal_kind"
    static let inputSplits = "rehearsal_input_splits"
    static let outputSplits = "rehearsal_output_splits"
  }
}
