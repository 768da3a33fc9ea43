import Programs
import Simulation
import Testing
import Timelines
import Units

@Suite struct `A simulated timeline` {
  @Test func `runs a lane in order and lanes side by side`() throws {
    let drawing = try Sketch("compute a 2; compute b 3; barrier x 4; barrier y 1").drawing()
    #expect(
      drawing == """
        0 compute: aabbb
        0 communication: xxxxy
        """)
  }

  @Test func `starts a task when its dependencies are done, and holds its lane until then`() throws {
    let drawing = try Sketch("compute a 2; barrier x 3 after a; compute b 1 after x; compute c 2").drawing()
    #expect(
      drawing == """
        0 compute: aa...bcc
        0 communication: ..xxx
        """)
  }

  @Test func `has a message wait for its receiver and a receiver for its message`() throws {
    let drawing = try Sketch(
      """
      compute a 2; send m 3 after a; compute b 1 after m
      compute c 4; receive m 3 after c; receive N 1
      compute d 7; send N 1 after d
      """
    ).drawing()
    #expect(
      drawing == """
        0 compute: aa.....b
        0 send: ..--mmm
        1 compute: cccc
        1 receive: ....mmm
        1 receive: -------N
        2 compute: ddddddd
        2 send: .......N
        """)
  }

  @Test func `has a collective wait for the last member and take the slowest one's time`() throws {
    let drawing = try Sketch(
      """
      all_reduce r 2; compute a 1 after r
      compute b 3; all_reduce r 4 after b
      """
    ).drawing()
    #expect(
      drawing == """
        0 compute: .......a
        0 communication: ---rrrr
        1 compute: bbb
        1 communication: ...rrrr
        """)
  }

  @Test func `lets two messages of one card go half as fast each`() throws {
    let drawing = try Sketch(
      """
      send m 3 nic=1; send N 3 nic=1
      receive m 3 nic=1
      receive N 3 nic=1
      """
    ).drawing()
    #expect(
      drawing == """
        0 send: mmmmmm
        0 send: NNNNNN
        1 receive: mmmmmm
        2 receive: NNNNNN
        """)
  }

  @Test func `gives a card back to the message that goes on`() throws {
    // Two together for four microseconds, each two of its own; then the longer one has the card to itself.
    let drawing = try Sketch(
      """
      send m 2 nic=1; send N 5 nic=1
      receive m 2 nic=1
      receive N 5 nic=1
      """
    ).drawing()
    #expect(
      drawing == """
        0 send: mmmm
        0 send: NNNNNNN
        1 receive: mmmm
        2 receive: NNNNNNN
        """)
  }

  @Test func `lets two directions of one card alone`() throws {
    let drawing = try Sketch(
      """
      send m 3 nic=1; receive N 3 nic=1
      receive m 3 nic=1; send N 3 nic=1
      """
    ).drawing()
    #expect(
      drawing == """
        0 receive: NNN
        0 send: mmm
        1 receive: mmm
        1 send: NNN
        """)
  }

  @Test func `slows communication down beside compute, and only then`() throws {
    // Four microseconds of compute let two of the exchange's five pass.
    let drawing = try Sketch("compute a 4; all_to_all x 5 slow=2").drawing()
    #expect(
      drawing == """
        0 compute: aaaa
        0 communication: xxxxxxx
        """)
    let gap = try Sketch("compute a 2; barrier w 4 on=reduction; compute b 2 after w; all_to_all x 5 slow=2")
      .drawing()
    #expect(
      gap == """
        0 compute: aa..bb
        0 communication: xxxxxxx
        0 reduction: wwww
        """)
  }

  @Test func `does not care about compute on ranks that take no part`() throws {
    let drawing = try Sketch(
      """
      send m 4 slow=2
      receive m 4 slow=2
      compute a 8
      """
    ).drawing()
    #expect(
      drawing == """
        0 send: mmmm
        1 receive: mmmm
        2 compute: aaaaaaaa
        """)
  }

  @Test func `passes through tasks that take no time`() throws {
    let drawing = try Sketch(
      """
      compute a 0; compute b 0 after a; send m 0 after b; compute c 2 after m
      receive m 0; compute d 0 after m; compute e 1 after d
      compute f 1
      """
    ).drawing()
    #expect(
      drawing == """
        0 compute: cc
        0 send: 
        1 compute: e
        1 receive: 
        2 compute: f
        """)
  }

  @Test func `treats ties alike, however ranks are numbered`() throws {
    let text = """
      compute a 2; send m 2 nic=1 after a; send N 2 nic=1 slow=2 after a; compute z 3 after m N
      compute b 2; receive m 2 nic=1 after b; compute c 3
      compute d 2; receive N 2 nic=1 after d; compute e 1
      """
    var times: Set<[[Int64]]> = []
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      let sketch = Sketch(text, ranks: order)
      let timeline = try sketch.run()
      let ended = (0..<3).map { code in
        timeline.ended[Int(timeline.program.roles.codeOfRole.firstIndex(of: Int32(code))!)]
      }
      times.insert(ended)
    }
    #expect(times.count == 1)
  }

  @Test func `of nothing ends at once`() throws {
    let verified = try VerifiedProgram(Program(name: "empty"))
    #expect(Simulator.run(verified, costs: .init(verified) { _, _ in .free }).makespan == .zero)
  }
}
