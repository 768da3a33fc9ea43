import Documents
import Tensors

extension ModelState {
  /// Reads the rank's parameters and selection biases from a file with Hugging Face's names.
  ///
  /// A layer's experts may stand one by one (`mlp.experts.3.gate_proj.weight`) or stacked (`mlp.experts.gate_proj`,
  /// `[experts, out, in]`).
  /// - Parameter prefix: Before every name.
  /// - Throws: A `Diagnostic` where a tensor is missing or has another shape.
  func loadParameters(from file: TensorFile, prefix: String = "") throws {
    for bucket in buckets {
      for place in bucket.tensors {
        let target = UnsafeMutableBufferPointer(
          start: bucket.parameters.pointer + place.offset, count: place.count)
        try file.read(place, prefix: prefix, into: target)
      }
    }
    for selection in selections {
      try file.read(prefix + selection.name, shape: [selection.bias.count], into: selection.bias.elements)
    }
  }

  /// Reads the optimizer's states of the elements that this rank updates.
  func loadMoments(from file: TensorFile) throws {
    for bucket in buckets {
      for place in bucket.tensors {
        let range = place.range.clamped(to: bucket.updated)
        guard !range.isEmpty else { continue }
        for (moments, prefix) in [
          (bucket.firstMoments, firstMomentPrefix), (bucket.secondMoments, secondMomentPrefix),
        ] {
          try file.tensor(prefix + place.name, .float32, shape: place.shape).withFloats { values in
            for index in range {
              moments.pointer[index - bucket.updated.lowerBound] = values[index - place.offset]
            }
          }
        }
      }
    }
  }

  /// What this rank answers for of the parameters.
  func parameterPieces() -> [TensorPiece] { pieces(prefix: "") { ($0.parameters, 0) } + biasPieces() }

  /// What this rank answers for of the reduced gradients.
  func gradientPieces() -> [TensorPiece] { pieces(prefix: "") { ($0.gradients, 0) } }

  /// What this rank answers for of the optimizer's states.
  func momentPieces() -> [TensorPiece] {
    pieces(prefix: firstMomentPrefix) { ($0.firstMoments, $0.updated.lowerBound) }
      + pieces(prefix: secondMomentPrefix) { ($0.secondMoments, $0.updated.lowerBound) }
  }

  /// Stretches of the rank's shards, tensor by tensor; copies leave them to their originals.
  private func pieces(prefix: String, of values: (ParameterBucket) -> (FloatBuffer, start: Int))
    -> [TensorPiece]
  {
    var pieces: [TensorPiece] = []
    for bucket in buckets {
      let (buffer, start) = values(bucket)
      for place in bucket.tensors {
        let range = place.range.clamped(to: bucket.answered)
        guard !range.isEmpty else { continue }
        pieces.append(
          TensorPiece(
            name: prefix + place.name, shape: place.shape, offset: range.lowerBound - place.offset,
            values: UnsafeBufferPointer(start: buffer.pointer + range.lowerBound - start, count: range.count))
        )
      }
    }
    return pieces
  }

  /// Every rank of a stage has the same biases; the first of the expert and data ranks hands them over.
  private func biasPieces() -> [TensorPiece] {
    let isFirst = plan.grid.coordinates(of: rank).data == 0
    guard isFirst else { return [] }
    return selections.map { selection in
      TensorPiece(
        name: selection.name, shape: [selection.bias.count], offset: 0,
        values: UnsafeBufferPointer(start: selection.bias.pointer, count: selection.bias.count))
    }
  }
}

/// Names of the optimizer's states in a checkpoint, before the tensor's own.
private let firstMomentPrefix = "optimizer.first_moment."
private let secondMomentPrefix = "optimizer.second_moment."

extension TensorFile {
  /// A tensor by its place: as such, or as one of a stack of experts.
  fileprivate func read(
    _ place: TensorPlace, prefix: String, into target: UnsafeMutableBufferPointer<Float>
  ) throws {
    let name = prefix + place.name
    guard !contains(name), let (stack, expert) = stackedName(name), contains(stack) else {
      return try read(name, shape: place.shape, into: target)
    }
    let tensor = try tensor(stack)
    guard Array(tensor.shape.dropFirst()) == place.shape, let experts = tensor.shape.first, expert < experts
    else {
      throw tensor.error(
        "the tensor has another shape", found: "\(tensor.shape)",
        allowed: "a stack of experts of \(place.shape)")
    }
    try tensor.withFloats { values in
      for index in target.indices { target[index] = values[expert * place.count + index] }
    }
  }

  /// `mlp.experts.3.gate_proj.weight` as `mlp.experts.gate_proj` and 3.
  private func stackedName(_ name: String) -> (name: String, expert: Int)? {
    var parts = name.split(separator: ".").map(String.init)
    guard let index = parts.lastIndex(of: "experts"), index + 2 < parts.count,
      let expert = Int(parts[index + 1]),
      parts.last == "weight"
    else { return nil }
    parts.removeLast()
    parts.remove(at: index + 1)
    return (parts.joined(separator: "."), expert)
  }
}
