extension Value {
  /// This value laid over another: mappings key by key, everything else replaced.
  ///
  /// - Complexity: O(entries²) of each mapping, which descriptions keep small.
  public func laid(over base: Value) -> Value {
    guard case .mapping(let upper) = self, case .mapping(var merged) = base else { return self }
    for entry in upper {
      if let index = merged.firstIndex(where: { $0.key == entry.key }) {
        merged[index].value = entry.value.laid(over: merged[index].value)
      } else {
        merged.append(entry)
      }
    }
    return .mapping(merged)
  }
}

extension Node {
  /// This node laid over another document, which it `extends`; errors name this node's file.
  public func laid(over base: Node) -> Node { Node(value.laid(over: base.value), file: file, path: path) }

  /// This mapping without one of its keys.
  public func removing(_ key: String) -> Node {
    guard case .mapping(let entries) = value else { return self }
    return Node(.mapping(entries.filter { $0.key != key }), file: file, path: path)
  }
}
