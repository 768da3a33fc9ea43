/// The formats that recordings come in.
public enum TraceFormat: String, CaseIterable, Sendable {
  /// PyTorch profiler (Kineto), Chrome trace JSON.
  case kineto
  /// PyTorch execution trace, schemas 1.0.1 to 1.1.1.
  case pytorchExecution = "pytorch-et"
  /// MLCommons Chakra execution trace, protobuf.
  case chakra
  /// Chakra's JSON forms: of ASTRA-sim's feeder, of the jsonizer.
  case chakraJSON = "chakra-json"
  /// NCCL flight recorder, pickle or JSON.
  case flightRecorder = "flight-recorder"
  /// Group Operation Assembly Language, text.
  case goal
  /// The same, as `txt2bin` writes it.
  case goalBinary = "goal-bin"
  /// SimGrid's time-independent traces.
  case timeIndependent = "simgrid-ti"
  /// SimAI and ASTRA-sim 1.0 workload files.
  case simAI = "simai"
  /// ByteDance's straggler timelines.
  case straggler = "bytedance-straggler"
  /// A program in this project's text form, with the measured times of its tasks beside it.
  case program = "rehearsal"
}
