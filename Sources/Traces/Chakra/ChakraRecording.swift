import Documents

/// Reads a Chakra trace: one `.et` file for each rank, plain or gzip.
///
/// - Parameters:
///   - paths: Ranks come from the names (`<prefix>.<rank>.et`), or from the order where names have none.
///   - groupFile: ASTRA-sim's comm-group file, where there is one.
/// - Throws: A ``Diagnostic`` with the file and the byte where it stops being a trace.
public func readChakra(
  _ paths: [String], groupFile: String? = nil, limits: ByteSource.Limits = ByteSource.Limits()
) throws -> Recording {
  var assembly = ChakraAssembly(.chakra)
  if let groupFile { try assembly.groups.readFile(ByteSource(path: groupFile, limits: limits)) }
  for (index, path) in paths.enumerated() {
    let source = try ByteSource(path: path, limits: limits)
    let rank = chakraRank(ofPath: path)
    try assembly.add(readChakraFile(source, rank: rank ?? index), isNamed: rank != nil)
  }
  return try assembly.finish()
}

/// The rank that a trace's name states: `bert.3.et`, `chakra.0.et.gz`, `chakra.0.json`; nil without one.
func chakraRank(ofPath path: String) -> Int? {
  let name = path.split(separator: "/").last ?? ""
  return name.split(separator: ".").reversed().prefix(4).lazy.compactMap { Int32($0) }.first { $0 >= 0 }.map {
    Int($0)
  }
}

/// Files of ranks on their way to one recording.
struct ChakraAssembly {
  var groups = ChakraGroups()
  private var recording: Recording
  private var files: [ChakraFile] = []
  private var carried = CarriedProgram()
  private var groupIndex: [GroupKey: Int32] = [:]

  private struct GroupKey: Hashable {
    var name: String
    var ranks: [Int32]?
  }

  init(_ format: TraceFormat) { recording = Recording(format) }

  mutating func add(_ file: ChakraFile, isNamed: Bool) throws {
    let rank = file.recording.rank
    if let other = files.first(where: { $0.recording.rank == rank }) {
      throw Diagnostic(
        .data, "two files are of the same rank", file: file.recording.file, path: "rank \(rank)",
        found: other.recording.file, allowed: "one file for each rank, named <prefix>.<rank>.et")
    }
    if !isNamed, file.ownRank == nil {
      recording.notes.append("\(file.recording.file): its name has no rank, taken as rank \(rank)")
    }
    try carried.add(file)
    var file = file
    file.builder.dropStatements()
    files.append(file)
  }

  mutating func finish() throws -> Recording {
    files.sort { $0.recording.rank < $1.recording.rank }
    for file in files { for list in file.builder.groupLists { groups.readList(list, of: file.builder.file) } }
    recording.worldSize = worldSize()
    for index in files.indices {
      var file = files[index]
      connect(&file)
      files[index] = file
      recording.omissions += files[index].builder.omissions
      recording.notes += files[index].builder.notes.map { "rank \(files[index].recording.rank): \($0)" }
    }
    recording.notes += groups.notes
    shareOrigin()
    recording.ranks = files.map(\.recording)
    switch try carried.restored() {
    case .none: break
    case .incomplete(let why):
      recording.notes.append("the program that the files carry is not restored: \(why)")
    case .whole(let program):
      let tasks = ChakraTasks(program)
      for rank in recording.ranks { try tasks.check(rank, groups: recording.groups) }
      recording.program = program.program
    }
    return recording
  }

  private mutating func worldSize() -> Int? {
    let said = files.lazy.compactMap(\.ownRanks).first.map { Int($0) } ?? groups.worldSize
    if let said, (1...ChakraGroups.memberLimit).contains(said) { return said }
    guard files.count > 1, files.last?.recording.rank == files.count - 1 else { return nil }
    recording.notes.append("the job is taken to have \(files.count) ranks, as many as there are files")
    return files.count
  }

  /// Gives communications their groups, and the bytes that follow from a group's size.
  private mutating func connect(_ file: inout ChakraFile) {
    let indices = file.builder.groupNames.names.map { index(ofGroup: $0) }
    // Nodes that name no group mean all ranks.
    var unnamed: Int32?
    for event in file.recording.communications.indices {
      let name = file.recording.communications[event].group
      let isMessage =
        file.recording.communications[event].kind == .send
        || file.recording.communications[event].kind == .receive
      var group = Int32(-1)
      if name >= 0 {
        group = indices[Int(name)]
      } else if !isMessage {
        group = unnamed ?? index(ofGroup: "")
        unnamed = group
      }
      file.recording.communications[event].group = group
      guard group >= 0, let size = recording.groups[Int(group)].size else { continue }
      if !isMessage { file.recording.communications[event].groupSize = size }
      file.recording.communications[event].setOutputBytes(groupSize: size)
    }
  }

  private mutating func index(ofGroup name: String) -> Int32 {
    let name = ChakraGroups.canonical(name)
    let known = groups[name]
    var ranks = known.flatMap { $0.ranks.isEmpty ? nil : $0.ranks }
    var size = known?.size
    // Listed without ranks, a group is all of them.
    if name == ChakraGroups.all || known?.ranks.isEmpty == true {
      ranks = recording.worldSize.map { (0..<Int32(clamping: $0)).map { $0 } }
      size = recording.worldSize
    }
    let key = GroupKey(name: name, ranks: ranks)
    if let index = groupIndex[key] { return index }
    let index = Int32(recording.groups.count)
    recording.groups.append(
      ProcessGroup(name: name, description: known?.description ?? "", ranks: ranks, size: size))
    groupIndex[key] = index
    if name != ChakraGroups.all, known == nil {
      recording.notes.append("group \(name) is not defined: its ranks are unknown")
    }
    return index
  }

  /// Lets times of all ranks count from the earliest start, where clocks agree within a day.
  private mutating func shareOrigin() {
    let starts = files.map(\.builder.firstMicroseconds)
    guard let first = starts.compactMap({ $0 }).min(), let last = starts.compactMap({ $0 }).max(),
      last - first < 86_400_000_000
    else { return }
    for (index, start) in starts.enumerated() {
      guard let start, start > first else { continue }
      let shift = Int64(start - first) * 1_000_000
      files[index].recording.origin &-= shift
      for event in files[index].recording.start.indices
      where files[index].recording.start[event] != RankRecording.unknownTime {
        files[index].recording.start[event] &+= shift
      }
    }
  }
}

extension RecordedCommunication {
  /// The output buffer, which the schema leaves to the kind of collective.
  fileprivate mutating func setOutputBytes(groupSize: Int) {
    guard outputBytes == nil, let input = inputBytes else { return }
    switch kind {
    case .allReduce, .allToAll, .broadcast: outputBytes = input
    case .allGather:
      let (product, overflows) = input.multipliedReportingOverflow(by: Int64(groupSize))
      outputBytes = overflows ? nil : product
    case .reduceScatter: outputBytes = input / Int64(groupSize)
    default: break
    }
  }
}
