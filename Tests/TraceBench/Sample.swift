import Foundation

/// Kineto JSON as the profiler writes it for a training step: mostly operations of the host, their launches and arrows,
/// kernels, some of them NCCL's with arguments.
struct Sample {
  private var text = ""
  private var event = 0

  /// One launch of a kernel: eight events, some 2.2 kB.
  mutating func launch(isCommunication: Bool) {
    let time = 1_000_000 + 10 * event
    let correlation = 1000 + event
    event += 1
    for depth in 0..<3 {
      text += """
          {
            "ph": "X", "cat": "cpu_op", "name": "aten::layer_norm_backward_\(depth)", "pid": 2910249, "tid": 2919752,
            "ts": \(time).\(100 + depth), "dur": \(9 - depth).777,
            "args": {
              "External id": \(correlation),"Record function id": 0, "Sequence number": 1080, "Fwd thread id": 1, "Ev Idx": \(event),
              "Input Dims": [[16, 4096, 7168], [7168], [], [16, 4096, 1], [16, 4096, 1]],
              "Input type": ["c10::BFloat16", "c10::BFloat16", "ScalarList", "float", "float"]
            }
          },

        """
    }
    let name =
      isCommunication
      ? "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
      : "void at::native::vectorized_elementwise_kernel<4, at::native::BinaryFunctor<float, float, float, "
        + "at::native::binary_internal::MulFunctor<float> >, std::array<char*, \(event % 50)ul> >(int)"
    let arguments =
      isCommunication
      ? """
      "Collective name": "allreduce", "In msg nelems": 6637568, "Out msg nelems": 6637568, "Group size": 2,
              "dtype": "BFloat16", "In split size": "[]", "Out split size": "[]", "Process Group Name": "0",
              "Process Group Description": "default_pg", "Process Group Ranks": "[0, 1]",
      """ : ""
    text += """
        {
          "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 2910249, "tid": 2919752,
          "ts": \(time + 3).250, "dur": 2.125,
          "args": {
            "External id": \(correlation), "cbid": 211, "correlation": \(correlation)
          }
        },
        {
          "ph": "s", "id": \(correlation), "pid": 2910249, "tid": 2919752, "ts": \(time + 3).250,
          "cat": "ac2g", "name": "ac2g"
        },
        {
          "ph": "X", "cat": "kernel", "name": "\(name)", "pid": 0, "tid": 7,
          "ts": \(time + 5).423, "dur": 8.669,
          "args": {
            "External id": \(correlation), "queued": 0, "device": 0, "context": 1, \(arguments)
            "stream": 7, "correlation": \(correlation),
            "registers per thread": 72, "shared memory": 13824, "blocks per SM": 0.8, "warps per SM": 3.2,
            "grid": [32, 2, 1], "block": [128, 1, 1], "est. achieved occupancy %": 5
          }
        },
        {
          "ph": "f", "id": \(correlation), "pid": 0, "tid": 7, "ts": \(time + 5).423,
          "cat": "ac2g", "name": "ac2g", "bp": "e"
        },
        {
          "ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", "pid": 2910249, "tid": 2919752,
          "ts": \(time + 1).001,
          "args": {"Ev Idx": \(event), "Device Type": 1, "Device Id": 1, "Addr": 139926520725504, "Bytes": 5242880}
        },

      """
  }

  /// Writes a trace of at least `bytes` to a file.
  static func write(_ bytes: Int, to path: String) throws -> Int {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    defer { try? file.close() }
    var sample = Sample()
    sample.text = """
      {
        "schemaVersion": 1, "distributedInfo": {"backend": "nccl", "rank": 0, "world_size": 2},
        "traceEvents": [

      """
    var written = 0
    while written < bytes {
      for index in 0..<500 { sample.launch(isCommunication: index % 20 == 0) }
      let block = Data(sample.text.utf8)
      try file.write(contentsOf: block)
      written += block.count
      sample.text = ""
    }
    let end = Data("{\"name\": \"end\", \"ph\": \"i\", \"ts\": 0}\n  ]}\n".utf8)
    try file.write(contentsOf: end)
    return written + end.count
  }
}
