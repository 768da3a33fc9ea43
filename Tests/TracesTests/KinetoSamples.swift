/// Small traces of our own making, with the features and traps of real ones.
enum KinetoSamples {
  /// New form: fractional times after a base, NCCL's arguments, groups, ranges of the device.
  static let new = """
    {
      "schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "Some GPU", "numSms": 132}],
      "distributedInfo": {"backend": "nccl", "rank": 3, "world_size": 4, "pg_count": 2, "pg_config": [
        {"pg_name": "0", "pg_desc": "default_pg", "backend_config": "cuda:nccl", "pg_size": 4, "ranks": [0, 1, 2, 3]},
        {"pg_name": "7", "pg_desc": "EXPERT", "pg_size": 2, "ranks": [1, 3]}], "nccl_version": "2.21.5"},
      "displayTimeUnit": "ms", "baseTimeNanoseconds": 1700000000000000000,
      "traceEvents": [
        {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 9, "tid": 9, "ts": 100.001, "dur": 5.5, "args": {"External id": 1}},
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": 9, "ts": 101, "dur": 1,
         "args": {"cbid": 211, "correlation": 11}},
        {"ph": "s", "id": 11, "pid": 9, "tid": 9, "ts": 101, "cat": "ac2g", "name": "ac2g"},
        {"ph": "X", "cat": "kernel", "name": "void gemm<float>(float*)", "pid": 0, "tid": 7, "ts": 110.125, "dur": 20.25,
         "args": {"External id": 1, "device": 0, "stream": 7, "correlation": 11, "grid": [1, 1, 1]}},
        {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
         "pid": 0, "tid": 20, "ts": 109.5, "dur": 30, "args": {"stream": 20, "correlation": 12, "Collective name": "allreduce",
         "In msg nelems": 1000, "Out msg nelems": 1000, "Group size": 4, "dtype": "BFloat16", "In split size": "[]",
         "Out split size": "[]", "Process Group Name": "0", "Process Group Description": "default_pg",
         "Process Group Ranks": "[0, 1, 2, 3]", "Seq": 17}},
        {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", "pid": 0, "tid": 21,
         "ts": 150, "dur": 4, "args": {"stream": 21, "correlation": 13, "Collective name": "all_to_allv", "In msg nelems": 6,
         "Out msg nelems": 10, "Group size": 2, "dtype": "Float", "In split size": "[1, 2]", "Out split size": "[5, 0]",
         "Process Group Name": "7"}},
        {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", "pid": 0, "tid": 21,
         "ts": 160, "dur": 4, "args": {"stream": 21, "correlation": 14, "Collective name": "all_to_allv", "In msg nelems": 64,
         "Out msg nelems": 64, "Group size": 64, "dtype": "Float", "In split size": "[1, 1, ..., 1]",
         "Out split size": "[1, ...]", "Process Group Name": "8", "Process Group Ranks": "[0, 1, 2, ..., 63]"}},
        {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", "pid": 0, "tid": 21,
         "ts": 170, "dur": 4, "args": {"stream": 21, "correlation": 15, "Collective name": "send", "In msg nelems": 8,
         "Out msg nelems": 8, "Group size": 4, "dtype": "Byte", "Process Group Name": "0", "Rank": 2, "Dst Rank": 2}},
        {"ph": "X", "cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pinned)", "pid": 0, "tid": 7, "ts": 180, "dur": 1.5,
         "args": {"stream": 7, "bytes": 64}},
        {"ph": "X", "cat": "gpu_user_annotation", "name": "forward", "pid": 0, "tid": 7, "ts": 110.125, "dur": 20.25, "args": {}},
        {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#5", "pid": 9, "tid": 9, "ts": 100, "dur": 90, "args": {}},
        {"ph": "X", "cat": "cuda_sync", "name": "Stream Sync", "pid": 0, "tid": 7, "ts": 100, "dur": 80, "args": {}},
        {"ph": "X", "cat": "overhead", "name": "CUPTI", "pid": -1, "tid": 0, "ts": 1, "dur": 2},
        {"ph": "i", "s": "t", "name": "[memory]", "pid": 9, "tid": 9, "ts": 100},
        {"name": "process_name", "ph": "M", "ts": 0, "pid": 9, "tid": 0, "args": {"name": "python \\"3\\" \\u00fc"}},
        {"ph": "X", "cat": "Trace", "ts": 0, "dur": 100, "pid": "Spans", "tid": "PyTorch Profiler", "name": "PyTorch Profiler (0)"}
      ],
      "traceName": "trace.json"
    }
    """

  /// Old form: a bare list, categories in capitals, whole microseconds since 1970, no arguments on kernels; sizes stand on
  /// the host.
  static let old = """
    [
      {"ph": "X", "cat": "Operator", "name": "ProfilerStep#2", "pid": 5, "tid": 5, "ts": 1669783687384000, "dur": 900, "args": {}},
      {"ph": "X", "cat": "cpu_op", "name": "record_param_comms", "pid": 5, "tid": 6, "ts": 1669783687384100, "dur": 50,
       "args": {"External id": 3, "Input Dims": [[], [], []], "Input type": ["TensorList", "Scalar", ""]}},
      {"ph": "X", "cat": "user_annotation", "name": "nccl:all_reduce", "pid": 5, "tid": 6, "ts": 1669783687384110, "dur": 30,
       "args": {"Input Dims": [[10, 20], [5]], "Input type": ["c10::Half", "c10::Half"]}},
      {"ph": "X", "cat": "Runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 6, "ts": 1669783687384120, "dur": 4,
       "args": {"correlation": 70}},
      {"ph": "X", "cat": "cpu_op", "name": "record_param_comms", "pid": 5, "tid": 5, "ts": 1669783687384200, "dur": 50,
       "args": {"Input Dims": [[6, 4], [], []], "Input type": ["float", "Scalar", ""]}},
      {"ph": "X", "cat": "user_annotation", "name": "nccl:all_to_all", "pid": 5, "tid": 5, "ts": 1669783687384210, "dur": 30},
      {"ph": "X", "cat": "Runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 5, "ts": 1669783687384220, "dur": 4,
       "args": {"correlation": "71"}},
      {"ph": "X", "cat": "Runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 5, "ts": 1669783687384300, "dur": 4,
       "args": {"correlation": 72}},
      {"ph": "X", "cat": "Kernel", "name": "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclWorkElem)", "pid": 0, "tid": 9,
       "ts": 1669783687384230, "dur": 100, "args": {"correlation": 71, "stream": 9}},
      {"ph": "X", "cat": "Kernel", "name": "ncclKernel_AllReduce_RING_LL_Sum_half(ncclWorkElem)", "pid": 0, "tid": 9,
       "ts": 1669783687384130, "dur": 100, "args": {"correlation": 70, "stream": 9}},
      {"ph": "X", "cat": "Kernel", "name": "ncclKernel_AllReduce_RING_LL_Sum_half(ncclWorkElem)", "pid": 0, "tid": 9,
       "ts": 1669783687384330, "dur": 100, "args": {"correlation": 72, "stream": 9}},
      {"ph": "X", "cat": "Memcpy", "name": "Memcpy HtoD", "pid": 0, "tid": 7, "ts": 1669783687384500, "dur": 1, "args": {}}
    ]
    """

  /// A trace of one event with this text in place of its end.
  static func event(_ rest: String) -> String {
    """
    {"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, \(rest)}]}
    """
  }
}
