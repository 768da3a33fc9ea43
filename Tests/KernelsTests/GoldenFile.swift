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

/// Products with known vectors, and norms, which a golden file holds instead of large matrices.
struct Probes {
  private struct Stream: Decodable { var seed, stream: UInt64 }

  private let file: TensorFile
  private let right, left: Stream

  init(_ file: TensorFile) throws {
    let streams: [String: Stream] = try file.described("probes")
    self.file = file
    right = try #require(streams["probe_r"])
    left = try #require(streams["probe_l"])
  }

  /// Of each matrix of `values`: its product with the right vectors, that of the left ones with it, and its norm. How
  /// many matrices there are, and of which shape, is what the file has under `name`.
  func of(
    _ values: [Float], like name: String
  ) throws -> (fromRight: [Float], fromLeft: [Float], norms: [Float]) {
    let (rightShape, leftShape) = (try file.shape("\(name).pr"), try file.shape("\(name).pl"))
    let (rows, count) = (rightShape[rightShape.count - 2], rightShape[rightShape.count - 1])
    let columns = leftShape[leftShape.count - 1]
    let matrices = try file.floats("\(name).fro").count
    try #require(values.count == matrices * rows * columns, "\(name)")
    let rightVectors = hashedFloats(seed: right.seed, stream: right.stream, count: columns * count)
    let leftVectors = hashedFloats(seed: left.seed, stream: left.stream, count: count * rows)
    var found: (fromRight: [Float], fromLeft: [Float], norms: [Float]) = ([], [], [])
    for index in 0..<matrices {
      let matrix = Array(values[index * rows * columns..<(index + 1) * rows * columns])
      // Summed in double: the comparison is not to add errors of its own.
      for row in 0..<rows {
        for vector in 0..<count {
          found.fromRight.append(
            Float(
              (0..<columns).reduce(0.0) {
                $0 + Double(matrix[row * columns + $1]) * Double(rightVectors[$1 * count + vector])
              }))
        }
      }
      for vector in 0..<count {
        for column in 0..<columns {
          found.fromLeft.append(
            Float(
              (0..<rows).reduce(0.0) {
                $0 + Double(leftVectors[vector * rows + $1]) * Double(matrix[$1 * columns + column])
              }))
        }
      }
      found.norms.append(Float(matrix.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()))
    }
    return found
  }
}
