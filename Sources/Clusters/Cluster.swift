import Documents
import Units

/// Nodes of GPUs and the network between them.
public struct Cluster: Hashable, Sendable {
  public var name: String
  public var description: String
  public var gpu: GPU
  public var nodes: Sourced<Int>
  public var gpusPerNode: Sourced<Int>
  public var nvlink: Interconnect
  public var nic: NetworkInterface
  public var fabric: Fabric
  /// How reduce-scatter, all-gather and all-reduce run.
  public var collectives: CollectiveCalibration
  /// How expert dispatch and combine run; nil where no such kernel was measured.
  public var allToAll: AllToAllCalibration?
  public var rent: Sourced<DollarsPerGPUHour>?
  public var power: PowerModel?
  /// How GPUs reach their cards; nil where it is no slower than the cards.
  public var pcie: PeripheralBus?
  /// Cables and devices that do not work as they should.
  public var failures: [Failure]
  /// Present where the "GPUs" are ranks on the processors of an ordinary machine; links and collectives above are then
  /// not used for times.
  public var host: Host?

  public init(
    name: String, description: String = "", gpu: GPU, nodes: Sourced<Int>, gpusPerNode: Sourced<Int>,
    nvlink: Interconnect, nic: NetworkInterface, fabric: Fabric, collectives: CollectiveCalibration,
    allToAll: AllToAllCalibration? = nil, rent: Sourced<DollarsPerGPUHour>? = nil, power: PowerModel? = nil,
    pcie: PeripheralBus? = nil, failures: [Failure] = [], host: Host? = nil
  ) {
    self.host = host
    self.name = name
    self.description = description
    self.gpu = gpu
    self.nodes = nodes
    self.gpusPerNode = gpusPerNode
    self.nvlink = nvlink
    self.nic = nic
    self.fabric = fabric
    self.collectives = collectives
    self.allToAll = allToAll
    self.rent = rent
    self.power = power
    self.pcie = pcie
    self.failures = failures
  }

  public var gpus: Int { nodes.value * gpusPerNode.value }

  /// The same cluster with another number of nodes, as `--gpus` asks.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with status `usage` when the fabric cannot connect so many.
  public func resized(nodes count: Int) throws -> Cluster {
    guard (1...fabric.maximumNodes(nicsPerNode: nic.perNode.value)).contains(count) else {
      let most = fabric.maximumNodes(nicsPerNode: nic.perNode.value)
      throw Diagnostic(
        .usage, "the fabric of \(name) cannot connect so many nodes", path: "nodes", found: "\(count)",
        allowed: "1 to \(most) nodes (\(most * gpusPerNode.value) GPUs)")
    }
    var other = self
    if count != nodes.value {
      other.nodes = Sourced(
        count, tag: .assumed, source: "chosen by the user in place of \(nodes.value) nodes")
    }
    return other
  }
}

/// A node whose ranks are processes that share its processors and its memory.
public struct Host: Hashable, Sendable {
  /// Processors of a node, however many ranks run on it.
  public var processors: Sourced<Int>
  /// Of a node.
  public var memory: Sourced<Bytes>
  /// Nil where only the kernels of one rank were measured.
  public var transport: ProcessorTransport?
  /// The same where ranks outnumber processors and sleep while they wait; nil where that was not measured.
  public var crowdedTransport: ProcessorTransport?

  public init(
    processors: Sourced<Int>, memory: Sourced<Bytes>, transport: ProcessorTransport?,
    crowdedTransport: ProcessorTransport? = nil
  ) {
    self.processors = processors
    self.memory = memory
    self.transport = transport
    self.crowdedTransport = crowdedTransport
  }
}

/// How Epoch AI and others turn a GPU's rated power into a cluster's energy.
public struct PowerModel: Hashable, Sendable {
  /// Rated power of a server over that of its GPUs.
  public var serverMultiplier: Sourced<Ratio>
  /// Mean draw during training over rated power.
  public var meanDraw: Sourced<Ratio>
  /// Power usage effectiveness: facility over servers.
  public var usageEffectiveness: Sourced<Ratio>

  public init(serverMultiplier: Sourced<Ratio>, meanDraw: Sourced<Ratio>, usageEffectiveness: Sourced<Ratio>)
  {
    self.serverMultiplier = serverMultiplier
    self.meanDraw = meanDraw
    self.usageEffectiveness = usageEffectiveness
  }
}
