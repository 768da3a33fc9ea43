/// Ranks that cannot be told apart, one role each: what is proven or simulated for one of them holds for all.
///
/// Ranks that run the same code are one role when, in every communicator, their groups show the same codes in
/// the same member order, and no message passes between two ranks of one code. By induction over the steps of
/// the untimed interpreter such ranks then progress alike. Where that fails, or a table says what each rank
/// exchanges, every rank is its own role.
public struct Roles: Hashable, Sendable {
  public private(set) var codeOfRole: [Int32] = []
  /// The lowest rank of each role.
  public private(set) var representative: [Int32] = []
  /// How many ranks each role stands for.
  public private(set) var ranksOfRole: [Int32] = []
  public private(set) var roleOfRank: [Int32] = []
  public private(set) var isSymmetric = false

  public var count: Int { codeOfRole.count }

  /// - Complexity: O(ranks × communicators + tasks).
  public init(of program: Program) {
    if Self.isSymmetric(program) {
      isSymmetric = true
      roleOfRank = Array(repeating: -1, count: program.ranks)
      var roleOfCode = Array(repeating: Int32(-1), count: program.codes.count)
      for (rank, code) in program.codeOfRank.enumerated() {
        if roleOfCode[Int(code)] < 0 {
          roleOfCode[Int(code)] = Int32(codeOfRole.count)
          codeOfRole.append(code)
          representative.append(Int32(rank))
          ranksOfRole.append(0)
        }
        let role = roleOfCode[Int(code)]
        roleOfRank[rank] = role
        ranksOfRole[Int(role)] += 1
      }
    } else {
      codeOfRole = program.codeOfRank
      representative = (0..<program.ranks).map(Int32.init)
      ranksOfRole = Array(repeating: 1, count: program.ranks)
      roleOfRank = representative
    }
  }

  /// The roles of the members of a role's group, in member order; empty where it is in no group.
  func groupRoles(of role: Int, in communicator: Communicator) -> [Int32] {
    communicator.group(ofRank: Int(representative[role])).map { roleOfRank[Int($0)] }
  }

  private static func isSymmetric(_ program: Program) -> Bool {
    guard program.traffic == nil else { return false }
    for (index, communicator) in program.communicators.enumerated() {
      guard let shapes = groupShapes(of: program, communicator) else { return false }
      for (codeIndex, code) in program.codes.enumerated() {
        guard let shape = shapes[codeIndex] else { continue }
        guard messagesNameOneRank(code, codeIndex: codeIndex, communicator: index, shape: shape) else {
          return false
        }
      }
    }
    return true
  }

  /// For each code the codes of its group's members, or nil where two ranks of one code see different groups.
  private static func groupShapes(of program: Program, _ communicator: Communicator) -> [[Int32]?]? {
    var shapes = [[Int32]?](repeating: nil, count: program.codes.count)
    var isSeen = Array(repeating: false, count: program.codes.count)
    for group in 0..<communicator.groupCount {
      let shape = communicator.group(group).map { program.codeOfRank[Int($0)] }
      for code in Set(shape) {
        if isSeen[Int(code)] {
          if shapes[Int(code)] != shape { return nil }
        } else {
          isSeen[Int(code)] = true
          shapes[Int(code)] = shape
        }
      }
    }
    for rank in 0..<program.ranks where communicator.groupOfRank[rank] < 0 {
      if shapes[Int(program.codeOfRank[rank])] != nil { return nil }
    }
    return shapes
  }

  private static func messagesNameOneRank(
    _ code: Code, codeIndex: Int, communicator: Int, shape: [Int32]
  ) -> Bool {
    for task in 0..<code.count where code.communicator[task] == communicator {
      guard code.kind[task] == .send || code.kind[task] == .receive else { continue }
      let peer = Int(code.peer[task])
      // An out-of-range peer is an error that the verifier reports; symmetry does not matter then.
      guard shape.indices.contains(peer) else { continue }
      let isUnique = shape.lazy.filter { $0 == shape[peer] }.count == 1
      let isSelfUnique = shape.lazy.filter { $0 == Int32(codeIndex) }.count == 1
      if !isUnique || !isSelfUnique { return false }
    }
    return true
  }
}
