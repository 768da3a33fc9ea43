import Clusters
import Documents
import Fabrics
import Networks
import Units

func fact<Value: Sendable>(_ value: Value) -> Sourced<Value> {
  Sourced(value, tag: .assumed, source: "a test")
}

private let small = Result { try resolveCluster("small").cluster }

/// A cluster with any fabric, on the parts of the shipped small one.
func cluster(
  _ kind: Fabric.Kind, nodes: Int, gpus: Int = 8, cards: Int = 8, levels: Int = 2, planes: Int = 1,
  ports: Int = 64,
  oversubscription: Double = 1, shape: Fabric.Shape = .tree, failures: [Failure] = []
) throws -> Cluster {
  var cluster = try small.get()
  cluster.name = kind.rawValue
  cluster.nodes = fact(nodes)
  cluster.gpusPerNode = fact(gpus)
  cluster.nic.perNode = fact(cards)
  cluster.fabric.kind = kind
  cluster.fabric.levels = fact(levels)
  cluster.fabric.planes = fact(planes)
  cluster.fabric.switchPorts = fact(ports)
  cluster.fabric.oversubscription = fact(Ratio(oversubscription))
  cluster.fabric.shape = shape
  cluster.failures = failures
  return cluster
}

func dragonfly(_ groups: Int, _ routers: Int, _ cards: Int, _ global: Int) -> Fabric.Shape {
  .dragonfly(
    Fabric.Dragonfly(
      groups: fact(groups), routersPerGroup: fact(routers), cardsPerRouter: fact(cards),
      globalPerRouter: fact(global)))
}

func torus(_ dimensions: [Int], cards: Int) -> Fabric.Shape {
  .torus(Fabric.Torus(dimensions: fact(dimensions), cardsPerSwitch: fact(cards)))
}

func slimFly(_ q: Int, cards: Int) -> Fabric.Shape {
  .slimFly(Fabric.SlimFly(q: fact(q), cardsPerRouter: fact(cards)))
}

func latency(_ route: [LinkID], _ graph: FabricGraph) -> Span {
  route.reduce(.zero) { $0 + graph.table.latency(of: $1) }
}

func names(_ route: [LinkID], _ graph: FabricGraph) -> [String] { route.map { graph.table.name(of: $0) } }

/// A small generator with a seed (SplitMix64).
struct Draws: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
