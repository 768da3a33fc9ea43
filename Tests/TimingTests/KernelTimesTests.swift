import Clusters
import Operators
import Programs
import Testing
import Timing
import Units

@Suite struct `Kernels alone` {
  private func gpu() throws -> GPU { try resolveCluster("h800-2048").cluster.gpu }

  private func product(
    _ kind: MatrixProduct.Kind = .dense, rows: Double = 4096, columns: Int = 4096, depth: Double = 4096,
    format: Format = .bfloat16
  ) -> Kernel {
    .matrixProduct(MatrixProduct(kind, rows: rows, columns: columns, depth: depth, format: format))
  }

  @Test(arguments: MatrixProduct.Kind.allCases, [Format.bfloat16, .float8])
  func `take no less time for a larger product`(kind: MatrixProduct.Kind, format: Format) throws {
    let times = KernelTimes(try gpu())
    for scale in [1, 2, 3, 5, 8, 16] as [Double] {
      let base = try times.duration(of: product(kind, rows: 512 * scale, format: format))
      #expect(try times.duration(of: product(kind, rows: 1024 * scale, format: format)) >= base)
      #expect(try times.duration(of: product(kind, rows: 512 * scale, columns: 8192, format: format)) >= base)
      #expect(try times.duration(of: product(kind, rows: 512 * scale, depth: 8192, format: format)) > base)
    }
  }

  @Test func `never beat the peak`() throws {
    let gpu = try gpu()
    let times = KernelTimes(gpu)
    for format in [Format.bfloat16, .float8] {
      let peak = try #require(gpu.peak(format)).value
      for rows in [64, 1000, 4096, 40_000] as [Double] {
        let kernel = product(rows: rows, format: format)
        #expect(kernel.flops / peak < (try times.duration(of: kernel)))
      }
    }
  }

  @Test func `take longer on fewer multiprocessors and beside communication`() throws {
    let gpu = try gpu()
    let (all, fewer) = (KernelTimes(gpu), KernelTimes(gpu, reservedMultiprocessors: 20))
    let beside = KernelTimes(gpu, reservedMultiprocessors: 20, besideCommunication: true)
    let large = product(rows: 16_384)
    #expect(try all.duration(of: large) < fewer.duration(of: large))
    let pass = Kernel.memoryPass(MemoryPass(bytesRead: 1e9, bytesWritten: 1e9))
    #expect(try all.duration(of: pass) == fewer.duration(of: pass))
    #expect(try fewer.duration(of: pass) <= beside.duration(of: pass))
  }

  @Test func `run one after the other, each with its launch`() throws {
    let gpu = try gpu()
    let times = KernelTimes(gpu)
    let pass = Kernel.memoryPass(MemoryPass(bytesRead: 0, bytesWritten: 0, launches: 3))
    #expect(try times.duration(of: pass) == gpu.kernels.launchOverhead.value * 3)
    #expect(
      try times.duration(of: [pass, product(), pass]) == times.duration(of: product()) + times.duration(
        of: pass) * 2)
    #expect(try times.duration(of: []) == .zero)
    #expect(try times.duration(of: product(rows: 0)) == .zero, "an expert without tokens launches nothing")
  }

  @Test func `are refused where the GPU has no such format`() throws {
    let a100 = try resolveCluster("a100-sc21").cluster.gpu
    #expect(throws: UntimedKernel.self) { try KernelTimes(a100).duration(of: product(format: .float8)) }
  }
}

@Suite struct `A program's costs` {
  @Test func `are those of each task's kernels and group, shared by tasks that do the same`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let work = Work(
      name: "product", pass: .forward,
      kernels: [.matrixProduct(MatrixProduct(rows: 4096, columns: 4096, depth: 4096, format: .bfloat16))])
    var code = Code(name: "one")
    for _ in 0..<3 {
      var compute = Code.Task(.compute, on: .compute)
      compute.work = 0
      code.append(compute, after: [])
      var gather = Code.Task(.allGather, on: .communication)
      gather.communicator = 0
      gather.bytes = 1 << 20
      code.append(gather, after: [])
    }
    let program = Program(
      name: "two nodes", codes: [code], codeOfRank: Array(repeating: 0, count: 16),
      communicators: [Communicator(name: "all", ranks: 16, groups: [Array(0..<16)])], works: [work])
    let verified = try VerifiedProgram(program)
    let costs = try ProgramCosts(verified, on: cluster)
    #expect(costs.costs.count == 3, "free, the product, the gather")
    #expect(costs.cost(role: 0, task: 0).alone == (try KernelTimes(cluster.gpu).duration(of: work.kernels)))
    #expect(
      costs.cost(role: 0, task: 5)
        == CollectiveTimes(cluster).collective(
          .allGather, bytes: 1 << 20, shape: GroupShape(ranks: 16, nodes: 2, ranksPerNode: 8)))
  }
}
