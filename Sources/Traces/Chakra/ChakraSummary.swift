/// What a Chakra trace of one rank holds, counted as its schema counts.
public struct ChakraSummary: Hashable, Sendable {
  /// Nodes of one type.
  public struct Nodes: Hashable, Sendable {
    /// The schema's name without `_NODE`: `COMP`, `COMM_COLL`; `TYPE_11` for a number that it does not have.
    public var type: String
    public var count: Int
  }

  /// Collective nodes of one kind.
  public struct Collectives: Hashable, Sendable {
    /// `ALL_REDUCE`, …; `missing` where the node has no `comm_type`.
    public var kind: String
    public var count: Int
    /// Sum of `comm_size` over the nodes that have one.
    public var bytes: Int64
    /// Nodes without `comm_size`.
    public var withoutBytes: Int
  }

  public var version = ""
  public var nodes = 0
  /// Types that occur, in the schema's order.
  public var byType: [Nodes] = []
  /// Kinds that occur, in the schema's order; `missing` last.
  public var collectives: [Collectives] = []
  public var dataDependencies = 0
  public var controlDependencies = 0
  /// Dependencies of either sort on nodes that the file does not have.
  public var danglingDependencies = 0
  /// Dependencies that close a circle, which are not followed.
  public var cyclicDependencies = 0
  /// Sum of `duration_micros`.
  public var durationMicroseconds: Int64 = 0

  public init() {}
}

/// Numbers of `NodeType` and `CollectiveCommType` in the schema.
enum ChakraSchema {
  enum NodeType {
    static let metadata = 1
    static let memoryLoad = 2
    static let memoryStore = 3
    static let computation = 4
    static let send = 5
    static let receive = 6
    static let collective = 7
  }

  static let nodeTypes = [
    "INVALID", "METADATA", "MEM_LOAD", "MEM_STORE", "COMP", "COMM_SEND", "COMM_RECV", "COMM_COLL",
  ]

  static let collectives = [
    "ALL_REDUCE", "REDUCE", "ALL_GATHER", "GATHER", "SCATTER", "BROADCAST", "ALL_TO_ALL", "REDUCE_SCATTER",
    "REDUCE_SCATTER_BLOCK", "BARRIER",
  ]

  static func nodeType(_ number: Int) -> String {
    nodeTypes.indices.contains(number) ? nodeTypes[number] : "TYPE_\(number)"
  }

  static func collective(_ number: Int) -> String {
    collectives.indices.contains(number) ? collectives[number] : "COMM_TYPE_\(number)"
  }

  static func kind(ofCollective number: Int) -> CommunicationKind {
    switch number {
    case 0: .allReduce
    case 1: .reduce
    case 2: .allGather
    case 3: .gather
    case 4: .scatter
    case 5: .broadcast
    case 6: .allToAll
    case 7, 8: .reduceScatter
    case 9: .barrier
    default: .unknown
    }
  }

  static func number(ofCollective kind: CommunicationKind) -> Int? {
    (0..<collectives.count).first { self.kind(ofCollective: $0) == kind }
  }
}
