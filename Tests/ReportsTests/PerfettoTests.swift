import Foundation
import SwiftProtobuf
import Testing
import Units

@testable import Reports

/// A decoded slice, with interned numbers resolved.
private struct Decoded: Hashable {
  var track: UInt64
  var name: String
  var category: String
  var start: UInt64
  var end: UInt64
}

/// Reads a trace as a viewer does: interned data first, a stack of open slices for each track.
private func decode(_ data: Data) throws -> (slices: [Decoded], descriptors: [PerfettoTrackDescriptor]) {
  let trace = try PerfettoTrace(serializedBytes: data)
  var names: [UInt64: String] = [:]
  var categories: [UInt64: String] = [:]
  var open: [UInt64: [Decoded]] = [:]
  var latest: [UInt64: UInt64] = [:]
  var slices: [Decoded] = []
  var descriptors: [PerfettoTrackDescriptor] = []
  for (index, packet) in trace.packet.enumerated() {
    #expect(packet.trustedPacketSequenceID == 1)
    #expect(packet.sequenceFlags == (index == 0 ? 1 : 2))
    for entry in packet.internedData.eventNames {
      #expect(names.updateValue(entry.name, forKey: entry.iid) == nil)
    }
    for entry in packet.internedData.eventCategories { categories[entry.iid] = entry.name }
    if packet.hasTrackDescriptor { descriptors.append(packet.trackDescriptor) }
    guard packet.hasTrackEvent else { continue }
    let event = packet.trackEvent
    #expect(descriptors.contains { $0.uuid == event.trackUuid })
    #expect(latest[event.trackUuid, default: 0] <= packet.timestamp)
    latest[event.trackUuid] = packet.timestamp
    if event.type == .sliceBegin {
      let name = try #require(names[event.nameIid])
      let number = try #require(event.categoryIids.first)
      let category = try #require(categories[number])
      open[event.trackUuid, default: []].append(
        Decoded(track: event.trackUuid, name: name, category: category, start: packet.timestamp, end: 0))
    } else {
      let innermost = open[event.trackUuid]?.popLast()
      var slice = try #require(innermost)
      slice.end = packet.timestamp
      slices.append(slice)
    }
  }
  let isBalanced = open.values.allSatisfy { $0.isEmpty }
  #expect(isBalanced)
  return (slices, descriptors)
}

@Suite struct PerfettoTests {
  @Test func `every slice of a picture comes back with its name and times`() throws {
    let tracks = samplePicture(ranks: 3, microBatches: 9).tracks
    let (slices, descriptors) = try decode(perfettoTrace(tracks))
    let written = tracks.enumerated().flatMap { index, track in
      track.slices.map {
        Decoded(
          track: 2 << 32 | UInt64(index + 1), name: $0.name, category: $0.category, start: UInt64($0.start),
          end: UInt64($0.start + $0.duration))
      }
    }
    #expect(Set(slices) == Set(written))
    #expect(slices.count == written.count)
    #expect(descriptors.filter(\.hasProcess).map(\.process.processName) == ["rank 0", "rank 1", "rank 2"])
    #expect(descriptors.filter(\.hasProcess).allSatisfy { $0.process.pid > 0 })
    #expect(Set(descriptors.map(\.uuid)).count == descriptors.count)
  }

  @Test
  func `a slice ends before the next begins at the same instant, and inner slices lie within outer ones`()
    throws
  {
    let track = Track(
      processName: "rank 0", processID: 0, threadName: "compute",
      slices: [
        .init(start: 10, duration: 5, name: "second", category: "c"),
        .init(start: 0, duration: 10, name: "first", category: "c"),
        .init(start: 2, duration: 3, name: "within", category: "c"),
        .init(start: 10, duration: 0, name: "instant", category: "c"),
      ])
    let (slices, _) = try decode(perfettoTrace([track]))
    #expect(slices.map(\.name) == ["within", "first", "instant", "second"])
    #expect(slices.map(\.start) == [2, 0, 10, 10])
    #expect(slices.map(\.end) == [5, 10, 10, 15])
  }

  @Test func `a name is written once`() throws {
    let slices = (0..<100).map {
      Track.Slice(start: $0 * 10, duration: 9, name: "a long kernel name", category: "c")
    }
    let data = perfettoTrace([Track(processName: "p", processID: 0, threadName: "t", slices: slices)])
    #expect(data.count { $0 == UInt8(ascii: "k") } == 1)
  }

  @Test func `arguments keep their types`() throws {
    let track = Track(
      processName: "p", processID: 3, threadName: "t",
      slices: [
        .init(
          start: 0, duration: 1, name: "n", category: "c",
          arguments: [
            .init("bytes", .integer(-1)), .init("share", .number(0.5)), .init("peer", .text("rank 7")),
          ])
      ])
    let trace = try PerfettoTrace(serializedBytes: perfettoTrace([track]))
    let event = try #require(trace.packet.first { $0.hasTrackEvent })
    #expect(
      event.trackEvent.debugAnnotations.map(\.value) == [
        .intValue(-1), .doubleValue(0.5), .stringValue("rank 7"),
      ])
    #expect(event.internedData.debugAnnotationNames.map(\.name) == ["bytes", "share", "peer"])
  }

  @Test func `the trace is whole after every track`() throws {
    var writer = PerfettoTraceWriter()
    var packets = 0
    for track in samplePicture(ranks: 4, microBatches: 5).tracks {
      writer.append(track)
      let count = try PerfettoTrace(serializedBytes: writer.data).packet.count
      #expect(count > packets)
      packets = count
    }
  }

  @Test func `slices that cross are refused`() async {
    await #expect(processExitsWith: .failure) {
      let slices = [
        Track.Slice(start: 0, duration: 10, name: "a", category: "c"),
        Track.Slice(start: 5, duration: 10, name: "b", category: "c"),
      ]
      _ = perfettoTrace([Track(processName: "p", processID: 0, threadName: "t", slices: slices)])
    }
  }
}
