import Documents
import Testing

@testable import Traces

private func read(_ text: String, packed: Bool = false) throws -> Recording {
  let bytes = Array(text.utf8)
  return try readKineto(ByteSource(bytes: packed ? gzipped(bytes) : bytes, named: "trace.json"))
}

private func refusal(_ text: String) -> Diagnostic? {
  do {
    _ = try read(text)
    return nil
  } catch { return error as? Diagnostic }
}

@Suite struct KinetoReaderTests {
  @Test(arguments: [false, true]) func `events come in order, with exact times`(packed: Bool) throws {
    let recording = try read(KinetoSamples.new, packed: packed)
    let rank = recording.ranks[0]
    #expect(recording.format == .kineto && recording.worldSize == 4 && rank.rank == 3)
    #expect(rank.kind == [.communication, .compute, .communication, .communication, .communication, .memory])
    // Microseconds after the first of marks and events, the profiler's step at 100.
    #expect(rank.start == [9_500_000, 10_125_000, 50_000_000, 60_000_000, 70_000_000, 80_000_000])
    #expect(rank.duration == [30_000_000, 20_250_000, 4_000_000, 4_000_000, 4_000_000, 1_500_000])
    #expect(rank.stream == [20, 7, 21, 21, 21, 7])
    #expect(rank.origin == Int64(truncatingIfNeeded: Int128(1_700_000_000_000_000_000) * 1000 + 100_000_000))
    #expect(rank.names[Int(rank.name[1])] == "void gemm<float>(float*)")
  }

  @Test func `every event of the file is accounted for`() throws {
    let recording = try read(KinetoSamples.new)
    #expect(
      recording.omissions == [
        Omission(rank: 3, reason: "arrow", count: 1),
        Omission(rank: 3, reason: "call of the runtime", count: 1),
        Omission(rank: 3, reason: "category Trace", count: 1),
        Omission(rank: 3, reason: "category cuda_sync", count: 1),
        Omission(rank: 3, reason: "category overhead", count: 1),
        Omission(rank: 3, reason: "instant", count: 1),
        Omission(rank: 3, reason: "metadata", count: 1),
        Omission(rank: 3, reason: "operation of the host", count: 1),
        Omission(rank: 3, reason: "range of the device, kept as a mark", count: 1),
        Omission(rank: 3, reason: "range of the host, kept as a mark", count: 1),
      ])
  }

  @Test func `NCCL's arguments give sizes, splits, groups and peers`() throws {
    let recording = try read(KinetoSamples.new)
    let communications = recording.ranks[0].communications
    #expect(communications.map(\.kind) == [.allReduce, .allToAllV, .allToAllV, .send])
    #expect(communications.map(\.inputBytes) == [2000, 24, 256, 8])
    #expect(communications.map(\.outputBytes) == [2000, 40, 256, 8])
    #expect(communications[1].inputSplits == [8, 16] && communications[1].outputSplits == [40, 0])
    #expect(communications[0].inputSplits == nil && communications[0].sequence == 17)
    #expect(communications[3].peer == 2 && communications[0].peer == nil)
    #expect(communications.map(\.group) == [0, 1, 2, 0])
    #expect(
      recording.groups == [
        ProcessGroup(name: "0", description: "default_pg", ranks: [0, 1, 2, 3]),
        ProcessGroup(name: "7", description: "EXPERT", ranks: [1, 3]), ProcessGroup(name: "8", size: 64),
      ])
  }

  @Test func `lists that the profiler cut off stay unknown`() throws {
    let recording = try read(KinetoSamples.new)
    #expect(recording.ranks[0].communications[2].inputSplits == nil)
    #expect(recording.ranks[0].communications[2].outputSplits == nil)
    #expect(recording.groups[2].ranks == nil)
    #expect(recording.notes == ["2 lists of sizes are cut off in the file and therefore unknown"])
  }

  @Test func `ranges are marks`() throws {
    #expect(
      try read(KinetoSamples.new).ranks[0].marks == [
        RecordedMark(.step, name: "ProfilerStep#5", start: 0, duration: 90_000_000),
        RecordedMark(.range, name: "forward", start: 10_125_000, duration: 20_250_000, stream: 7),
      ])
  }

  @Test func `old traces get their sizes from the host`() throws {
    let recording = try read(KinetoSamples.old)
    let rank = recording.ranks[0]
    #expect(rank.kind == [.communication, .communication, .communication, .memory])
    #expect(rank.start == [130_000_000, 230_000_000, 330_000_000, 500_000_000])
    #expect(rank.communications.map(\.kind) == [.allReduce, .allToAll, .allReduce])
    #expect(rank.communications.map(\.inputBytes) == [410, 96, nil])
    #expect(rank.communications.map(\.outputBytes) == [410, nil, nil])
    #expect(rank.communications.map(\.dataType) == ["c10::Half", "float", nil])
    #expect(recording.notes.contains("the bytes of 1 communications are unknown"))
    #expect(recording.notes.contains("trace.json does not say its rank: taken as rank 0"))
    // The step's part of the device reaches over what was launched within it.
    #expect(
      rank.marks == [
        RecordedMark(.step, name: "ProfilerStep#2", start: 0, duration: 900_000_000),
        RecordedMark(.step, name: "ProfilerStep#2", start: 130_000_000, duration: 300_000_000, stream: 9),
      ])
  }

  @Test(arguments: [
    ("void deep_ep::internode::dispatch<false, 8, true>(int4*)", CommunicationKind.dispatch),
    ("void dpsk::ep::intranode::combine<__nv_bfloat16, 8>(int)", .combine),
    ("void deep_ep::internode_ll::dispatch<true, false>(void*)", .dispatch),
    ("void deep_ep::internode::notify_dispatch<false, 8>(int const*)", .notify),
    ("void dpsk::ep::internode::cached_notify<false>(int)", .notify),
    ("void dpsk::ep::cuda::get_dispatch_layout<256, 32, 8>(long const*)", nil),
    ("void deep_ep::layout::get_dispatch_layout<256, 32, 8>(long const*)", nil),
    ("ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)", .allReduce),
    ("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", .reduceScatter),
    ("ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", .sendReceive),
    ("ncclDevKernel_Generic(ncclDevComm*, channelMasks, ncclWork*)", .unknown),
    ("void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(vllm::RankData*)", .allReduce),
    ("void sglang::cross_device_reduce_2stage<half, 4>(int)", .allReduce), ("void gemm<float>()", nil),
    ("void at::native::reduce_kernel<512, 1>(at::native::ReduceOp)", nil),
  ]) func `kernels are told apart by name`(name: String, kind: CommunicationKind?) {
    #expect(CommunicationKind(kernel: name) == kind)
  }

  @Test(arguments: [
    ("allreduce", CommunicationKind.allReduce), ("nccl:all_to_all", .allToAll), ("all_to_allv", .allToAllV),
    ("_allgather_base", .allGather), ("_reduce_scatter_base", .reduceScatter), ("nccl:recv 0<-3", .receive),
    ("nccl:send 0->3", .send), ("wait", nil), ("ALLTOALL_BASE", .allToAll), ("reduce", .reduce),
    ("barrier", .barrier),
    ("something", .unknown),
  ]) func `collectives are told apart by word`(word: String, kind: CommunicationKind?) {
    #expect(CommunicationKind(collective: word) == kind)
  }

  // MARK: Broken files

  @Test(arguments: [
    "\"ts\": 1, \"dur\": -1", "\"ts\": 1, \"dur\": NaN", "\"ts\": 1", "\"dur\": 1", "\"ts\": NaN, \"dur\": 1",
    "\"ts\": 1, \"dur\": 1e300", "\"ts\": 1e40, \"dur\": 1",
    "\"ts\": 1, \"dur\": 1, \"args\": {\"Collective name\": \"allreduce\", \"In msg nelems\": 9223372036854775807}",
    "\"ts\": 1, \"dur\": 1, \"args\": {\"Collective name\": \"allreduce\", \"Group size\": -3}",
    "\"ts\": 1, \"dur\": 1, \"args\": {\"Collective name\": \"a\", \"In split size\": \"[1, -2]\"}",
    "\"ts\": 1, \"dur\": 1, \"args\": {\"Collective name\": \"a\", \"In split size\": \"[1, x]\"}",
  ]) func `impossible times and sizes are refused with the event's byte`(rest: String) {
    let error = refusal(KinetoSamples.event(rest))
    #expect(error?.status == .data && error?.file == "trace.json")
    #expect(error?.path?.hasPrefix("byte ") == true)
  }

  @Test func `what is no trace is refused`() {
    #expect(refusal("{\"nodes\": []}")?.problem == "the file has no traceEvents")
    #expect(
      refusal("{\"traceEvents\": [], \"traceEvents\": []}")?.problem == "the file has two lists of events")
    let nested = "{\"traceEvents\": " + String(repeating: "[", count: 10_000)
    #expect(refusal(nested) != nil)
    let inEvent = KinetoSamples.event("\"args\": {\"x\": " + String(repeating: "[", count: 10_000))
    #expect(refusal(inEvent)?.problem == "the JSON is nested too deeply")
    #expect(refusal("[" + KinetoSamples.event("\"ts\": 1e14, \"dur\": 1").dropFirst(17))?.path != nil)
  }

  @Test func `a group that claims two billion ranks costs nothing`() throws {
    let recording = try read(
      """
      {"distributedInfo": {"rank": 0, "world_size": 2147483646, "pg_config": [{"pg_name": "0", "pg_size": 2147483646,
      "ranks": []}]}, "traceEvents": []}
      """)
    #expect(recording.groups == [ProcessGroup(name: "0", size: 2_147_483_646)])
  }

  @Test func `a trace that is cut off anywhere is refused`() {
    for sample in [KinetoSamples.new, KinetoSamples.old] {
      expectTruncationNoticed(Array(sample.utf8)) { _ = try readKineto($0) }
    }
  }

  @Test func `ten thousand mutants are read or refused`() {
    let samples = [KinetoSamples.new, KinetoSamples.old].map { Array($0.utf8) }
    let words = [
      "\"ph\": \"X\"", "\"cat\": \"kernel\"", "\"In split size\": \"[1, ...]\"", "\"correlation\": 70",
      "traceEvents",
    ]
    expectSurvival(of: samples + [gzipped(samples[0])], words: words) { _ = try readKineto($0) }
  }
}
