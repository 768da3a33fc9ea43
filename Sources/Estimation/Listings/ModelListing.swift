import Models
import Operators
import Reports
import Units

/// The shipped models in a table: name, family, sizes.
public func modelTable(width: Int = 80) throws -> String {
  var table = TextTable(
    [.init("model"), .init("family"), .init("parameters", .right), .init("active", .right), .init("layers", .right)],
    width: width)
  for name in shippedModelNames {
    let model = try shippedModel(named: name).model
    let parameters = model.parameters
    table.append([
      name, model.family.rawValue, counted(Double(parameters.total)), counted(Double(parameters.active)),
      "\(model.layers)",
    ])
  }
  return table.lines().joined(separator: "\n") + "\n"
}

/// One model: parameters by module, FLOPs of a token, and what each operator of its layers asks of a GPU.
public struct ModelListing: Sendable {
  private let model: Model
  private let batch: Batch
  private let precision: Precision

  /// - Parameter batch: Of one GPU that holds whole layers.
  public init(_ model: Model, batch: Batch, precision: Precision = .bfloat16) {
    self.model = model
    self.batch = batch
    self.precision = precision
  }

  public func table(width: Int = 80) -> String {
    (heading + [""] + modules(width: width) + [""] + layerKinds.flatMap { operators($0, width: width) + [""] })
      .dropLast().joined(separator: "\n") + "\n"
  }

  private var heading: [String] {
    let parameters = model.parameters
    let causal = model.flopsPerToken(sequence: batch.sequence, causal: true)
    let full = model.flopsPerToken(sequence: batch.sequence, causal: false)
    var lines = fold("\(model.name) (\(model.family.rawValue)): \(model.source)", width: 80)
    lines += [
      "parameters      \(grouped(parameters.total))",
      "  active        \(grouped(parameters.active)), without the input embedding",
    ]
    if parameters.withMultiTokenPrediction != parameters.total {
      lines.append("  with MTP      \(grouped(parameters.withMultiTokenPrediction))")
    }
    lines.append(
      "FLOPs a token   \(causal.shown) causal, \(full.shown) full attention, at \(grouped(batch.sequence)) tokens")
    return lines
  }

  private func modules(width: Int) -> [String] {
    var table = TextTable([.init("module"), .init("parameters", .right), .init("active", .right)], width: width)
    for row in model.parameters.rows where row.total > 0 || row.active > 0 {
      table.append([words(row.module.rawValue), grouped(row.total), grouped(row.active)])
    }
    return table.lines()
  }

  /// One layer of each kind, and what stands before and behind the layers.
  private var layerKinds: [(title: String, operators: [Operator])] {
    let options = OperatorOptions()
    func layer(_ index: Int) -> [Operator] {
      model.attentionOperators(layer: index, batch: batch, slice: .whole, precision: precision, options: options)
        + model.feedForwardOperators(layer: index, batch: batch, slice: .whole, precision: precision, options: options)
    }
    var kinds: [(String, [Operator])] = []
    if let dense = (0..<model.layers).first(where: { !model.isMixtureLayer($0) }) {
      kinds.append(("a dense layer", layer(dense)))
    }
    if let mixture = (0..<model.layers).first(where: model.isMixtureLayer) {
      kinds.append(("a mixture layer", layer(mixture)))
    }
    kinds.append((
      "embedding and head",
      model.embeddingOperators(batch: batch, slice: .whole, precision: precision, options: options)
        + model.headOperators(batch: batch, slice: .whole, precision: precision, options: options)
    ))
    return kinds
  }

  private func operators(_ kind: (title: String, operators: [Operator]), width: Int) -> [String] {
    var table = TextTable(
      [.init("operator")]
        + ["F", "B", "W"].flatMap { [TextTable.Column("\($0) FLOP", .right), TextTable.Column("bytes", .right)] },
      width: width)
    for operation in kind.operators {
      table.append(
        [operation.name]
          + Pass.allCases.flatMap { pass -> [String] in
            let kernels = operation.kernels(pass)
            guard !kernels.isEmpty else { return ["", ""] }
            return [
              scaled(kernels.reduce(0) { $0 + $1.flops.value }, unit: "", digits: 3),
              scaled(kernels.reduce(0) { $0 + $1.bytesRead + $1.bytesWritten }, unit: "B", digits: 3),
            ]
          })
    }
    let tokens = "\(batch.sequences) x \(grouped(batch.sequence)) tokens in \(precision.linear.title)"
    return ["\(kind.title), \(tokens); FLOP and bytes of each pass"] + table.lines()
  }
}
