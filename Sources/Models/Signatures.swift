import Documents
import Operators
import Units

// Stub signatures: being filled in.

extension Model {
  public var parameters: ParameterCount { ParameterCount(rows: []) }
  public func flopsPerToken(sequence: Int, causal: Bool) -> FLOPs { .zero }
  public func attentionOperators(
    layer: Int, batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] { [] }
  public func feedForwardOperators(
    layer: Int, batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] { [] }
  public func embeddingOperators(
    batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] { [] }
  /// `sharesEmbedding`: with tied embeddings, whether this GPU already counts the matrix as its embedding.
  public func headOperators(
    batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions, sharesEmbedding: Bool = false
  ) -> [Operator] { [] }
  public func multiTokenPredictionOperators(
    batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] { [] }
}

/// A model with what a report's provenance says of it.
public struct ResolvedModel: Hashable, Sendable {
  public var model: Model
  /// SHA-256 of the file.
  public var hash: String
  /// The file as the user named it, or `shipped:` and the name.
  public var origin: String
}

public func readModel(at path: String) throws -> (model: Model, hash: String) {
  throw Diagnostic(.internal, "not written yet")
}
public func shippedModel(named name: String) throws -> (model: Model, hash: String) {
  throw Diagnostic(.internal, "not written yet")
}
public var shippedModelNames: [String] { [] }
public func resolveModel(_ nameOrPath: String) throws -> ResolvedModel {
  throw Diagnostic(.internal, "not written yet")
}
