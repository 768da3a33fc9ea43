import Documents

extension RankZero {
  /// Does something on every rank that may fail on some; where it does, all ranks throw the error of the lowest of
  /// them, so that nobody waits for a rank that has given up.
  func agree<Value>(_ body: () throws -> Value) throws -> Value {
    var value: Value?
    var failure: Diagnostic?
    do {
      value = try body()
    } catch let error as TransportError {
      // Without a transport nothing can be agreed on.
      throw error
    } catch {
      failure =
        error as? Diagnostic
        ?? Diagnostic(.internal, "an unexpected error", found: "\(error)", hint: "please report it")
    }
    var first: [UInt8] = []
    try gather(failure.map(encode) ?? []) { _, bytes in
      if first.isEmpty { first = Array(bytes) }
    }
    let outcome = try broadcast(first)
    guard outcome.isEmpty, let value else { throw decode(outcome) }
    return value
  }

  private func encode(_ diagnostic: Diagnostic) -> [UInt8] {
    var writer = ByteWriter()
    writer.append(diagnostic.status.rawValue)
    let texts = [
      diagnostic.problem, diagnostic.file, diagnostic.path, diagnostic.found, diagnostic.allowed,
      diagnostic.hint,
    ]
    for text in texts {
      writer.append(text == nil ? UInt8(0) : 1)
      writer.append(text: text ?? "")
    }
    return writer.bytes
  }

  private func decode(_ bytes: [UInt8]) -> Diagnostic {
    bytes.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let status = ExitStatus(rawValue: reader.read(Int32.self)) ?? .internal
      let texts = (0..<6).map { _ -> String? in
        let isThere = reader.read(UInt8.self) == 1
        let text = reader.readText()
        return isThere ? text : nil
      }
      return Diagnostic(
        status, texts[0] ?? "", file: texts[1], path: texts[2], found: texts[3], allowed: texts[4],
        hint: texts[5])
    }
  }
}
