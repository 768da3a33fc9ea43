import Documents
import Foundation
import TestSupport
import Testing

@testable import Tensors

@Suite struct TensorFileTests {
  @Test func `what is written is read again, whatever formats, shapes and names it has`() throws {
    try withFolder { folder in
      for seed in 0..<60 {
        var generator = SeededGenerator(seed: UInt64(seed))
        let path = "\(folder)/\(seed).safetensors"
        let tensors = (0..<generator.pick(0...8)).map { number in
          let shape = (0..<generator.pick(0...3)).map { _ in generator.pick(0...5) }
          let format = TensorFormat.allCases[generator.below(TensorFormat.allCases.count)]
          let name = ["w", "a\"b\\", "layers.0\n", "größe", "𝕎"][generator.below(5)] + "\(number)"
          let description = TensorDescription(name, format, shape)
          let bytes = (0..<(description.byteCount ?? 0)).map { _ in UInt8(generator.below(256)) }
          return (description: description, bytes: bytes)
        }
        let metadata = generator.chance(2) ? ["step": "\(seed)", "config": "{\"a\":\"\u{1}é\"}"] : [:]
        try writeTensors(tensors, metadata: metadata, to: path)
        let file = try TensorFile(path)
        #expect(file.metadata == metadata)
        #expect(Set(file.tensors) == Set(tensors.map(\.description)))
        for tensor in tensors {
          let read = try file.tensor(tensor.description.name)
          #expect(read.withBytes(Array.init) == tensor.bytes)
          #expect(read.count == tensor.description.shape.reduce(1, *))
          let address = Int(bitPattern: read.bytes.baseAddress)
          #expect(read.count == 0 || address % read.format.width == 0, "aligned")
        }
        let again = "\(folder)/again.safetensors"
        try writeTensors(tensors, metadata: metadata, to: again)
        #expect(try bytes(of: again) == bytes(of: path))
        #expect(try bytes(of: path).count % 8 == tensors.reduce(0) { $0 + $1.bytes.count } % 8)
      }
    }
  }

  @Test func `tensors are written in pieces and in any order`() throws {
    try withFolder { folder in
      let path = "\(folder)/a.safetensors"
      let writer = try TensorWriter(
        path,
        tensors: [.init("small", .uint8, [3]), .init("large", .float32, [4]), .init("other", .int32, [1])])
      try writer.append([1.5, -2] as [Float], to: "large")
      try writer.append([7, 8, 9] as [UInt8], to: "small")
      try writer.append([-5] as [Int32], to: "other")
      try writer.append([.infinity, 0.25] as [Float], to: "large")
      #expect(try contents(of: folder) == ["a.safetensors.part-\(getpid())"])
      try writer.finish()
      #expect(try contents(of: folder) == ["a.safetensors"])
      let file = try TensorFile(path)
      #expect(file.names == ["large", "other", "small"])
      #expect(try file.floats("large", shape: [4]) == [1.5, -2, .infinity, 0.25])
      #expect(try file.tensor("large").withFloats { Array($0) } == [1.5, -2, .infinity, 0.25])
      #expect(try file.int32s("other") == [-5])
      #expect(try file.uint8s("small") == [7, 8, 9])
    }
  }

  @Test func `bfloat16 and float64 are read as float32`() throws {
    let half: [UInt8] = [0x80, 0x3f, 0x20, 0xc0]
    let double = withUnsafeBytes(of: 0.5) { Array($0) }
    try withFolder { folder in
      let path = "\(folder)/a.safetensors"
      try writeTensors(
        [(.init("b", .bfloat16, [2]), half), (.init("d", .float64, []), double)], to: path)
      let file = try TensorFile(path)
      #expect(try file.floats("b") == [1, -2.5])
      #expect(try file.floats("d") == [0.5])
      var buffer: [Float] = [0, 0]
      try buffer.withUnsafeMutableBufferPointer { try file.read("b", into: $0) }
      #expect(buffer == [1, -2.5])
      #expect(throws: Diagnostic.self) {
        try buffer.withUnsafeMutableBufferPointer { try file.read("d", into: $0) }
      }
    }
  }

  @Test func `every shortened file is refused`() throws {
    let whole = try bytes(of: goldenPath("moe/bias_update.safetensors"))
    #expect(refusal(of: whole) == nil)
    for length in 0..<whole.count {
      let error = refusal(of: Array(whole[..<length]))
      #expect(error?.status == .data && error?.file == "a.safetensors", "cut to \(length) bytes")
    }
    #expect(refusal(of: whole + [0])?.problem == "bytes follow the last tensor")
  }

  @Test func `a damaged file is read or refused, never more`() throws {
    let whole = try bytes(of: goldenPath("moe/bias_update.safetensors"))
    let header = 8 + Int(whole[0]) + Int(whole[1]) << 8
    for seed in 0..<2_000 {
      var generator = SeededGenerator(seed: UInt64(seed))
      var mutant = whole
      for _ in 0..<generator.pick(1...4) {
        let position = generator.below(generator.chance(10) ? mutant.count : header)
        switch generator.below(4) {
        case 0: mutant[position] = UInt8(generator.below(256))
        case 1: mutant.remove(at: position)
        case 2: mutant.insert(mutant[generator.below(header)], at: position)
        default: mutant[position] ^= 1 << UInt8(generator.below(8))
        }
      }
      guard let file = try? TensorFile(bytes: mutant, path: "a.safetensors") else {
        #expect(refusal(of: mutant)?.status == .data)
        continue
      }
      for tensor in file.tensors where tensor.format == .float32 {
        #expect(try file.floats(tensor.name).count == tensor.shape.reduce(1, *))
      }
    }
  }

  @Test(
    arguments: [
      (#"{}"#, 0, nil),
      (#"{}   "#, 0, nil),
      (#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4, nil),
      (#"{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}"#, 0, nil),
      (
        #"{"a":{"shape":[1],"data_offsets":[1,2],"dtype":"U8"},"#
          + #""\u0062":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 2, nil
      ),
      (
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
          + #""\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, 2, "a key stands twice"
      ),
      (#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1, "a key stands twice"),
      (#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, "a key stands twice"),
      (#"{"__metadata__":{},"__metadata__":{}}"#, 0, "a key stands twice"),
      (#"{"__metadata__":{"a":1}}"#, 0, "the header is not the JSON of a safetensors file"),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":[]}}"#, 4, "unknown key"),
      (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "a key is missing"),
      (#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, 4, "unknown tensor format"),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "the tensor's place is not a range"),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}"#, 4, "the tensor's place is not a range"),
      (
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4,
        "the tensor's bytes do not match its shape"
      ),
      (
        #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4,
        "the header is not the JSON of a safetensors file"
      ),
      (
        #"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, 4,
        "the header is not the JSON of a safetensors file"
      ),
      (
        #"{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#, 4,
        "the header is not the JSON of a safetensors file"
      ),
      (
        #"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#, 4,
        "the header is not the JSON of a safetensors file"
      ),
      (
        #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, 0,
        "the shape is too large"
      ),
      (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, 2, "the tensors leave a hole or overlap"),
      (
        #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
        2, "the tensors leave a hole or overlap"
      ),
      (
        #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, 1,
        "the tensor reaches beyond the end of the file"
      ),
      (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, 3, "bytes follow the last tensor"),
      (
        #"{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}"#, 3,
        "the tensor reaches beyond the end of the file"
      ),
      (
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},}"#, 1,
        "the header is not the JSON of a safetensors file"
      ),
      (
        #"{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1,
        "the header is not the JSON of a safetensors file"
      ),
      (#" {}"#, 0, "the header is not the JSON of a safetensors file"),
      (#"{} x"#, 0, "the header is not the JSON of a safetensors file"),
      (#"[]"#, 0, "the header is not the JSON of a safetensors file"),
    ] as [(String, Int, String?)])
  func `a header is taken only as the format has it`(header: String, data: Int, problem: String?) {
    #expect(refusal(of: assembled(header, data: data))?.problem == problem)
  }

  @Test func `errors name the tensor, what was found and what is allowed`() throws {
    let wrong = #"{"layers.0.w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#
    #expect(
      refusal(of: assembled(wrong, data: 4))
        == Diagnostic(
          .data, "the tensor's bytes do not match its shape", file: "a.safetensors", path: "layers.0.w",
          found: "4 bytes", allowed: "8 bytes for F32 [2]"))
    let right = #"{"layers.0.w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    let file = try TensorFile(bytes: assembled(right, data: 4), path: "a.safetensors")
    #expect(
      throws: Diagnostic(
        .data, "the file has no such tensor", file: "a.safetensors", path: "layers.0.v",
        found: "1 other tensors",
        hint: "did you mean layers.0.w?")
    ) { try file.tensor("layers.0.v") }
    #expect(
      throws: Diagnostic(
        .data, "the tensor has another shape", file: "a.safetensors", path: "layers.0.w", found: "[1]",
        allowed: "[2]")
    ) { try file.floats("layers.0.w", shape: [2]) }
    #expect(
      throws: Diagnostic(
        .data, "the tensor has another format", file: "a.safetensors", path: "layers.0.w", found: "F32",
        allowed: "I32")
    ) { try file.int32s("layers.0.w") }
  }

  @Test func `a header that claims more than the file holds is refused before it is read`() {
    for length in [UInt64.max, 1 << 63, 100_000_001, 3, 0] {
      let bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) } + [0x7b, 0x7d]
      #expect(refusal(of: bytes)?.problem == "the header's length cannot be right")
    }
  }

  @Test func `missing files, folders and devices are unavailable`() {
    for path in ["/nowhere/a.safetensors", "/tmp", "/dev/null"] {
      #expect { try TensorFile(path) } throws: { ($0 as? Diagnostic)?.status == .unavailableFile }
    }
  }

  @Test func `the golden files are read`() throws {
    let folder = goldenPath("moe")
    let files = try contents(of: folder).filter { $0.hasSuffix(".safetensors") }
    #expect(!files.isEmpty)
    for name in files {
      let file = try TensorFile("\(folder)/\(name)")
      #expect(!file.tensors.isEmpty)
      for tensor in file.tensors {
        let read = try file.tensor(tensor.name)
        #expect(read.count == tensor.shape.reduce(1, *))
        if tensor.format == .float32 { #expect(try read.floats().count == read.count) }
      }
    }
    let update = try TensorFile(folder + "/bias_update.safetensors")
    #expect(update.metadata["config"]?.contains("n_experts") == true)
    let (bias, counts) = (try update.tensor("bias"), try update.tensor("counts"))
    #expect(bias.shape.count == 2 && bias.shape[0] == counts.shape[0] + 1)
    #expect(try update.int32s("counts").allSatisfy { $0 >= 0 })
  }
}
