import Clusters
import Reports
import Units

extension EstimateInputs {
  /// What the figures rest on: rules first, then what the plan leaves open, then quantities that nobody
  /// published.
  var assumptions: [Estimate.Assumption] {
    var rules: [Estimate.Assumption] = []
    if tokens.tag == .assumed {
      rules.append(
        .init(
          what: "tokens of the run", value: counted(tokens.value.value), tag: .assumed, source: tokens.source)
      )
    }
    if plan.expertLoads != nil {
      rules += expertRules
    } else if plan.plan.expert > 1 {
      rules.append(
        .init(
          what: "experts receive equal numbers of tokens", tag: .assumed,
          source: "no recorded routing is given; which ranks a token reaches is drawn from the seed"))
    }
    rules.append(
      .init(
        what: "every step is like the one simulated", tag: .assumed,
        source: "no failures, no evaluation, no growth of the batch"))
    rules += plan.plan.assumed.map { .init(what: $0, tag: .assumed, source: "plan \(plan.plan.name)") }
    rules += plan.notes.map {
      .init(what: $0, tag: .derived, source: "plan \(plan.plan.name) on \(cluster.name)")
    }
    return rules + cluster.assumedQuantities + reserveQuantities
  }

  private var expertRules: [Estimate.Assumption] {
    var rules = [
      Estimate.Assumption(
        what: "every layer waits for the fullest rank of its expert group", value: plan.plan.routing.text,
        tag: .assumed,
        source:
          "long-run loads: ups and downs of single micro-batches are left out; the rows of a rank are spread "
          + "evenly over its experts; every expert group is alike")
    ]
    if plan.plan.expertPlacement == .eplb {
      rules.append(
        .init(
          what: "the balancer knows these loads, and experts stay where they are", tag: .assumed,
          source: "nothing is said of how often experts would be placed anew, and what that takes"))
    }
    return rules
  }

  private var reserveQuantities: [Estimate.Assumption] {
    [
      .init("memory of the runtime's context", reserve.context) { $0.shown },
      .init("memory of communication libraries", reserve.communicationLibrary) { $0.shown },
      .init("memory lost to fragmentation", reserve.fragmentation) { percent($0.value) },
    ].filter { $0.tag == .assumed }
  }
}

extension Estimate.Assumption {
  init<Amount>(_ what: String, _ quantity: Sourced<Amount>, shown: (Amount) -> String) {
    self.init(what: what, value: shown(quantity.value), tag: quantity.tag, source: quantity.source)
  }
}

extension Cluster {
  /// The quantities that times depend on and that nobody published or measured.
  var assumedQuantities: [Estimate.Assumption] {
    quantities.filter { $0.tag == .assumed }
  }

  /// The quantities of the cluster's description, in words.
  var quantities: [Estimate.Assumption] {
    typealias Assumption = Estimate.Assumption
    func rate(_ rate: BytesPerSecond) -> String { scaled(rate.value, unit: "B/s") }
    func span(_ span: Span) -> String { span.shown }
    func share(_ ratio: Ratio) -> String { percent(ratio.value) }
    func factor(_ ratio: Ratio) -> String { significant(ratio.value, digits: 3) }
    if let host { return machineQuantities(host) }
    var all: [Assumption] = [
      Assumption("nodes", nodes) { grouped($0) },
      Assumption("GPUs in a node", gpusPerNode) { "\($0)" },
      Assumption("memory of a GPU", gpu.memory) { $0.shown },
      Assumption("memory bandwidth of a GPU", gpu.memoryBandwidth, shown: rate),
      Assumption("NVLink bandwidth", nvlink.peak, shown: rate),
      Assumption("achieved NVLink bandwidth", nvlink.achieved, shown: rate),
      Assumption("NVLink latency", nvlink.latency, shown: span),
      Assumption("bandwidth of a network card", nic.peak, shown: rate),
      Assumption("achieved bandwidth of a network card", nic.achieved, shown: rate),
      Assumption("collectives: NVLink bandwidth", collectives.nvlinkBandwidth, shown: rate),
      Assumption("collectives: bandwidth of a network card", collectives.nicBandwidth, shown: rate),
      Assumption("collectives: latency", collectives.baseLatency, shown: span),
      Assumption("collectives: latency of a step over NVLink", collectives.nvlinkStepLatency, shown: span),
      Assumption("collectives: latency of a step over the network", collectives.nicStepLatency, shown: span),
      Assumption("gap between dependent kernels", gpu.kernels.launchOverhead, shown: span),
      Assumption("memory bandwidth of elementwise kernels", gpu.kernels.memoryPass.share, shown: share),
      Assumption(
        "memory bandwidth of elementwise kernels beside communication",
        gpu.kernels.memoryPass.overlappedShare,
        shown: share),
      Assumption("memory bandwidth of matrix products", gpu.kernels.streaming, shown: share),
    ]
    if let allToAll {
      for (name, direction) in [
        ("dispatch", allToAll.dispatch), ("backward dispatch", allToAll.cachedDispatch),
        ("combine", allToAll.combine),
      ] {
        all.append(Assumption("\(name): bandwidth of a network card", direction.nicBandwidth, shown: rate))
        if let rings = direction.rdmaBandwidth {
          all.append(Assumption("\(name): bandwidth of RDMA rings", rings, shown: rate))
        }
        all.append(Assumption("\(name): NVLink bandwidth", direction.nvlinkBandwidth, shown: rate))
        all.append(
          Assumption("\(name): times longer beside compute", direction.overlapSlowdown, shown: factor))
      }
      all.append(Assumption("dispatch: exchange of counts", allToAll.notifyLatency, shown: span))
      all.append(Assumption("combine: notification", allToAll.cachedNotifyLatency, shown: span))
    }
    all += gpu.peaks.map { Assumption("\($0.format.title) dense peak", $0.rate) { $0.shown } }
    if let rent {
      all.append(Assumption("rent of a GPU", rent) { "$\(significant($0.value, digits: 3)) an hour" })
    }
    return all
  }
}
