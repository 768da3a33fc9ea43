import Clusters
import Documents
import Execution
import Foundation
import Models
import Operators
import Plans
import Programs
import Schedules
import Tensors
import TestSupport
import Units

/// The small model of the golden folder, with the tokens, losses and gradients that its file holds.
public struct GoldenModel: Sendable {
  /// What of the loss counts: cross-entropy alone, or prediction and balance too.
  public enum Loss: String, CaseIterable, Sendable {
    case crossEntropy = "ce"
    case total
  }

  public let file: TensorFile
  public let dimensions: Dimensions

  /// `config` of the file's metadata.
  public struct Dimensions: Decodable, Sendable {
    var vocab, hidden, inter, nLayers, nDense, heads, kvLora, nope, rope, v: Int
    var qLora: Int?
    var moeInter, nExperts, nGroup, topkGroup, nShared: Int
    public var topK: Int
    var normTopkProb, mtp: Bool
    var routedScalingFactor, eps, ropeTheta, mtpLambda, alpha, gamma: Double
    var maxPos, microBatches, sequences, length: Int

    /// After the conversion from snake case.
    private enum CodingKeys: String, CodingKey {
      case vocab, hidden, inter, nLayers, nDense, heads, kvLora, nope, rope, v, qLora, moeInter, nExperts,
        nGroup, topkGroup, nShared, topK, normTopkProb, mtp, routedScalingFactor, eps, ropeTheta, mtpLambda,
        alpha, gamma, maxPos
      case microBatches = "M"
      case sequences = "B"
      case length = "S"
    }
  }

  /// - Parameter path: Of an `e2e_*.safetensors`.
  public init(_ path: String) throws {
    file = try TensorFile(path)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    dimensions = try decoder.decode(Dimensions.self, from: Data((file.metadata["config"] ?? "").utf8))
  }

  /// The model's description as its authors would write it.
  func configuration(_ loss: Loss) -> String {
    let d = dimensions
    let isTotal = loss == .total
    return """
      {"model_type": "deepseek_v3", "vocab_size": \(d.vocab), "hidden_size": \(d.hidden),
       "intermediate_size": \(d.inter), "num_hidden_layers": \(d.nLayers), "first_k_dense_replace": \(d.nDense),
       "num_attention_heads": \(d.heads), "q_lora_rank": \(d.qLora.map(String.init) ?? "null"),
       "kv_lora_rank": \(d.kvLora), "qk_nope_head_dim": \(d.nope), "qk_rope_head_dim": \(d.rope),
       "v_head_dim": \(d.v), "moe_intermediate_size": \(d.moeInter), "n_routed_experts": \(d.nExperts),
       "n_group": \(d.nGroup), "topk_group": \(d.topkGroup), "num_experts_per_tok": \(d.topK),
       "n_shared_experts": \(d.nShared), "norm_topk_prob": \(d.normTopkProb),
       "routed_scaling_factor": \(d.routedScalingFactor), "scoring_func": "sigmoid", "topk_method": "noaux_tc",
       "rms_norm_eps": \(d.eps), "rope_theta": \(d.ropeTheta), "max_position_embeddings": \(d.maxPos),
       "num_nextn_predict_layers": \(isTotal && d.mtp ? 1 : 0), "aux_loss_alpha": \(isTotal ? d.alpha : 0),
       "tie_word_embeddings": false}
      """
  }

  public func model(_ loss: Loss) throws -> Model {
    let node = try parseJSON(Data(configuration(loss).utf8), file: "golden")
    var model = try Model(configuration: node, name: "golden", source: "golden")
    model.numerics.biasUpdateSpeed = dimensions.gamma
    model.numerics.predictionWeight = dimensions.mtpLambda
    return model
  }

  /// All sequences of the step, in order of micro-batches, with the tokens that labels need.
  public func tokens() throws -> FixedTokens {
    let ids = try file.int32s("input_ids")
    let labels = try file.int32s("labels")
    let further = try file.int32s("mtp_labels")
    let length = dimensions.length
    return FixedTokens(
      (0..<dimensions.microBatches * dimensions.sequences).map { sequence in
        let last = (sequence + 1) * length - 1
        return Array(ids[sequence * length...last]) + [labels[last], further[last]]
      })
  }

  // MARK: Plans

  /// A plan of so many pipeline and expert ranks for the file's step.
  public func plan(
    _ loss: Loss, _ schedule: ScheduleName, pipeline: Int, expert: Int, zero: Int = 1,
    change: (inout Plan) -> Void = { _ in }
  ) throws -> ValidPlan {
    let model = try model(loss)
    var plan = Plan(
      name: "golden", source: "test", globalBatch: dimensions.microBatches * dimensions.sequences,
      sequence: dimensions.length)
    plan.schedule = schedule
    plan.pipeline = pipeline
    plan.expert = expert
    plan.microBatch = dimensions.sequences / expert
    plan.zeroStage = zero
    plan.precision.residual = .float32
    plan.precision.dispatch = .float32
    plan.precision.combine = .float32
    plan.precision.parameters = .float32
    plan.layout = layout(stages: plan.stages, predictions: model.multiTokenPredictionDepth)
    change(&plan)
    var cluster = try resolveCluster("small").cluster
    cluster.gpusPerNode = Sourced(1, tag: .assumed, source: "test")
    cluster.nodes = Sourced(pipeline * expert, tag: .assumed, source: "test")
    return try validate(plan, model: model, cluster: cluster)
  }

  /// Where there are more stages than layers, the stages before the last hold none.
  private func layout(stages: Int, predictions: Int) -> StageLayout? {
    let layers = dimensions.nLayers
    guard stages > layers else { return nil }
    return StageLayout(
      stages: (0..<stages).map { stage in
        StageContents(
          layers: min(stage, layers)..<min(stage + 1, layers), embedding: stage == 0,
          multiTokenPrediction: stage == stages - 1 ? predictions : 0, head: stage == stages - 1)
      })
  }

  // MARK: Names

  /// The file's name of a tensor that goes by Hugging Face's here, and its place in a stack of experts.
  public func golden(_ name: String) -> (name: String, expert: Int?) {
    var parts = name.split(separator: ".").map(String.init)
    if parts.first == "model" { parts.removeFirst() }
    if parts.count > 1, parts[0] == "layers", parts[1] == String(dimensions.nLayers) {
      parts.removeFirst(2)
      switch parts[0] {
      case "enorm", "hnorm", "eh_proj": parts.insert("mtp", at: 0)
      case "shared_head": parts[0] = "mtp"
      default: parts.insert(contentsOf: ["mtp", "block"], at: 0)
      }
    }
    if let index = parts.lastIndex(of: "experts"), let expert = Int(parts[index + 1]) {
      parts.remove(at: index + 1)
      parts.removeLast()
      return (parts.joined(separator: "."), expert)
    }
    return (parts.joined(separator: "."), nil)
  }

  /// A file of the model's parameters under Hugging Face's names, made from the golden one.
  public func parameters(_ loss: Loss) throws -> TensorFile {
    let folder = FileManager.default.temporaryDirectory
    let path = folder.appending(path: "golden-\(UUID().uuidString).safetensors").path
    let prefix = "model.layers.\(dimensions.nLayers)."
    var tensors: [(description: TensorDescription, bytes: [UInt8])] = []
    for tensor in file.tensors where tensor.name.hasPrefix("w.") {
      var name = String(tensor.name.dropFirst(2))
      if name.hasPrefix("mtp.block.") {
        name = prefix + name.dropFirst("mtp.block.".count)
      } else if name == "mtp.norm.weight" {
        name = prefix + "shared_head.norm.weight"
      } else if name.hasPrefix("mtp.") {
        name = prefix + name.dropFirst("mtp.".count)
      } else if name != "lm_head.weight" {
        name = "model." + name
      }
      let bytes = try file.tensor(tensor.name).withBytes(Array.init)
      tensors.append((TensorDescription(name, tensor.format, tensor.shape), bytes))
    }
    try writeTensors(tensors, to: path)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try TensorFile(path)
  }
}

extension ValidPlan {
  /// The plan's program, proven.
  public func verified(traffic: TrafficTable? = nil) throws -> VerifiedProgram {
    let order = try PipelineOrder.published(
      plan.schedule.rawValue, ranks: plan.pipeline, microBatches: microBatches,
      virtualStages: plan.virtualStages == 1 ? nil : plan.virtualStages)
    return try VerifiedProgram(lower(self, order: order, seed: 1, traffic: traffic))
  }
}
