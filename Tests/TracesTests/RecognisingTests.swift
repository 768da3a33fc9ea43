import Documents
import Foundation
import Testing

@testable import Traces

private func format(_ bytes: [UInt8]) throws -> TraceFormat {
  var source = try ByteSource(bytes: bytes, named: "file")
  return try recognise(&source)
}

@Suite struct RecognisingTests {
  @Test(arguments: [
    ("{\"schemaVersion\": 1, \"traceEvents\": []}", TraceFormat.kineto),
    ("[{\"ph\": \"X\", \"cat\": \"kernel\"}]", .kineto),
    (" [] ", .kineto), ("{\"traceEvents\": [{\"ph\"", .kineto),
    ("[{\"name\":\"backward-compute\",\"ph\":\"X\",\"args\":{\"step\":23,\"mb_id\":null}}]", .straggler),
    ("{\"schema\": \"1.0.2-chakra.0.0.4\", \"pid\": 3974, \"nodes\": []}", .pytorchExecution),
    ("{\"workload_graph\":[{\"Id\":0}]}", .chakraJSON),
    ("{\"version\": \"0.0.4\"}\n{\"id\": \"1\"}", .chakraJSON),
    ("{\"version\": \"2.9\", \"pg_config\": {}, \"entries\": []}", .flightRecorder),
    ("// a comment\nnum_ranks 2\n\nrank 0 {", .goal), ("0 init\n0 send 1 0 1e6", .timeIndependent),
    ("ti_traces/ti_trace0.txt\nti_traces/ti_trace1.txt", .timeIndependent),
    ("HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 8 ep: 1\n2\n", .simAI),
    ("program 1 \"tiny\"\nranks 4 codes 0x2 1x2", .program),
  ]) func `text is recognised, packed or not`(text: String, expected: TraceFormat) throws {
    #expect(try format(Array(text.utf8)) == expected)
    #expect(try format(gzipped(Array(text.utf8))) == expected)
  }

  @Test func `bytes are recognised`() throws {
    #expect(try format([0x80, 2, 0x7d]) == .flightRecorder)
    #expect(try format([0x7f, 0x10, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]) == .goalBinary)
    #expect(try format([7, 0x0a, 5] + Array("0.0.4".utf8) + [4, 8, 1, 24, 7]) == .chakra)
    #expect(try format([0, 4, 8, 1, 24, 7]) == .chakra)
  }

  @Test(arguments: [
    "", "hello", "{}", "[1]", "PAR1\u{15}\u{4}", "<system/>", "{\"a\": [",
    "{\n  \"1\": [0, 2],\n  \"2\": [1, 3]\n}\n" + String(repeating: " ", count: 200),
  ])
  func `anything else is refused with its file`(text: String) {
    #expect {
      _ = try format(Array(text.utf8))
    } throws: {
      ($0 as? Diagnostic)?.status == .data && ($0 as? Diagnostic)?.file == "file"
    }
  }

  @Test(.enabled(if: recordedTraces != nil, "the recordings of others lie beside the project"))
  func `the real recordings are recognised`() throws {
    let folder = try #require(recordedTraces)
    let folders: [(String, TraceFormat, [String])] = [
      ("kineto/deepseek-h800-ep64", .kineto, []), ("kineto/dlrm-8gpu", .kineto, []),
      ("kineto/nccl-args-2gpu", .kineto, []), ("kineto/ddp-2gpu-rank1", .kineto, []),
      ("kineto/resnet-ddp-2gpu", .pytorchExecution, []), ("pytorch-et", .pytorchExecution, []),
      ("chakra/micro/workload", .chakra, [".et"]), ("chakra/pytorch-2023", .chakra, [".et.gz"]),
      ("flight-recorder", .flightRecorder, ["_0", "_1", "_15"]), ("goal", .goal, [".goal"]),
      ("simai", .simAI, [".txt"]),
      ("smpi-ti", .timeIndependent, ["description_file", ".txt"]),
      ("bytedance-straggler-ST", .straggler, [".json.gz"]),
    ]
    for (name, expected, endings) in folders {
      let place = folder + "/" + name
      let files = (FileManager.default.enumerator(atPath: place)?.allObjects as? [String] ?? []).sorted()
        .filter { file in
          var isFolder: ObjCBool = false
          _ = FileManager.default.fileExists(atPath: place + "/" + file, isDirectory: &isFolder)
          return !isFolder.boolValue && (endings.isEmpty || endings.contains { file.hasSuffix($0) })
        }
      #expect(!files.isEmpty, "\(name)")
      for file in files { #expect(try recordingFormat(of: place + "/" + file) == expected, "\(file)") }
    }
  }
}
