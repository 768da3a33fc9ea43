import CMPI
import Execution
import Foundation

/// Ranks that are processes under Open MPI.
///
/// A process makes one, on the thread that makes all calls, and ends it with ``finalize()`` or ``abort(status:)``.
/// Transfers move on within calls only. Where every rank has a core, waiting polls. Where ranks outnumber cores, a
/// waiting rank sleeps between looks: a rank that polls is a busy one to the system, which then lets it have a core
/// that another could compute on.
public final class MPITransport: Transport {
  public let rank: Int
  public let size: Int
  /// What the launcher said.
  public let world: World
  /// The ranks of this machine and the cores that they may use together.
  public let share: CoreShare
  public private(set) var counters = TransportCounters()

  private struct Channel {
    var communicator: MPI_Comm?
    /// The ranks of this rank's group, in order, and this rank's place among them; empty where it is in none.
    var group: [Int] = []
    var own = 0
  }

  /// What Open MPI says on the way, kept from the terminal.
  let diagnostics: Diagnostics
  private let messages: MPI_Comm?
  private let farewell: Farewell
  private let maximumTag: Int
  private var channels: [Channel] = []
  private var pending: [Int: PendingTransfer] = [:]
  private var nextRequest = 0
  /// Whether a rank that waits sleeps between looks.
  private var sleeps: Bool
  /// Scratch of ``waitForAny(_:)``.
  private var handles: [MPI_Request?] = []
  private var indices: [Int32] = []
  private var statuses: [MPI_Status] = []

  /// Starts MPI.
  /// - Parameter world: What the launcher said; MPI must say the same.
  public init(world: World) throws {
    guard isInitialized() == false else {
      throw TransportError("MPI has been started in this process before")
    }
    // Ranks may outnumber cores; a rank that spins while it waits makes the others a thousand times slower.
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0)
    // A process outside of mpirun must not start a daemon, which would keep its files and pipes open.
    setenv("OMPI_MCA_ess_singleton_isolated", "1", 0)
    diagnostics = Diagnostics()
    var level: Int32 = 0
    try check(MPI_Init_thread(nil, nil, Int32(MPI_THREAD_FUNNELED), &level), "MPI_Init_thread")
    let all = cmpi_comm_world()
    try check(MPI_Comm_set_errhandler(all, cmpi_errors_return()), "MPI_Comm_set_errhandler")
    var (rank, size) = (Int32(0), Int32(0))
    try check(MPI_Comm_rank(all, &rank), "MPI_Comm_rank")
    try check(MPI_Comm_size(all, &size), "MPI_Comm_size")
    guard (Int(rank), Int(size)) == (world.rank, world.size) else {
      throw TransportError(
        "started as rank \(world.rank) of \(world.size), but Open MPI sees rank \(rank) of \(size):"
          + " was it launched by another MPI's mpirun?")
    }
    self.world = world
    self.rank = Int(rank)
    self.size = Int(size)
    messages = try duplicate(all, "for messages")
    farewell = try Farewell(communicator: duplicate(all, "for farewells"), rank: Int(rank), size: Int(size))
    maximumTag = Int(cmpi_maximum_tag(messages))
    share = try coreShare(all)
    sleeps = share.isShared
    cmpi_exact_pauses()
  }

  public func open(channels: [[[Int]]]) throws {
    try TransportChecks.check(channels: channels, size: size)
    guard self.channels.isEmpty else { throw TransportError("rank \(rank) has opened its channels before") }
    farewell.calls.allToAlls = Array(repeating: 0, count: channels.count)
    for (number, groups) in channels.enumerated() {
      let color = groups.firstIndex { $0.contains(rank) }
      let group = color.map { groups[$0] } ?? []
      let own = group.firstIndex(of: rank) ?? 0
      var communicator: MPI_Comm?
      try check(
        MPI_Comm_split(
          cmpi_comm_world(), color.map { Int32($0) } ?? MPI_UNDEFINED, Int32(own), &communicator),
        "rank \(rank) opens channel \(number)")
      if color != nil { try returnErrors(of: communicator) }
      self.channels.append(Channel(communicator: communicator, group: group, own: own))
    }
    // From here on waiting is this transport's own; a rank that asks between two computations goes on with them.
    sleepWhileWaiting(sleeps)
  }

  public func sleepWhileWaiting(_ sleeps: Bool) {
    self.sleeps = sleeps
    _ = cmpi_yield_when_idle(sleeps ? 0 : 1)
  }

  public func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws -> TransportRequest {
    try TransportChecks.check(peer: peer, tag: tag, of: rank, size: size, maximumTag: maximumTag)
    let transfer = PendingTransfer(purpose: .send(peer: peer, tag: tag, bytes: bytes.count))
    let count = try int32(bytes.count, phrase(transfer))
    try check(
      MPI_Isend(bytes.baseAddress, count, cmpi_byte(), Int32(peer), Int32(tag), messages, &transfer.handle),
      phrase(transfer))
    counters.bytesSent += Int64(bytes.count)
    counters.messages += 1
    farewell.calls.sent[peer] += 1
    return keep(transfer)
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int
  ) throws -> TransportRequest {
    try TransportChecks.check(peer: peer, tag: tag, of: rank, size: size, maximumTag: maximumTag)
    let transfer = PendingTransfer(purpose: .receive(peer: peer, tag: tag, bytes: bytes.count))
    let count = try int32(bytes.count, phrase(transfer))
    try check(
      MPI_Irecv(bytes.baseAddress, count, cmpi_byte(), Int32(peer), Int32(tag), messages, &transfer.handle),
      phrase(transfer))
    farewell.calls.received[peer] += 1
    return keep(transfer)
  }

  public func allToAll(
    channel number: Int, source: UnsafeRawPointer?, outgoing: [Range<Int>],
    destination: UnsafeMutableRawPointer?, incoming: [Range<Int>]
  ) throws -> TransportRequest {
    guard channels.indices.contains(number), !channels[number].group.isEmpty else {
      throw TransportError("rank \(rank) has no group on channel \(number)")
    }
    let channel = channels[number]
    let own = channel.own
    try TransportChecks.check(
      outgoing: outgoing, incoming: incoming, own: own, members: channel.group.count, rank: rank,
      channel: number)
    let transfer = PendingTransfer(
      purpose: .allToAll(channel: number, group: channel.group, number: farewell.calls.allToAlls[number] + 1))
    let table = try transfer.table(outgoing: outgoing, incoming: incoming, own: own) { phrase(transfer) }
    // The own part never enters MPI, so that its counts are those of bytes between ranks.
    if let source, let destination, !outgoing[own].isEmpty {
      memmove(destination + incoming[own].lowerBound, source + outgoing[own].lowerBound, outgoing[own].count)
    }
    try check(
      MPI_Ialltoallv(
        table.sendBase(source, destination), table.sendCounts, table.sendPlaces, cmpi_byte(), destination,
        table.receiveCounts,
        table.receivePlaces, cmpi_byte(), channel.communicator, &transfer.handle),
      phrase(transfer))
    for (member, range) in outgoing.enumerated() where member != own {
      counters.bytesSent += Int64(range.count)
      counters.messages += 1
    }
    for (member, range) in incoming.enumerated() where member != own {
      transfer.incomingBytes += Int64(range.count)
    }
    farewell.calls.allToAlls[number] += 1
    return keep(transfer)
  }

  public func test(_ request: TransportRequest) throws -> Bool {
    guard let transfer = pending[request.id] else { throw unknown(request) }
    if !transfer.isDone {
      var (flag, status) = (Int32(0), MPI_Status())
      try check(MPI_Test(&transfer.handle, &flag, &status), phrase(transfer))
      guard flag != 0 else { return false }
      try finish(transfer, status)
    }
    pending[request.id] = nil
    // Counted when its owner sees it, so that the owner can tell whose bytes they are.
    counters.bytesReceived += transfer.incomingBytes
    return true
  }

  public func waitForAny(_ requests: [TransportRequest]) throws {
    let transfers = try requests.map { request in
      guard let transfer = pending[request.id] else { throw unknown(request) }
      return transfer
    }
    guard !transfers.isEmpty else { throw TransportError("rank \(rank) waits for no transfer at all") }
    if transfers.contains(where: \.isDone) { return }
    while try waitSome(transfers) == 0 {}
  }

  public func barrier() throws {
    let transfer = PendingTransfer(purpose: .barrier(number: farewell.calls.barriers + 1))
    try check(MPI_Ibarrier(messages, &transfer.handle), phrase(transfer))
    farewell.calls.barriers += 1
    while try waitSome([transfer]) == 0 {}
  }

  public func abort(status: Int32) -> Never {
    MPI_Abort(cmpi_comm_world(), status)
    exit(status)
  }

  /// Waits until all ranks have come to their end, then ends MPI.
  ///
  /// Errors: transfers that nobody has seen done.
  public func finalize() throws {
    if let left = pending.min(by: { $0.key < $1.key }) {
      throw TransportError("\(phrase(left.value)), and ends before that is done")
    }
    _ = cmpi_yield_when_idle(1)
    try farewell.say()
    while !farewell.isComplete { _ = try waitSome([]) }
    try farewell.close()
    for channel in channels where !channel.group.isEmpty {
      var communicator = channel.communicator
      try check(MPI_Comm_free(&communicator), "MPI_Comm_free")
    }
    var communicator = messages
    try check(MPI_Comm_free(&communicator), "MPI_Comm_free")
    try check(MPI_Finalize(), "MPI_Finalize")
  }

  /// Waits for one of these or for a rank's farewell, and says how many of these are done.
  ///
  /// Errors: one of these can never be done, as the other rank has come to its end without its part.
  private func waitSome(_ transfers: [PendingTransfer]) throws -> Int {
    for transfer in transfers {
      if let reason = farewell.reasonInVain(transfer.purpose) {
        throw TransportError("\(phrase(transfer)), but \(reason)")
      }
    }
    let count = transfers.count + 1
    if indices.count < count {
      handles = Array(repeating: cmpi_request_null(), count: count)
      indices = Array(repeating: 0, count: count)
      statuses = Array(repeating: MPI_Status(), count: count)
    }
    for (index, transfer) in transfers.enumerated() { handles[index] = transfer.handle }
    handles[count - 1] = farewell.handle
    var done: Int32 = 0
    var code = MPI_SUCCESS
    if sleeps {
      var pause = Pause()
      while true {
        code = MPI_Testsome(Int32(count), &handles, &done, &indices, &statuses)
        if code != MPI_SUCCESS || done != 0 { break }
        pause.take()
      }
    } else {
      code = MPI_Waitsome(Int32(count), &handles, &done, &indices, &statuses)
    }
    for (index, transfer) in transfers.enumerated() { transfer.handle = handles[index] }
    farewell.handle = handles[count - 1]
    guard code == MPI_SUCCESS || code == MPI_ERR_IN_STATUS else {
      throw TransportError("rank \(rank) waits: \(text(ofError: code))")
    }
    // Nothing was left to wait for: all transfers are done, and no rank is to say farewell any more.
    guard done != MPI_UNDEFINED else { return transfers.count }
    var finished = 0
    for place in 0..<Int(done) {
      let index = Int(indices[place])
      let status = statuses[place]
      if index < transfers.count {
        if code == MPI_ERR_IN_STATUS { try check(status.MPI_ERROR, phrase(transfers[index])) }
        try finish(transfers[index], status)
        finished += 1
      } else {
        if code == MPI_ERR_IN_STATUS { try check(status.MPI_ERROR, "rank \(rank) hears a farewell") }
        try farewell.hear(from: Int(status.MPI_SOURCE))
      }
    }
    return finished
  }

  private func finish(_ transfer: PendingTransfer, _ status: MPI_Status) throws(TransportError) {
    transfer.isDone = true
    transfer.releaseTable()
    switch transfer.purpose {
    case .send, .barrier, .allToAll: break
    case .receive(_, _, let expected):
      var (status, count) = (status, Int32(0))
      try check(MPI_Get_count(&status, cmpi_byte(), &count), "MPI_Get_count")
      guard Int(count) == expected else {
        throw TransportError("\(phrase(transfer)), but \(count) bytes were sent")
      }
      transfer.incomingBytes = Int64(count)
    }
  }

  private func keep(_ transfer: PendingTransfer) -> TransportRequest {
    nextRequest += 1
    pending[nextRequest] = transfer
    return TransportRequest(id: nextRequest)
  }

  private func phrase(_ transfer: PendingTransfer) -> String { "rank \(rank) \(transfer.purpose.phrase)" }

  private func unknown(_ request: TransportRequest) -> TransportError {
    TransportError("rank \(rank) asks about transfer \(request.id), which is done or never was")
  }
}
