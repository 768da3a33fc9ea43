import CKernels

/// Calls `body` with each number below `count`, on as many threads as `MatrixProduct.setThreads` allows; the calls must
/// not touch the same memory.
func share(_ count: Int, _ body: (Int) -> Void) {
  withoutActuallyEscaping(body) { body in
    var body = body
    withUnsafeMutablePointer(to: &body) { context in
      ck_share(
        count, { context, item in context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(item) },
        context)
    }
  }
}

/// Calls `body` with parts of `0 ..< count` that cover it, on several threads where the work is worth it.
func shareParts(_ count: Int, work: Int, _ body: (Range<Int>) -> Void) {
  guard ck_may_share() != 0, work >= 1 << 17 else { return body(0..<count) }
  let parts = min(count, 4 * Int(ck_threads()))
  share(parts) { body($0 * count / parts..<($0 + 1) * count / parts) }
}
