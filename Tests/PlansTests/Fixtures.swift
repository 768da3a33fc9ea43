import Clusters
import Documents
import Foundation
import Models
import Operators
import Plans
import Testing
import Units

/// GPUs with the figures that plans look at; the rest is made up.
func cluster(
  nodes: Int, gpusPerNode: Int = 8, memory: Double = 80e9, formats: [Format] = [.bfloat16, .float8, .float16]
)
  -> Cluster
{
  func made<Value>(_ value: Value) -> Sourced<Value> { Sourced(value, tag: .assumed, source: "test") }
  let calibration = KernelCalibration(
    launchOverhead: made(.zero),
    memoryPass: MemoryPassCalibration(share: made(Ratio(0.9)), overlappedShare: made(Ratio(0.9))),
    streaming: made(Ratio(0.9)), products: [],
    attention: [])
  let gpu = GPU(
    name: "test GPU", peaks: formats.map { GPU.Peak(format: $0, rate: made(FLOPsPerSecond(1e15))) },
    memory: made(Bytes(rounding: memory)), memoryBandwidth: made(BytesPerSecond(3e12)),
    streamingMultiprocessors: made(132), clock: made(Hertz(1e9)), power: made(Watts(700)),
    kernels: calibration)
  let bandwidth = made(BytesPerSecond(5e10))
  let latency = made(Span(microseconds: 1))
  return Cluster(
    name: "test cluster", gpu: gpu, nodes: made(nodes), gpusPerNode: made(gpusPerNode),
    nvlink: Interconnect(peak: bandwidth, achieved: bandwidth, latency: latency),
    nic: NetworkInterface(perNode: made(gpusPerNode), peak: bandwidth, achieved: bandwidth),
    fabric: Fabric(
      kind: .fatTree, levels: made(2), planes: made(1), switchPorts: made(64),
      oversubscription: made(Ratio(1)),
      sameLeafLatency: latency, crossLeafLatency: latency),
    collectives: CollectiveCalibration(
      nvlinkBandwidth: bandwidth, nicBandwidth: bandwidth, baseLatency: latency, nvlinkStepLatency: latency,
      nicStepLatency: latency))
}

/// DeepSeek-V3's shape. Source: arXiv 2412.19437, section 4.2.
let deepseekV3 = Model(
  name: "deepseek-v3", source: "test", family: .deepseekV3, hidden: 7168, layers: 61, vocabulary: 129_280,
  maximumSequence: 163_840, tiedEmbeddings: false,
  attention: .latent(
    LatentAttention(
      heads: 128, queryRank: 1536, keyValueRank: 512, contentDimension: 128, rotaryDimension: 64,
      valueDimension: 128)),
  feedForward: FeedForward(intermediate: 18_432),
  mixture: Mixture(
    routedExperts: 256, sharedExperts: 1, topK: 8, expertIntermediate: 2048, groups: 8, limitedGroups: 4,
    scoring: .sigmoid, hasSelectionBias: true, firstDenseLayers: 3),
  multiTokenPredictionDepth: 1)

/// A GPT as Megatron trains it.
func gpt(hidden: Int, layers: Int, heads: Int, tied: Bool = true) -> Model {
  Model(
    name: "gpt", source: "test", family: .gpt, hidden: hidden, layers: layers, vocabulary: 51_200,
    maximumSequence: 2048, tiedEmbeddings: tied,
    attention: .grouped(
      GroupedAttention(
        queryHeads: heads, keyValueHeads: heads, headDimension: hidden / heads, hasProjectionBias: true,
        hasOutputBias: true)),
    feedForward: FeedForward(intermediate: 4 * hidden, isGated: false, hasBias: true))
}

/// Memory that only the plan's tensors take.
let noReserve: MemoryReserve = {
  let zero = Sourced(Bytes.zero, tag: .assumed, source: "test")
  return MemoryReserve(
    context: zero, communicationLibrary: zero, fragmentation: Sourced(Ratio(0), tag: .assumed, source: "test")
  )
}()

/// The diagnostic that an expression throws.
func diagnostic<Value>(_ body: () throws -> Value) -> Diagnostic? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? Diagnostic
  }
}

func plan(yaml: String) throws -> Plan { try Plan(parseYAML(Data(yaml.utf8), file: "plan.yaml")) }

extension Value {
  /// The formats under a plan document's `precision`.
  var formats: [String] {
    guard case .mapping(let entries) = self,
      case .mapping(let formats)? = entries.first(where: { $0.key == "precision" })?.value
    else { return [] }
    return formats.map { entry in
      if case .text(let text) = entry.value { text } else { "" }
    }
  }
}
