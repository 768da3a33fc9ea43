import Documents

/// What one model stage holds, in the order it runs: embedding, decoder layers, multi-token prediction, head.
public struct StageContents: Hashable, Sendable {
  public var layers: Range<Int>
  public var embedding: Bool
  /// Multi-token-prediction modules.
  public var multiTokenPrediction: Int
  public var head: Bool

  public init(layers: Range<Int>, embedding: Bool = false, multiTokenPrediction: Int = 0, head: Bool = false)
  {
    self.layers = layers
    self.embedding = embedding
    self.multiTokenPrediction = multiTokenPrediction
    self.head = head
  }

  /// `E4`, `4`, `1MH`: the stage's form in a layout's text.
  public var text: String {
    (embedding ? "E" : "") + "\(layers.count)" + String(repeating: "M", count: multiTokenPrediction)
      + (head ? "H" : "")
  }
}

/// A piece of a stage that goes forward or backward as one, and whose parameters travel together.
public enum StageSegment: Hashable, Sendable {
  case embedding
  /// A layer; those of multi-token prediction follow the decoder's.
  case layer(Int)
  /// Final norm, output projection, loss.
  case head
  /// Norms and projection that begin a prediction module, by its depth from 0.
  case prediction(Int)
  /// A prediction module's norm; its output projection is the head's.
  case predictionHead(Int)
}

extension StageContents {
  /// The stage's segments in the order of its forward: embedding, layers, head, then for each prediction module
  /// projection, layer and head.
  public var segments: [StageSegment] {
    var segments: [StageSegment] = embedding ? [.embedding] : []
    segments += layers.map(StageSegment.layer)
    if head { segments.append(.head) }
    for depth in 0..<multiTokenPrediction {
      // Prediction modules come after the last layer, so the layers' end is the model's.
      segments += [.prediction(depth), .layer(layers.upperBound + depth), .predictionHead(depth)]
    }
    return segments
  }
}

/// Which layers are on which model stage.
///
/// Its text form lists stages with commas between them: `E` embedding, a count of layers, one `M` for each
/// multi-token-prediction module, `H` head; `4*14` is fourteen stages of four layers. `E4,4*14,1MH` is a
/// 61-layer model on 16 stages.
public struct StageLayout: Hashable, Sendable {
  /// By model stage.
  public var stages: [StageContents]

  public init(stages: [StageContents]) { self.stages = stages }

  /// Stages that a text may describe; far above any pipeline, far below what would exhaust memory.
  static let stageLimit = 65_536
  /// Layers that one stage may hold.
  static let layerLimit = 1_000_000

  /// Equal stages, embedding first, multi-token prediction and head last, as Megatron divides a model.
  ///
  /// Where stages do not divide layers, the earlier stages take one layer more, for the last has the head.
  ///
  /// - Precondition: `stages` is positive and at most `layers`.
  public static func uniform(layers: Int, stages: Int, multiTokenPrediction: Int = 0) -> StageLayout {
    precondition(stages > 0 && stages <= layers, "\(layers) layers on \(stages) stages")
    var next = 0
    return StageLayout(
      stages: (0..<stages).map { stage in
        let count = layers / stages + (stage < layers % stages ? 1 : 0)
        defer { next += count }
        let isLast = stage == stages - 1
        return StageContents(
          layers: next..<next + count, embedding: stage == 0,
          multiTokenPrediction: isLast ? multiTokenPrediction : 0,
          head: isLast)
      })
  }

  public var layers: Int { stages.last?.layers.upperBound ?? 0 }

  /// The shortest text that reads back as this layout.
  public var text: String {
    var runs: [(text: String, count: Int)] = []
    for stage in stages {
      if runs.last?.text == stage.text, stage.text.allSatisfy(\.isNumber) {
        runs[runs.count - 1].count += 1
      } else {
        runs.append((stage.text, 1))
      }
    }
    return runs.map { $0.count == 1 ? $0.text : "\($0.text)*\($0.count)" }.joined(separator: ",")
  }

  /// Reads ``text``'s form.
  ///
  /// - Throws: A ``Documents/Diagnostic`` that quotes the stage which cannot be read.
  public init(text: String, file: String? = nil, path: String = "layout") throws {
    let pieces = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    self = try StageLayout(pieces: pieces, file: file, path: path)
  }

  init(pieces: [String], file: String?, path: String) throws {
    var stages: [StageContents] = []
    var next = 0
    for (index, piece) in pieces.enumerated() {
      func refuse(_ problem: String) -> Diagnostic {
        Diagnostic(
          .data, problem, file: file, path: path, found: "stage \(index): \"\(piece.prefix(40))\"",
          allowed: "stages such as E4, 4*14 (14 stages of 4 layers), 1MH",
          hint: "E embedding, a count of layers, M multi-token prediction, H head")
      }
      guard let (contents, copies) = StageLayout.stage(piece) else { throw refuse("a stage cannot be read") }
      guard copies == 1 || contents.text.allSatisfy(\.isNumber) else {
        throw refuse("only plain stages may be repeated")
      }
      guard stages.count + copies <= StageLayout.stageLimit else { throw refuse("too many stages") }
      for _ in 0..<copies {
        var stage = contents
        stage.layers = next..<next + contents.layers.count
        next = stage.layers.upperBound
        stages.append(stage)
      }
    }
    self.stages = stages
  }

  /// One stage of the text, its layers counted from zero, and how often it stands.
  private static func stage(_ piece: String) -> (contents: StageContents, copies: Int)? {
    var rest = Substring(piece)
    while rest.first == " " { rest.removeFirst() }
    while rest.last == " " { rest.removeLast() }
    guard !rest.isEmpty else { return nil }
    var copies = 1
    if let star = rest.firstIndex(of: "*") {
      guard let count = number(rest[rest.index(after: star)...]), (1...stageLimit).contains(count) else {
        return nil
      }
      copies = count
      rest = rest[..<star]
    }
    var contents = StageContents(layers: 0..<0)
    if rest.first == "E" {
      contents.embedding = true
      rest.removeFirst()
    }
    if rest.last == "H" {
      contents.head = true
      rest.removeLast()
    }
    while rest.last == "M" {
      contents.multiTokenPrediction += 1
      rest.removeLast()
    }
    // `E` or `MH` alone is a stage without layers.
    let hasLetters = contents.embedding || contents.head || contents.multiTokenPrediction > 0
    if rest.isEmpty { return hasLetters ? (contents, copies) : nil }
    guard let layers = number(rest), layers <= layerLimit else { return nil }
    contents.layers = 0..<layers
    return (contents, copies)
  }

  private static func number(_ digits: Substring) -> Int? {
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(digits)
  }

  /// Proves that each layer of a model stands once and in order, embedding first, head last.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with what is missing or doubled.
  public func check(
    layers: Int, stages count: Int, multiTokenPrediction: Int, file: String? = nil, path: String = "layout"
  ) throws {
    func refuse(_ problem: String, found: String, allowed: String, hint: String? = nil) -> Diagnostic {
      Diagnostic(.data, problem, file: file, path: path, found: found, allowed: allowed, hint: hint)
    }
    guard stages.count == count else {
      throw refuse(
        "the layout has the wrong number of stages", found: "\(stages.count) stages",
        allowed: "\(count) stages",
        hint:
          "the schedule and the pipeline degree need \(count); without a layout the layers are divided evenly"
      )
    }
    var next = 0
    for (index, stage) in stages.enumerated() {
      guard stage.layers.lowerBound == next else {
        throw refuse(
          "the layout does not hold each layer once and in order",
          found: "stage \(index) begins with layer \(stage.layers.lowerBound)", allowed: "layer \(next)")
      }
      next = stage.layers.upperBound
    }
    guard next == layers else {
      throw refuse(
        "the layout does not hold the model's layers", found: "\(next) layers", allowed: "\(layers) layers")
    }
    let embeddings = stages.indices.filter { stages[$0].embedding }
    guard embeddings == [0] else {
      throw refuse(
        "the embedding is out of place", found: "on \(StageLayout.named(embeddings))", allowed: "on stage 0",
        hint: "begin the first stage with E")
    }
    let heads = stages.indices.filter { stages[$0].head }
    guard heads == [count - 1] else {
      throw refuse(
        "the head is out of place", found: "on \(StageLayout.named(heads))", allowed: "on stage \(count - 1)",
        hint: "end the last stage with H")
    }
    let modules = stages.reduce(0) { $0 + $1.multiTokenPrediction }
    guard modules == multiTokenPrediction else {
      throw refuse(
        "the layout does not hold the model's multi-token prediction", found: "\(modules) modules",
        allowed: "\(multiTokenPrediction)", hint: "write one M for each module, before H")
    }
    if let early = stages.firstIndex(where: { $0.multiTokenPrediction > 0 }), early < count - 1 {
      throw refuse(
        "multi-token prediction is apart from the head", found: "on stage \(early)",
        allowed: "stage \(count - 1)", hint: "its modules end in the head's projection; write M before H")
    }
  }

  private static func named(_ stages: [Int]) -> String {
    stages.isEmpty ? "no stage" : "stage " + stages.prefix(4).map(String.init).joined(separator: ", ")
  }
}
