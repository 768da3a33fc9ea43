// swift-tools-version: 6.1
import PackageDescription

/// A library of this package, its own imports and its tests.
func library(
  _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []
) -> Target {
  .target(name: name, dependencies: dependencies, exclude: exclude, resources: resources)
}

func tests(of name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies,
    resources: resources)
}

let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
  name: "Rehearsal",
  products: [.executable(name: "rehearse", targets: ["rehearse"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    library("Units"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    library("Documents", ["Units", "CZlib", yams, crypto]),
    library("Operators", ["Units"]),
    library("Models", ["Units", "Documents", "Operators"], resources: [.copy("Shipped")]),
    library("Clusters", ["Units", "Documents", "Operators"], resources: [.copy("../../Topologies")]),
    library("Programs", ["Units", "Operators"]),
    library(
      "Plans", ["Units", "Documents", "Operators", "Models", "Clusters", "Routing"],
      resources: [.copy("Shipped")]),
    library("Routing", ["Models", "Documents"]),
    library("Schedules", ["Units", "Documents", "Operators", "Programs", "Plans", "Models", "Routing"]),
    library("Timing", ["Units", "Operators", "Programs", "Clusters"]),
    library("Timelines", ["Units", "Operators", "Programs"]),
    library("Simulation", ["Units", "Programs", "Timing", "Timelines", "Clusters"]),
    // The real kernels and the ranks that run them.
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),
    .target(name: "CKernels"),
    library("Kernels", ["CKernels", "COpenBLAS"]),
    .executableTarget(
      name: "kernel-bench", dependencies: ["Kernels", "CKernels", "COpenBLAS"], path: "Tests/KernelBench"),
    library("Tensors", ["Documents"]),
    library(
      "Execution",
      [
        "Units", "Documents", "Operators", "Models", "Plans", "Programs", "Routing", "Timelines", "Kernels",
        "Tensors",
      ], resources: [.copy("Shipped")]),
    library("MPITransport", ["Execution", "CMPI"]),
    // Measures this machine and writes what it finds as a cluster.
    library(
      "Calibration",
      ["Units", "Documents", "Operators", "Clusters", "CKernels", "Kernels", "Execution"]),
    // A network in which every flow is on its own.
    library("Networks", ["Units"]),
    // Graphs of devices and cables from topology files, and routes through them.
    library("Fabrics", ["Units", "Documents", "Clusters", "Networks"], resources: [.copy("Shipped")]),
    .executableTarget(
      name: "network-bench", dependencies: ["Units", "Networks"], path: "Tests/NetworkBench"),
    // A step of a whole cluster, rank by rank and flow by flow.
    library(
      "Fleets",
      [
        "Units", "Documents", "Operators", "Models", "Programs", "Timing", "Clusters", "Networks", "Fabrics",
        "Routing",
      ]),
    library("Economics", ["Units", "Documents"], resources: [.copy("Shipped")]),
    library("Validation", ["Units", "Documents"], resources: [.copy("Published")]),
    library(
      "Reports", ["Units", "Documents", protobuf, mustache], exclude: ["Perfetto/perfetto_subset.proto"],
      resources: [.copy("Templates")]),
    // Recordings of real jobs: read, understood, written.
    library("Traces", ["Units", "Documents", "Operators", "Programs", "Timing", "Timelines", protobuf]),
    .executableTarget(name: "trace-bench", dependencies: ["Documents", "Traces"], path: "Tests/TraceBench"),
    // What a recorded job would do elsewhere.
    library(
      "Replaying",
      [
        "Units", "Documents", "Operators", "Programs", "Clusters", "Timing", "Timelines", "Simulation",
        "Routing",
        "Networks", "Fabrics", "Traces",
      ]),
    // Everything together: from names and files to a simulated step and what it costs.
    library(
      "Estimation",
      [
        "Units", "Documents", "Operators", "Models", "Clusters", "Plans", "Programs", "Routing", "Schedules",
        "Timing", "Timelines", "Simulation", "Networks", "Fabrics", "Fleets", "Economics", "Validation",
        "Reports",
        "Traces", "Replaying",
      ]),
    // Runs with real kernels beside their prediction.
    library(
      "Rehearsing",
      [
        "Units", "Documents", "Operators", "Models", "Clusters", "Plans", "Programs", "Schedules", "Routing",
        "Timing", "Timelines", "Simulation", "Kernels", "Tensors", "Execution", "Estimation", "Reports",
        "Traces",
      ]),
    .executableTarget(
      name: "rehearse",
      dependencies: [
        "Units", "Documents", "Operators", "Models", "Clusters", "Plans", "Programs", "Schedules",
        "Economics",
        "Validation", "Reports", "Estimation", "Timing", "Timelines", "Simulation", "Kernels", "Execution",
        "MPITransport", "Calibration", "Rehearsing", "Fabrics", "Fleets", "Traces", "Replaying",
        argumentParser,
        logging,
      ]),
    .target(
      name: "TestSupport",
      dependencies: ["Units", "Operators", "Models", "Clusters", "Plans", "Schedules", "Kernels"],
      path: "Tests/Support", resources: [.copy("Golden")]),
    tests(of: "Units"),
    tests(of: "Documents", ["Units"]),
    tests(of: "Operators", ["Units"]),
    tests(of: "Models", ["Units", "Documents", "Operators"]),
    tests(of: "Clusters", ["Units", "Documents", "Operators"]),
    tests(of: "Programs", ["Operators"]),
    tests(of: "Plans", ["Units", "Documents", "Operators", "Models", "Clusters", "Routing"]),
    tests(of: "Routing", ["Models", "Documents", "Tensors"]),
    tests(
      of: "Schedules", ["Units", "Documents", "Operators", "Programs", "Plans", "Models", "Clusters"],
      resources: [.copy("Golden")]),
    tests(of: "Timing", ["Units", "Operators", "Programs", "Clusters", "Routing", "Models"]),
    tests(of: "Timelines", ["Units", "Operators", "Programs"]),
    tests(
      of: "Simulation",
      [
        "Units", "Operators", "Programs", "Routing", "Timing", "Timelines", "Clusters", "Models", "Plans",
        "Schedules",
      ]),
    tests(of: "Kernels", ["Tensors", "CKernels"]),
    tests(of: "Tensors", ["Documents"]),
    tests(
      of: "Execution",
      [
        "Units", "Documents", "Operators", "Kernels", "Tensors", "Programs", "Plans", "Models", "Clusters",
        "Schedules", "Routing", "Rehearsing", "TransportConformance", "ExecutionSupport", "rehearse",
        "execution-check",
      ]),
    .target(
      name: "ExecutionSupport",
      dependencies: [
        "Units", "Documents", "Models", "Clusters", "Plans", "Programs", "Schedules", "Operators", "Tensors",
        "Execution", "Rehearsing", "TestSupport",
      ], path: "Tests/ExecutionSupport"),
    .executableTarget(
      name: "execution-check",
      dependencies: ["Documents", "ExecutionSupport", "Execution", "MPITransport", "Plans"],
      path: "Tests/ExecutionCheck"),
    .target(
      name: "TransportConformance", dependencies: ["Execution", "TestSupport"],
      path: "Tests/TransportConformance"),
    .executableTarget(
      name: "transport-check", dependencies: ["Execution", "MPITransport", "TransportConformance"],
      path: "Tests/TransportCheck"),
    tests(of: "MPITransport", ["Execution", "TransportConformance"]),
    tests(of: "Networks", ["Units"]),
    tests(of: "Fabrics", ["Units", "Documents", "Clusters", "Networks"], resources: [.copy("Golden")]),
    tests(
      of: "Fleets",
      [
        "Units", "Documents", "Programs", "Timing", "Timelines", "Simulation", "Clusters", "Models", "Plans",
        "Schedules", "Routing", "Networks", "Fabrics",
      ]),
    .executableTarget(
      name: "section-check",
      dependencies: [
        "CKernels", "Kernels", "Models", "Operators", "Plans", "Programs", "Schedules", "Timing", "Clusters",
        "Calibration", "Documents",
      ], path: "Tests/SectionCheck"),
    tests(of: "Calibration", ["Units", "Documents", "Operators", "Clusters", "Timing", "Kernels", "Models"]),
    tests(
      of: "Traces",
      [
        "Units", "Documents", "Operators", "Programs", "Timing", "Timelines", "Schedules", "CZlib", protobuf,
      ],
      resources: [.copy("Golden")]),
    tests(
      of: "Replaying",
      ["Units", "Documents", "Programs", "Clusters", "Timing", "Timelines", "Simulation", "Traces"]),
    tests(of: "Economics", ["Units", "Documents"]),
    tests(of: "Validation", ["Units", "Documents"]),
    tests(of: "Reports", ["Units", "Documents", protobuf], resources: [.copy("Golden")]),
    tests(
      of: "Estimation",
      ["Units", "Documents", "Plans", "Programs", "Timelines", "Reports", "Traces", "Replaying"]),
    .testTarget(name: "ProjectTests"),
    .testTarget(name: "CommandTests", dependencies: ["rehearse"]),
  ]
)
