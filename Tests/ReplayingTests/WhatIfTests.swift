import Clusters
import Documents
import Programs
import Testing
import Traces
import Units

@testable import Replaying

@Suite struct `What if` {
  private func step(_ recording: Recording, on cluster: Cluster? = nil, _ changes: String...) throws -> Span {
    var edited = WhatIfCase(try importProgram(recording), on: cluster, settings: ReplaySettings())
    for change in changes { try edited.apply(WhatIf(change), recording) }
    return try Replay(edited.imported, on: edited.cluster, settings: edited.settings).step
  }

  @Test func `a rank is slowed or healed`() throws {
    let recording = Samples.reduction(first: [30, 60, 30, 30])
    #expect(try step(recording) == Span(microseconds: 68))
    #expect(try step(recording, "slow=0:3") == Span(microseconds: 90 + 5 + 9))
    // Others compute 33 in all; the healed rank's 63 are scaled to that.
    let healed = try step(recording, "heal=1").microseconds
    #expect(healed >= 36 && healed < 40, "\(healed)")
    #expect(try step(recording, "compute=0.5") == Span(microseconds: 30 + 5 + 1.5))
    #expect(try step(recording, "compute=median") == Span(microseconds: 38))
  }

  @Test func `a rank that shares code with others is slowed alone`() throws {
    var recording = Samples.reduction(first: [30, 30, 30, 30])
    recording.ranks = [recording.ranks[0]]
    #expect(try step(recording, "slow=2:2") == Span(microseconds: 60 + 5 + 6))
  }

  @Test func `links, algorithms and placements change communication alone`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let recording = Samples.reduction(first: Array(repeating: 30, count: 16), bytes: 1 << 30)
    let base = try step(recording, on: cluster)
    #expect(try step(recording, on: cluster, "nic=x0.1") > base)
    #expect(try step(recording, on: cluster, "nvlink=x0.1") > base)
    let peak = cluster.nic.peak.value.value
    #expect(try step(recording, on: cluster, "nic=\(peak * 1e-9)GB/s") == base)
    #expect(try step(recording, on: cluster, "algorithm=all:ring") >= base)
    let uneven = Samples.uneven()
    #expect(try step(uneven, on: cluster, "all-to-all=balanced") < step(uneven, on: cluster))
    let swapped = try importProgram(uneven)
    var edited = WhatIfCase(swapped, on: cluster, settings: ReplaySettings())
    try edited.apply(WhatIf("experts=0:1"), uneven)
    #expect(edited.imported.program.splits[0].sent == [4000, 0, 1000])
    _ = try VerifiedProgram(edited.imported.program)
  }

  @Test(arguments: [
    "", "nic", "nic=fast", "slow=1", "slow=-1:2", "heal=x", "algorithm=all:star", "compute=0", "x=1",
  ])
  func `words that mean nothing are refused`(text: String) {
    #expect { try WhatIf(text) } throws: { ($0 as? Diagnostic)?.status == .usage }
  }

  @Test func `what is not there is refused`() {
    let recording = Samples.reduction(first: [1, 1])
    for change in ["slow=9:2", "heal=9", "algorithm=none:ring", "all-to-all=balanced", "nic=x2"] {
      #expect(throws: Diagnostic.self) { try step(recording, change) }
    }
  }

  @Test func `a job grows along its data and shrinks to its first ranks`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let imported = try importProgram(Samples.reduction(first: Array(repeating: 30, count: 8), bytes: 1 << 28))
    let large = try imported.resharded(to: 2048, along: .data)
    #expect(large.program.ranks == 2048 && large.program.communicators[0].group(0).count == 2048)
    let verified = try VerifiedProgram(large.program)
    #expect(verified.roles.count == 8)
    #expect(try Replay(large, on: cluster).step > Replay(imported, on: cluster).step)
    let small = try imported.resharded(to: 4, along: .data)
    #expect(small.program.communicators[0].group(0).count == 4)
    #expect(throws: Diagnostic.self) { try imported.resharded(to: 12, along: .data) }
    let experts = try importProgram(Samples.uneven()).resharded(to: 12, along: .expert)
    #expect(experts.program.splits[0].sent.count == 12)
    #expect(experts.program.splits[0].sent.reduce(0, +) == 5000)
    _ = try VerifiedProgram(experts.program)
    let replicated = try importProgram(Samples.uneven()).resharded(to: 12, along: .data)
    #expect(
      replicated.program.communicators[0].groupCount == 4, "groups that exchange tokens stay as they were")
  }
}
