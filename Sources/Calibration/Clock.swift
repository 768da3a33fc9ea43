import Foundation

/// Seconds of processor time that this thread has used: what a kernel costs, however many others want the processor.
func processorSeconds() -> Double { seconds(CLOCK_THREAD_CPUTIME_ID) }

/// Seconds on a clock that only goes forward.
func wallSeconds() -> Double { seconds(CLOCK_MONOTONIC) }

private func seconds(_ clock: clockid_t) -> Double {
  var now = timespec()
  clock_gettime(clock, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}

/// The middle one of some values, of two the lower.
///
/// - Precondition: There is one.
func median(_ values: [Double]) -> Double { values.sorted()[(values.count - 1) / 2] }

/// Processor seconds of one call: the median of some batches, each long enough for the clock.
///
/// - Parameter body: Is told which call it is, so that it may work on other memory each time.
func secondsPerCall(_ body: (Int) -> Void) -> Double {
  var calls = 0
  func batch(of count: Int) -> Double {
    let start = processorSeconds()
    for _ in 0..<count {
      body(calls)
      calls += 1
    }
    return (processorSeconds() - start) / Double(count)
  }
  // The first call finds cold code and pages that nobody has touched.
  _ = batch(of: 1)
  let once = batch(of: 1)
  let count = max(1, Int((3e-4 / max(once, 1e-8)).rounded(.up)))
  let batches = once > 0.1 ? 1 : once > 0.02 ? 3 : 5
  return median((0..<batches).map { _ in batch(of: count) })
}
