import Documents
import Foundation
import TestSupport
import Testing

@testable import Traces

/// Makes broken files out of whole ones, the same ones for the same seed.
struct Mutator {
  private var generator: SeededGenerator
  /// What a format's readers trip over: keywords, brackets, huge numbers.
  private let words: [[UInt8]]

  init(seed: UInt64, words: [String] = []) {
    generator = SeededGenerator(seed: seed)
    let common = [
      "-1", "0", "9223372036854775807", "18446744073709551616", "1e999", "-0.5", "NaN", "null", "[", "]", "{",
      "}", "\"",
      ",", ":", "\\u12", "\n", " ", "\u{0}",
    ]
    self.words =
      (common + words).map { Array($0.utf8) } + [
        [0xff], [0x80, 0x80, 0x80], [0xff, 0xff, 0xff, 0xff, 0x0f],
      ]
  }

  /// One to four changes: bytes turned, cut out, doubled, put in, or everything behind a place left out.
  mutating func mutant(of bytes: [UInt8]) -> [UInt8] {
    var mutant = bytes
    for _ in 0..<generator.pick(1...4) where !mutant.isEmpty {
      let place = generator.below(mutant.count)
      let length = min(generator.pick(1...(generator.chance(4) ? 200 : 8)), mutant.count - place)
      switch generator.below(8) {
      case 0: mutant[place] ^= 1 << UInt8(generator.below(8))
      case 1: mutant[place] = UInt8(truncatingIfNeeded: generator.next())
      case 2: mutant.removeSubrange(place..<place + length)
      case 3: mutant.insert(contentsOf: mutant[place..<place + length], at: generator.below(mutant.count))
      case 4: mutant.insert(contentsOf: words[generator.below(words.count)], at: place)
      case 5:
        let word = words[generator.below(words.count)]
        mutant.replaceSubrange(place..<min(place + word.count, mutant.count), with: word)
      case 6: if generator.chance(4) { mutant.removeSubrange(place...) }
      default: replaceNumber(in: &mutant, near: place)
      }
    }
    return mutant
  }

  /// Replaces the number at or behind a place by one of the words.
  private mutating func replaceNumber(in mutant: inout [UInt8], near place: Int) {
    let isDigit = { (byte: UInt8) in byte &- 48 < 10 }
    guard let start = mutant[place...].firstIndex(where: isDigit) else { return }
    let end = mutant[start...].firstIndex { !isDigit($0) } ?? mutant.endIndex
    mutant.replaceSubrange(start..<end, with: words[generator.below(words.count)])
  }
}

/// Processor time of this thread in seconds, which other load on the machine does not stretch.
func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// Reads mutants of whole files: each must be read, or refused with an error that names the file and a place in it.
///
/// A crash ends the test process. A mutant that takes longer than two seconds of processor time fails.
func expectSurvival(
  of files: [[UInt8]], words: [String] = [], count: Int = 10_000, seed: UInt64 = 5,
  sourceLocation: SourceLocation = #_sourceLocation, reading: (consuming ByteSource) throws -> Void
) {
  var mutator = Mutator(seed: seed, words: words)
  var refused = 0
  for index in 0..<count {
    let mutant = mutator.mutant(of: files[index % files.count])
    let start = threadSeconds()
    do {
      try reading(try ByteSource(bytes: mutant, named: "mutant"))
    } catch let error as Diagnostic {
      refused += 1
      if error.status != .data || error.file == nil || error.path == nil {
        Issue.record("mutant \(index): \(error)", sourceLocation: sourceLocation)
      }
    } catch {
      Issue.record("mutant \(index): \(error)", sourceLocation: sourceLocation)
    }
    let seconds = threadSeconds() - start
    if seconds > 2 { Issue.record("mutant \(index) took \(seconds) s", sourceLocation: sourceLocation) }
  }
  // Mutants that nobody refuses would test nothing.
  #expect(refused > count / 20, "only \(refused) of \(count) were refused", sourceLocation: sourceLocation)
}

/// Reads a file cut off after each of its bytes: none may be taken for whole, unless only white space is missing.
func expectTruncationNoticed(
  _ file: [UInt8], sourceLocation: SourceLocation = #_sourceLocation,
  reading: (consuming ByteSource) throws -> Void
) {
  let whole = file.count - file.reversed().prefix { $0 <= 0x20 }.count
  for count in 0..<whole {
    #expect(sourceLocation: sourceLocation) {
      try reading(try ByteSource(bytes: Array(file[..<count]), named: "cut"))
    } throws: { error in
      (error as? Diagnostic)?.status == .data && (error as? Diagnostic)?.path != nil
    }
  }
}

/// The folder of real recordings: `REHEARSAL_TRACES`, or what lies beside the project; nil where there is none.
let recordedTraces: String? = {
  let place =
    ProcessInfo.processInfo.environment["REHEARSAL_TRACES"]
    ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared/traces")
    .standardized.path
  return FileManager.default.fileExists(atPath: place) ? place : nil
}()
