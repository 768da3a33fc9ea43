import Documents
import Networks
import Testing
import Units

@testable import Fabrics

/// Two sockets; two GPUs and a card behind one PCIe switch, one GPU behind the other socket; an NVSwitch for all.
private let node = """
  <!-- written by hand -->
  <system version="1">
    <cpu numaid="0" arch="x86_64" vendor="GenuineIntel">
      <pci busid="0000:01:00.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">
        <pci busid="0000:02:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
          <gpu dev="1" sm="90" rank="1">
            <nvlink target="0000:f0:00.0" count="9" tclass="0x068000"/>
            <nvlink target="0000:f1:00.0" count="9" tclass="0x068000"/>
          </gpu>
        </pci>
        <pci busid="0000:03:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
          <gpu dev="0" sm="90" rank="0"><nvlink target="0000:f0:00.0" count="18" tclass="0x068000"/></gpu>
        </pci>
        <pci busid="0000:04:00.0" class="0x020700" link_speed="16.0 GT/s PCIe" link_width="8">
          <nic><net name="mlx5_0" dev="0" speed="400000" port="1"/></nic>
        </pci>
      </pci>
    </cpu>
    <cpu numaid="1" arch="x86_64" vendor="GenuineIntel">
      <pci busid="0000:05:00.0" class="0x030200" link_speed="" link_width="0"/>
    </cpu>
  </system>
  """

@Suite struct `Recorded topologies` {
  @Test func `a node is read with its rates`() throws {
    let graph = try self.graph(node)
    #expect(graph.gpus == 3)
    #expect(graph.count(.nvswitch) == 1 && graph.count(.cpu) == 2 && graph.count(.card) == 1)
    var router = Router(graph)
    let direct = try router.route(from: 0, to: 1)
    #expect(names(direct, graph) == ["gpu0>nvswitch", "nvswitch>gpu1"])
    #expect(abs(graph.rate(of: direct[0]).value - 18 * 20.6e9) <= 1)
    let across = try router.route(from: 0, to: 2)
    #expect(names(across, graph) == ["gpu0>pcie0", "pcie0>cpu0", "cpu0>cpu1", "cpu1>gpu2"])
    #expect(across.map { graph.rate(of: $0).value } == [48e9, 48e9, 10e9, 12e9])
    let card = try #require(graph.device(named: "nic0"))
    #expect(graph.out(of: card).map { graph.rate(of: LinkID(Int($0))).value } == [12e9])
    let check = try FabricCheck(graph)
    #expect(check.paths.reduce(0) { $0 + $1.gpus } == 2)
  }

  @Test func `links between GPUs stand at both ends and are one cable`() throws {
    func pair(_ back: Int, target: String = "b") -> String {
      """
      <system><cpu><pci busid="a" class="0x038000"><gpu gcn="gfx906"><xgmi target="\(target)" count="2" tclass="0x038000"/></gpu></pci>
      <pci busid="b" class="0x038000"><gpu gcn="gfx906"><xgmi target="a" count="\(back)" tclass="0x038000"/></gpu></pci></cpu></system>
      """
    }
    let graph = try self.graph(pair(2))
    #expect(graph.cableKinds.count { $0 == .nvlink } == 1)
    var router = Router(graph)
    #expect(graph.rate(of: try router.route(from: 0, to: 1)[0]).value == 48e9)
    #expect(throws: Diagnostic.self) { try self.graph(pair(3)) }
    #expect(throws: Diagnostic.self) { try self.graph(pair(2, target: "c")) }
    #expect(throws: Diagnostic.self) { try self.graph(pair(1_000_000_000)) }
    #expect(throws: Diagnostic.self) { try self.graph(pair(-1)) }
    let own = try self.graph(pair(2, target: "a"))
    #expect(own.notes.contains { $0.contains("their own GPU") })
  }

  func graph(_ text: String) throws -> FabricGraph {
    try FabricGraph(recording: Array(text.utf8), file: "node.xml")
  }

  @Test func `a file that is cut off anywhere is one error with its line`() throws {
    let bytes = Array(node.utf8)
    for count in 0..<bytes.count - 1 {
      do {
        _ = try FabricGraph(recording: Array(bytes.prefix(count)), file: "cut.xml")
        Issue.record("\(count) bytes are enough")
      } catch let error as Diagnostic {
        #expect(error.file == "cut.xml" && error.path?.hasPrefix("line ") == true)
      }
    }
  }

  @Test func `bytes that change at random end in a graph or in one error`() throws {
    var draws = Draws(state: 3)
    let bytes = Array(node.utf8)
    for _ in 0..<2000 {
      var other = bytes
      for _ in 0..<Int.random(in: 1...3, using: &draws) {
        other[Int.random(in: 0..<other.count, using: &draws)] = UInt8.random(in: 0...255, using: &draws)
      }
      do {
        let graph = try FabricGraph(recording: other, file: "spoiled.xml")
        _ = try FabricCheck(graph)
      } catch is Diagnostic {}
    }
  }

  @Test(arguments: [
    ("<graphs/>", "not a recorded topology"), ("<system/><system/>", "one root"),
    ("<system>text</system>", "text stands"),
    ("<!DOCTYPE system [<!ENTITY a 'b'>]><system/>", "not read"), ("<system a='1' a='2'/>", "twice"),
    ("<system><gpu/></system>", "wrong place"), ("<system><cpu><pci/></cpu></system>", "no busid"),
    ("<system><cpu><pci busid='a'/><pci busid='a'/></cpu></system>", "one busid"),
    ("<system a='&b;'/>", "entity"),
    ("<system></cpu>", "no beginning"),
    ("<system><cpu><pci busid='a' link_width='7'/></cpu></system>", "width"),
    ("<system><cpu><pci busid='a' link_speed='9 GT/s'/></cpu></system>", "speed"),
    ("<system><thing/></system>", "unknown element"),
  ])
  func `what does not belong is refused`(text: String, problem: String) throws {
    let error = try #require(throws: Diagnostic.self) { try graph(text) }
    #expect(error.problem.contains(problem), "\(error.problem)")
  }

  @Test func `depth and number of elements are bounded`() throws {
    let deep = "<system><cpu>" + (0..<100).map { "<pci busid='\($0)'>" }.joined()
    #expect(try #require(throws: Diagnostic.self) { try graph(deep) }.problem.contains("nested"))
    let many = "<system>" + String(repeating: "<cpu/>", count: 100_001) + "</system>"
    #expect(try #require(throws: Diagnostic.self) { try graph(many) }.problem.contains("too many"))
    let sockets = "<system>" + String(repeating: "<cpu/>", count: 65) + "</system>"
    #expect(try #require(throws: Diagnostic.self) { try graph(sockets) }.problem.contains("sockets"))
  }

  @Test func `a recording without GPUs says so when it is checked`() throws {
    let graph = try self.graph("<system><cpu><pci busid='a'/></cpu></system>")
    #expect(graph.notes.count == 1)
    #expect(throws: Diagnostic.self) { try FabricCheck(graph) }
  }
}
