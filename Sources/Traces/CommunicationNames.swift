extension CommunicationKind {
  /// What a collective's name says, as PyTorch, its flight recorder and MPI write it: `allreduce`, `_allgather_base`,
  /// `nccl:all_to_all`, `nccl:recv 0<-3`; nil for what is no communication, such as `wait`.
  ///
  /// Sources: `ProcessGroupNCCL.cpp`, `ParamCommsUtils.hpp`.
  init?(collective name: String) {
    var word = Substring(name.lowercased())
    if let colon = word.lastIndex(of: ":") { word = word[word.index(after: colon)...] }
    if let space = word.firstIndex(of: " ") { word = word[..<space] }
    let letters = word.filter { $0.isLetter }
    switch letters {
    case "wait", "init", "end": return nil
    case "alltoallv", "alltoallvsingle": self = .allToAllV
    case "send", "isend": self = .send
    case "recv", "irecv", "recvanysource": self = .receive
    case "barrier": self = .barrier
    case _ where letters.hasPrefix("alltoall"): self = .allToAll
    case _ where letters.hasPrefix("allreduce"): self = .allReduce
    case _ where letters.hasPrefix("allgather"): self = .allGather
    case _ where letters.hasPrefix("reducescatter"): self = .reduceScatter
    case _ where letters.hasPrefix("broadcast") || letters == "bcast": self = .broadcast
    case _ where letters.hasPrefix("reduce"): self = .reduce
    case _ where letters.hasPrefix("gather"): self = .gather
    case _ where letters.hasPrefix("scatter"): self = .scatter
    case _ where letters.hasPrefix("sendrecv") || letters == "pointtopoint": self = .sendReceive
    default: self = .unknown
    }
  }

  /// What a GPU kernel's name says; nil for kernels that do not communicate.
  ///
  /// NCCL's `ncclKernel_*` (to 2.18), `ncclDevKernel_*` and `ncclSymDevKernel_*`, RCCL's generic kernel, DeepEP's
  /// kernels, the all-reduces of vLLM, SGLang, TensorRT-LLM and PyTorch's symmetric memory. DeepEP's
  /// `get_dispatch_layout` counts tokens on its own GPU.
  init?(kernel name: String) {
    if let kind = Self.ncclKernel(name) ?? Self.deepEPKernel(name) ?? Self.customKernel(name) {
      self = kind
    } else {
      return nil
    }
  }

  private static func ncclKernel(_ name: String) -> CommunicationKind? {
    guard name.contains("nccl") || name.hasPrefix("rccl") || name.hasPrefix("hccl") || name.hasPrefix("msccl")
    else { return nil }
    guard name.contains("Kernel") || name.hasPrefix("nccl") || name.hasPrefix("hccl") else { return nil }
    let operations: [(String, CommunicationKind)] = [
      ("AllReduce", .allReduce), ("ReduceScatter", .reduceScatter), ("AllGather", .allGather),
      ("Broadcast", .broadcast), ("AlltoAll", .allToAll), ("AllToAll", .allToAll), ("SendRecv", .sendReceive),
      ("Scatter", .scatter), ("Gather", .gather), ("Reduce", .reduce),
    ]
    return operations.first { name.contains("_\($0.0)") }?.1 ?? .unknown
  }

  private static func deepEPKernel(_ name: String) -> CommunicationKind? {
    guard
      let space = ["internode_ll::", "internode::", "intranode::"].first(where: { name.contains("ep::" + $0) }
      ),
      let range = name.firstRange(of: "ep::" + space)
    else { return nil }
    let function = name[range.upperBound...].prefix { $0.isLetter || $0 == "_" }
    switch function {
    case "notify_dispatch", "cached_notify", "cached_notify_dispatch", "cached_notify_combine": return .notify
    case "dispatch": return .dispatch
    case "combine": return .combine
    // Ends with a barrier of all ranks.
    case "barrier", "clean_low_latency_buffer": return .barrier
    default: return nil
    }
  }

  private static func customKernel(_ name: String) -> CommunicationKind? {
    let reductions = [
      "cross_device_reduce", "oneShotAllReduceKernel", "twoShotAllReduceKernel", "one_shot_all_reduce_kernel",
      "two_shot_all_reduce_kernel", "multimem_all_reduce_kernel", "multimem_one_shot_all_reduce",
      "allreduce_fusion_kernel",
      "quickreduce::allreduce",
    ]
    if reductions.contains(where: { name.contains($0) }) { return .allReduce }
    if name.contains("multimem_all_gather_kernel") { return .allGather }
    return nil
  }
}
