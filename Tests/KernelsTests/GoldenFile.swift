import Foundation
import Tensors
import TestSupport
import Testing

@testable import Kernels

func goldenFile(_ name: String) throws -> TensorFile {
  try TensorFile(goldenPath("moe/\(name).safetensors"))
}

extension TensorFile {
  /// One of the JSON values that golden files hold as metadata.
  func described<Value: Decodable>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(#require(metadata[key]).utf8))
  }

  func shape(_ name: String) throws -> [Int] { try tensor(name).shape }
}

/// An input that golden files do not store but name: numbers made of their indices.
struct HashedTensor: Decodable {
  var seed: UInt64
  var stream: UInt64
  var shape: [Int]
  var scale: Float

  var values: [Float] { hashedFloats(seed: seed, stream: stream, count: shape.reduce(1, *), scale: scale) }
}

/// The largest difference over the largest expected magnitude.
func relativeError(_ found: [Float], _ expected: [Float]) -> Double {
  guard found.count == expected.count else { return .infinity }
  let differences = zip(found, expected).map { abs(Double($0) - Double($1)) }
  if differences.contains(where: \.isNaN) { return .nan }
  return (differences.max() ?? 0) / max(expected.map { abs(Double($0)) }.max() ?? 0, 1e-30)
}

/// The norm of the difference over the norm of what was expected.
func frobeniusError(_ found: [Float], _ expected: [Float]) -> Double {
  guard found.count == expected.count else { return .infinity }
  let difference = zip(found, expected).reduce(0.0) {
    $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
  }
  return (difference / max(expected.reduce(0.0) { $0 + Double($1) * Double($1) }, 1e-60)).squareRoot()
}
