import Foundation
import Tensors
import Testing

/// A golden file with the configuration in its metadata.
struct GoldenTensors<Configuration: Decodable> {
  let file: TensorFile
  let configuration: Configuration

  /// - Parameter name: As `moe/mla.safetensors`, in the folder that `REHEARSAL_GOLDEN` names or in that of the tests.
  init(_ name: String) throws {
    let folder =
      try ProcessInfo.processInfo.environment["REHEARSAL_GOLDEN"]
      ?? #require(Bundle.module.resourceURL).appending(path: "Golden").path
    file = try TensorFile(folder + "/" + name)
    configuration = try Self.decode(Configuration.self, of: file, "config")
  }

  /// A value of the metadata that is JSON.
  func metadata<Value: Decodable>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
    try Self.decode(type, of: file, key)
  }

  private static func decode<Value: Decodable>(
    _ type: Value.Type, of file: TensorFile, _ key: String
  ) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: Data(#require(file.metadata[key]).utf8))
  }
}

/// `max |a - b| / max |b|`; not a number where an element is none.
func relativeError(_ values: some Collection<Float>, _ expected: some Collection<Float>) -> Double {
  relativeError(values, expected.map(Double.init))
}

func relativeError(_ values: some Collection<Float>, _ expected: [Double]) -> Double {
  guard values.count == expected.count else { return .infinity }
  var difference = 0.0
  for (value, truth) in zip(values, expected) {
    let distance = abs(Double(value) - truth)
    // Comparisons with NaN are false: it must not pass as small.
    guard distance.isFinite else { return .nan }
    difference = max(difference, distance)
  }
  let magnitude = expected.map(abs).max() ?? 0
  return difference == 0 ? 0 : difference / magnitude
}

/// The values of `hashrng.py`: uniform in -1 ..< 1, exact in float32.
func hashedUniform(seed: UInt64, stream: UInt64, count: Int) -> [Float] {
  (0..<count).map { index in
    var state = seed &* 0xD134_2543_DE82_EF95 &+ stream &* 0xDABA_0B6E_B093_22E3
    state &+= UInt64(index + 1) &* 0x9E37_79B9_7F4A_7C15
    state = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    state = (state ^ (state >> 27)) &* 0x94D0_49BB_1331_11EB
    state ^= state >> 31
    return Float(state >> 40) * 0x1p-23 - 1
  }
}
