import Documents
import Plans
import Testing

@Suite struct StageLayoutTests {
  @Test func `the published depth of DeepSeek-V3 fills sixteen stages`() throws {
    let layout = try StageLayout(text: "E4,4*14,1MH")
    #expect(layout.stages.count == 16)
    #expect(layout.stages[0] == StageContents(layers: 0..<4, embedding: true))
    #expect(layout.stages[14] == StageContents(layers: 56..<60))
    #expect(layout.stages[15] == StageContents(layers: 60..<61, multiTokenPrediction: 1, head: true))
    try layout.check(layers: 61, stages: 16, multiTokenPrediction: 1)
  }

  @Test func `segments of a stage stand in the order of its forward`() throws {
    let layout = try StageLayout(text: "E2,1MMH")
    #expect(layout.stages[0].segments == [.embedding, .layer(0), .layer(1)])
    #expect(
      layout.stages[1].segments == [
        .layer(2), .head, .prediction(0), .layer(3), .predictionHead(0), .prediction(1), .layer(4),
        .predictionHead(1),
      ])
    #expect(try StageLayout(text: "E1,MH").stages[1].segments[2] == .layer(1), "a stage without layers")
  }

  @Test(arguments: ["E4,4*14,1MH", "E1H", "E2,3*2,0,2MMH", "E1,1*3,0H", "E0,5MH"])
  func `a layout in its shortest form is written as it was read`(text: String) throws {
    #expect(try StageLayout(text: text).text == text)
  }

  @Test(arguments: [" E4 , 4,4 ,H", "E,4*1,MH", "E4,4,4*3,4,4H"])
  func `any layout's text reads back as the same layout`(text: String) throws {
    let layout = try StageLayout(text: text)
    #expect(try StageLayout(text: layout.text) == layout)
  }

  @Test(
    arguments: [
      "", "E", "x", "4*", "*4", "E4,,4H", "-4", "E4*2", "4*99999999", "9999999999999999999999", "4HE", "4MHM",
      "E٣H",
      "4*14*2",
    ])
  func `a malformed layout is refused or does not check`(text: String) {
    let found = diagnostic {
      try StageLayout(text: text).check(
        layers: 61, stages: 16, multiTokenPrediction: 0, file: "p", path: "layout")
    }
    #expect(found?.path == "layout")
  }

  @Test(arguments: [1, 2, 3, 4, 7, 12])
  func `an even division covers each layer once, in order`(stages: Int) throws {
    let layout = StageLayout.uniform(layers: 12, stages: stages, multiTokenPrediction: 1)
    try layout.check(layers: 12, stages: stages, multiTokenPrediction: 1)
    let counts: [Int] = layout.stages.map(\.layers.count)
    let most = counts.max() ?? 0
    let least = counts.min() ?? 0
    #expect(most - least <= 1)
    let descending: [Int] = counts.sorted { $0 > $1 }
    #expect(counts == descending, "earlier stages take more")
  }

  @Test(
    arguments: [
      ("E4,4H", "layers"), ("4,4,4H", "embedding"), ("E4,E4,4H", "embedding"), ("E4,4*2", "head"),
      ("E4,4H,4H", "head"), ("E4M,4,4H", "multi-token"), ("E4,4,4MMH", "multi-token"),
      ("E4,4,4M,H", "multi-token"),
    ])
  func `what is missing, doubled or out of place is named`(text: String, word: String) throws {
    let layout = try StageLayout(text: text)
    let found = diagnostic {
      try layout.check(layers: 12, stages: layout.stages.count, multiTokenPrediction: 1)
    }
    #expect(found?.problem.contains(word) == true, "\(text): \(String(describing: found))")
  }

  @Test func `layers out of order are refused`() {
    let layout = StageLayout(stages: [
      StageContents(layers: 4..<8, embedding: true), StageContents(layers: 0..<4, head: true),
    ])
    #expect(
      diagnostic { try layout.check(layers: 8, stages: 2, multiTokenPrediction: 0) }?.found?.contains(
        "layer 4") == true)
  }
}
