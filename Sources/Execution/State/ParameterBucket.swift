import Programs

/// The parameters that are reduced, updated and gathered together: the dense or the expert part of one segment.
///
/// Ranks that hold copies share out its elements in order: member i of n owns elements `i*N/n ..< (i+1)*N/n`. With
/// ZeRO stage 1 only they have optimizer states, which lie in ``firstMoments`` and ``secondMoments``.
final class ParameterBucket {
  let tensors: [TensorPlace]
  let count: Int
  let isExpert: Bool
  let parameters: FloatBuffer
  let gradients: FloatBuffer
  /// Of ``updated``'s elements.
  let firstMoments: FloatBuffer
  let secondMoments: FloatBuffer
  /// The member's own elements.
  let shard: Range<Int>
  /// Elements that this rank's optimizer updates: the shard, or everything without ZeRO.
  let updated: Range<Int>

  init(tensors: [TensorPlace], isExpert: Bool, member: Int, members: Int, isSharded: Bool) {
    self.tensors = tensors
    self.isExpert = isExpert
    count = tensors.last?.range.upperBound ?? 0
    parameters = FloatBuffer(count: count)
    gradients = FloatBuffer(count: count)
    shard = Programs.shard(ofMember: member, members: members, elements: count)
    updated = isSharded ? shard : 0..<count
    firstMoments = FloatBuffer(count: updated.count)
    secondMoments = FloatBuffer(count: updated.count)
  }

  /// Elements of the shard that are no copies of another stage's; copies stand last.
  var answered: Range<Int> { shard.clamped(to: 0..<(tensors.first(where: \.isCopy)?.offset ?? count)) }

  func tensor(named name: String) -> TensorPlace? { tensors.first { $0.name == name } }
}
