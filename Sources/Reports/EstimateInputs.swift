import Units

extension Estimate {
  /// The model, in the numbers that set its cost.
  public struct ModelSummary: Hashable, Sendable {
    public var name: String
    /// Where its configuration was published.
    public var source: String
    /// Without multi-token prediction.
    public var parametersTotal: Int
    /// Parameters that one token meets, without the input embedding.
    public var parametersActive: Int
    public var parametersWithMultiTokenPrediction: Int
    /// Forward and backward, attention counted over the lower triangle.
    public var flopsPerTokenCausal: FLOPs
    /// Forward and backward, attention counted over the whole square.
    public var flopsPerTokenFull: FLOPs

    public init(
      name: String, source: String, parametersTotal: Int, parametersActive: Int,
      parametersWithMultiTokenPrediction: Int, flopsPerTokenCausal: FLOPs, flopsPerTokenFull: FLOPs
    ) {
      self.name = name
      self.source = source
      self.parametersTotal = parametersTotal
      self.parametersActive = parametersActive
      self.parametersWithMultiTokenPrediction = parametersWithMultiTokenPrediction
      self.flopsPerTokenCausal = flopsPerTokenCausal
      self.flopsPerTokenFull = flopsPerTokenFull
    }
  }

  /// The cluster in a report's words.
  public struct ClusterSummary: Hashable, Sendable {
    public var name: String
    public var gpus: Int
    public var nodes: Int
    /// The GPU's name: `H800 SXM`.
    public var gpu: String

    public init(name: String, gpus: Int, nodes: Int, gpu: String) {
      self.name = name
      self.gpus = gpus
      self.nodes = nodes
      self.gpu = gpu
    }
  }

  /// The plan, one short entry for each decision.
  public struct PlanSummary: Hashable, Sendable {
    public var name: String
    public var schedule: String
    public var tensor: Int
    public var sequenceParallel: Bool
    public var context: Int
    /// Pipeline ranks.
    public var pipeline: Int
    /// Stages that one pipeline rank holds.
    public var virtualStages: Int
    public var expert: Int
    public var expertTensor: Int
    public var data: Int
    /// 0 to 3.
    public var zeroStage: Int
    /// Sequences.
    public var microBatch: Int
    /// Sequences in a step.
    public var globalBatch: Int
    /// Micro-batches that one pipeline runs in a step.
    public var microBatches: Int
    /// Tokens.
    public var sequence: Int
    /// What is computed again in the backward: `none`, `full`, `norm + mla_up + swiglu`.
    public var recompute: String
    /// `FP8 products, BF16 attention, FP8 dispatch, BF16 combine`.
    public var precision: String
    /// SMs that communication kernels hold while they overlap with compute.
    public var communicationSMs: Int

    public init(
      name: String, schedule: String, tensor: Int, sequenceParallel: Bool, context: Int, pipeline: Int,
      virtualStages: Int, expert: Int, expertTensor: Int, data: Int, zeroStage: Int, microBatch: Int,
      globalBatch: Int,
      microBatches: Int, sequence: Int, recompute: String, precision: String, communicationSMs: Int
    ) {
      self.name = name
      self.schedule = schedule
      self.tensor = tensor
      self.sequenceParallel = sequenceParallel
      self.context = context
      self.pipeline = pipeline
      self.virtualStages = virtualStages
      self.expert = expert
      self.expertTensor = expertTensor
      self.data = data
      self.zeroStage = zeroStage
      self.microBatch = microBatch
      self.globalBatch = globalBatch
      self.microBatches = microBatches
      self.sequence = sequence
      self.recompute = recompute
      self.precision = precision
      self.communicationSMs = communicationSMs
    }
  }

  /// A number or a rule that the estimate rests on.
  public struct Assumption: Hashable, Sendable {
    /// What it is about: `achieved NVLink bandwidth`.
    public var what: String
    /// With its unit: `160 GB/s`; nil for a rule without a number.
    public var value: String?
    public var tag: Tag
    public var source: String

    public init(what: String, value: String? = nil, tag: Tag, source: String) {
      self.what = what
      self.value = value
      self.tag = tag
      self.source = source
    }
  }

  /// What is needed to get the same bytes again.
  public struct Provenance: Hashable, Sendable {
    public var version: String
    public var seed: Int
    public var inputs: [Input]

    /// One file or shipped description that the estimate was made from.
    public struct Input: Hashable, Sendable {
      /// Its part in the estimate: `model`, `cluster`, `plan`, `prices`.
      public var name: String
      /// A file's path as the user named it, or the name of a shipped description.
      public var pathOrShippedName: String
      /// Lower-case hexadecimal.
      public var sha256: String

      public init(name: String, pathOrShippedName: String, sha256: String) {
        self.name = name
        self.pathOrShippedName = pathOrShippedName
        self.sha256 = sha256
      }
    }

    public init(version: String, seed: Int, inputs: [Input]) {
      self.version = version
      self.seed = seed
      self.inputs = inputs
    }
  }
}
