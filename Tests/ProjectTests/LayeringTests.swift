import Testing

/// Which modules of this package each module may import.
private let layers: [String: Set<String>] = [
  "Units": [],
  "Documents": ["Units"],
  "Operators": ["Units"],
  "Models": ["Units", "Documents", "Operators"],
  "Clusters": ["Units", "Documents", "Operators"],
  "Programs": ["Units", "Operators"],
  "Plans": ["Units", "Documents", "Operators", "Models", "Clusters", "Routing"],
  "Routing": ["Documents", "Models"],
  "Schedules": ["Units", "Documents", "Operators", "Programs", "Plans", "Models", "Routing"],
  "Timing": ["Units", "Operators", "Programs", "Clusters"],
  "Timelines": ["Units", "Operators", "Programs"],
  "Simulation": ["Units", "Programs", "Timing", "Timelines", "Clusters"],
  "Economics": ["Units", "Documents", "Plans", "Clusters", "Timelines"],
  "Validation": ["Units", "Documents"],
  "Kernels": [],
  "Tensors": ["Documents"],
  "Execution": [
    "Units", "Documents", "Operators", "Models", "Plans", "Programs", "Routing", "Timelines", "Kernels",
    "Tensors",
  ],
  "MPITransport": ["Execution"],
  "Calibration": ["Units", "Documents", "Operators", "Clusters", "Kernels", "Execution"],
  "Networks": ["Units"],
  "Fleets": [
    "Units", "Documents", "Operators", "Models", "Programs", "Timing", "Clusters", "Networks", "Fabrics",
    "Routing",
  ],
  "Traces": ["Units", "Documents", "Operators", "Programs", "Timing", "Timelines"],
  "Replaying": [
    "Units", "Documents", "Operators", "Programs", "Clusters", "Timing", "Timelines", "Simulation", "Routing",
    "Networks", "Fabrics", "Traces",
  ],
  "Fabrics": ["Units", "Documents", "Clusters", "Networks"],
]

/// Modules of which only forbidden imports are listed: everything else of this package is allowed.
private let forbidden: [String: Set<String>] = [
  "Reports": ["rehearse", "Simulation"],
  "Estimation": ["rehearse", "Rehearsing"],
  "Rehearsing": ["rehearse"],
  "rehearse": [],
]

@Suite struct LayeringTests {
  @Test func `the sources are found`() {
    #expect(sourceFiles.count > 5)
    #expect(moduleNames.contains("Units"))
  }

  @Test func `every module has its place in the table of layers`() {
    for module in moduleNames {
      #expect(layers[module] != nil || forbidden[module] != nil, "\(module) is in no layer")
    }
  }

  @Test func `no module imports one that its layer does not allow`() {
    let own = Set(layers.keys).union(forbidden.keys)
    for file in sourceFiles {
      for imported in file.imports where own.contains(imported) && imported != file.module {
        let isAllowed =
          layers[file.module]?.contains(imported) ?? !(forbidden[file.module]?.contains(imported) ?? true)
        #expect(isAllowed, "\(file.path) imports \(imported)")
      }
    }
  }

  @Test func `the table of layers has no cycle`() {
    var reached: Set<String> = []
    var remaining = layers
    while let next = remaining.keys.sorted().first(where: { remaining[$0]?.isSubset(of: reached) ?? false }) {
      reached.insert(next)
      remaining[next] = nil
    }
    #expect(remaining.isEmpty, "these import each other: \(remaining.keys.sorted())")
  }

  @Test func `imports are read in all their forms`() {
    let file = SourceFile(
      module: "A", path: "A.swift",
      lines: [
        "import B", "@testable import C", "public import struct D.E", "  import F", "// import G",
        "let import1 = 1",
      ])
    #expect(file.imports == ["B", "C", "D", "F"])
  }
}
