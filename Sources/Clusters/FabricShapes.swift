import Units

extension Fabric {
  /// What fabrics that are no trees of leaves and spines need to know.
  public enum Shape: Hashable, Sendable {
    /// Leaves, spines and cores; the fabric's other keys say how many.
    case tree
    /// Leaves of one rail for each unit of so many nodes; nil where a leaf takes as many as it has ports.
    case rails(unitNodes: Sourced<Int>?)
    case dragonfly(Dragonfly)
    case slimFly(SlimFly)
    case torus(Torus)
    /// Switches and cables by hand.
    case graph(FreeGraph)
  }

  /// Groups of routers, each wired to all others of its group; groups are joined by global cables.
  ///
  /// Source: Kim, Dally, Scott, Abts, "Technology-Driven, Highly-Scalable Dragonfly Topology" (ISCA'08): `g` groups
  /// of `a` routers with `p` endpoints and `h` global cables each.
  public struct Dragonfly: Hashable, Sendable {
    public var groups: Sourced<Int>
    public var routersPerGroup: Sourced<Int>
    public var cardsPerRouter: Sourced<Int>
    public var globalPerRouter: Sourced<Int>

    public init(
      groups: Sourced<Int>, routersPerGroup: Sourced<Int>, cardsPerRouter: Sourced<Int>,
      globalPerRouter: Sourced<Int>
    ) {
      self.groups = groups
      self.routersPerGroup = routersPerGroup
      self.cardsPerRouter = cardsPerRouter
      self.globalPerRouter = globalPerRouter
    }
  }

  /// McKay-Miller-Širáň graphs: `2q²` routers, each at most two cables from any other.
  ///
  /// Source: Besta, Hoefler, "Slim Fly: A Cost Effective Low-Diameter Network Topology" (SC'14).
  public struct SlimFly: Hashable, Sendable {
    /// A prime power.
    public var q: Sourced<Int>
    public var cardsPerRouter: Sourced<Int>

    public init(q: Sourced<Int>, cardsPerRouter: Sourced<Int>) {
      self.q = q
      self.cardsPerRouter = cardsPerRouter
    }
  }

  /// Switches on a grid whose rows are closed to rings.
  public struct Torus: Hashable, Sendable {
    /// Switches along each dimension.
    public var dimensions: Sourced<[Int]>
    public var cardsPerSwitch: Sourced<Int>

    public init(dimensions: Sourced<[Int]>, cardsPerSwitch: Sourced<Int>) {
      self.dimensions = dimensions
      self.cardsPerSwitch = cardsPerSwitch
    }
  }

  /// Switches and cables, each named by hand; cards are called `node0/nic0`.
  public struct FreeGraph: Hashable, Sendable {
    public var switches: [String]
    public var cables: [Cable]

    /// One or several equal cables between two devices.
    public struct Cable: Hashable, Sendable {
      public var from: String
      public var to: String
      public var count: Int
      /// Of one cable and direction; the cards' rate where it is left out.
      public var bandwidth: Sourced<BytesPerSecond>?
      public var latency: Sourced<Span>?
      /// File and path, for errors.
      public var file: String
      public var path: String

      public init(
        from: String, to: String, count: Int = 1, bandwidth: Sourced<BytesPerSecond>? = nil,
        latency: Sourced<Span>? = nil,
        file: String = "", path: String = ""
      ) {
        self.from = from
        self.to = to
        self.count = count
        self.bandwidth = bandwidth
        self.latency = latency
        self.file = file
        self.path = path
      }
    }

    public init(switches: [String], cables: [Cable]) {
      self.switches = switches
      self.cables = cables
    }
  }

  /// Cards that a shape other than a tree has places for; nil where the shape does not say.
  var places: Int? {
    func product(_ factors: [Int]) -> Int {
      factors.reduce(1) { total, factor in
        let (product, overflow) = total.multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
      }
    }
    switch shape {
    case .tree, .rails, .graph: return nil
    case .dragonfly(let shape):
      return product([shape.groups.value, shape.routersPerGroup.value, shape.cardsPerRouter.value])
    case .slimFly(let shape): return product([2, shape.q.value, shape.q.value, shape.cardsPerRouter.value])
    case .torus(let shape): return product(shape.dimensions.value + [shape.cardsPerSwitch.value])
    }
  }

  /// Cards on one switch of a shape other than a tree.
  var cardsPerSwitch: Int? {
    switch shape {
    case .tree, .rails, .graph: nil
    case .dragonfly(let shape): shape.cardsPerRouter.value
    case .slimFly(let shape): shape.cardsPerRouter.value
    case .torus(let shape): shape.cardsPerSwitch.value
    }
  }
}

/// How GPUs reach their cards.
public struct PeripheralBus: Hashable, Sendable {
  /// Of one GPU or card, in one direction.
  public var bandwidth: Sourced<BytesPerSecond>

  public init(bandwidth: Sourced<BytesPerSecond>) { self.bandwidth = bandwidth }
}

/// A cable or a device that does not work as it should.
public struct Failure: Hashable, Sendable {
  /// What does not work.
  public enum Place: Hashable, Sendable {
    /// All cables between two devices, or the one with this number (from 0).
    case cable(String, String, number: Int?)
    /// All cables of a device.
    case device(String)
  }

  public var place: Place
  /// What is left of the capacity; nil where nothing is.
  public var remaining: Sourced<Ratio>?
  /// File and path, for errors.
  public var file: String
  public var path: String

  public init(_ place: Place, remaining: Sourced<Ratio>? = nil, file: String = "", path: String = "failures")
  {
    self.place = place
    self.remaining = remaining
    self.file = file
    self.path = path
  }
}
