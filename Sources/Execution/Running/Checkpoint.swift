import Documents
import Foundation
import Plans
import Tensors

/// Where a run's checkpoints lie: one safetensors file for each step that was saved, `step-000020.safetensors`.
///
/// A file holds the whole model under Hugging Face's names and both moments of every parameter, gathered from all
/// ranks; so a run may go on with another plan, as long as model, seed and sequences are the same. It is put in its
/// place only when it is whole.
public struct CheckpointFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  func file(step: Int) -> String {
    let digits = String(step)
    return "\(path)/step-\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits).safetensors"
  }

  /// Steps of the folder's checkpoints, ascending.
  public func steps() -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.compactMap { name in
      guard name.hasPrefix("step-"), name.hasSuffix(".safetensors") else { return nil }
      return Int(name.dropFirst("step-".count).dropLast(".safetensors".count))
    }.sorted()
  }
}

extension RankTraining {
  /// Saves the state after the steps done; every rank calls it.
  ///
  /// - Parameter keep: Older checkpoints that stay.
  /// - Throws: On every rank, where rank 0 cannot write; older checkpoints are as they were.
  public func save(to folder: CheckpointFolder, keep: Int = 1) throws {
    let tensors = try rankZero.assemble(state.parameterPieces() + state.momentPieces())
    try rankZero.agree {
      guard rank == 0 else { return }
      try write(tensors, to: folder)
      for old in folder.steps().filter({ $0 < step }).dropLast(keep) {
        try? FileManager.default.removeItem(atPath: folder.file(step: old))
      }
    }
  }

  private func write(_ tensors: [NamedTensor], to folder: CheckpointFolder) throws {
    do {
      try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    } catch {
      throw Diagnostic(
        .unavailableFile, "the folder for checkpoints cannot be made", file: folder.path,
        found: (error as NSError).localizedDescription)
    }
    let descriptions = tensors.map { TensorDescription($0.name, .float32, $0.shape) }
    let writer = try TensorWriter(
      folder.file(step: step), tensors: descriptions, metadata: identity.merging(["step": "\(step)"]) { $1 })
    for tensor in tensors {
      try tensor.values.withUnsafeBufferPointer { try writer.append($0, to: tensor.name) }
    }
    try writer.finish()
  }

  /// What a checkpoint and the run that goes on from it must have in common.
  private var identity: [String: String] {
    var model = plan.model
    // Where it was read from does not change what it is.
    model.source = ""
    return [
      "format": "rehearsal checkpoint 1", "model": plan.model.name,
      "model_shape": sha256(Data("\(model)".utf8)), "seed": "\(options.seed)",
      "sequence": "\(plan.plan.sequence)", "global_batch": "\(plan.plan.globalBatch)",
    ]
  }

  /// Goes on from the folder's last checkpoint; every rank calls it.
  ///
  /// - Throws: On every rank, where there is none, or it is of another model or run, or it is not whole.
  public func resume(from folder: CheckpointFolder) throws {
    try rankZero.agree {
      guard let last = folder.steps().last else {
        throw Diagnostic(
          .unavailableFile, "there is no checkpoint to go on from", file: folder.path,
          hint: "leave --resume out to begin anew")
      }
      let file = try TensorFile(folder.file(step: last))
      for (key, value) in identity.sorted(by: { $0.key < $1.key }) {
        guard file.metadata[key] == value else {
          throw Diagnostic(
            .data, "the checkpoint is of another run", file: file.path, path: key,
            found: file.metadata[key] ?? "nothing", allowed: value,
            hint: "model, seed, --seq-len and --global-batch must be those of the run that saved it")
        }
      }
      guard let step = file.metadata["step"].flatMap(Int.init), step >= 0 else {
        throw Diagnostic(
          .data, "the checkpoint does not say its step", file: file.path, path: "step",
          found: file.metadata["step"] ?? "nothing", allowed: "a number")
      }
      try state.loadParameters(from: file)
      try state.loadMoments(from: file)
      resume(at: step)
    }
  }
}
