import Documents
import Foundation

/// Plans that come with the package, by name.
public let shippedPlanNames = ["deepseek-v3"]

/// Reads a plan that comes with the package.
///
/// - Throws: A ``Documents/Diagnostic`` when no plan has that name.
public func shippedPlan(named name: String) throws -> ResolvedPlan {
  guard shippedPlanNames.contains(name) else {
    throw Diagnostic(
      .data, "unknown plan", found: "\"\(name.prefix(80))\"",
      allowed: shippedPlanNames.joined(separator: ", "),
      hint: nearest(to: String(name.prefix(80)), in: shippedPlanNames).map { "did you mean \($0)?" })
  }
  var resolved = try readPlan(at: shippedPath(of: "\(name).yaml"))
  resolved.origin = "shipped: \(name)"
  return resolved
}

/// A shipped plan by name, or a file by path.
///
/// - Throws: A ``Documents/Diagnostic``: `unavailableFile` when it is neither.
public func resolvePlan(_ nameOrPath: String) throws -> ResolvedPlan {
  if shippedPlanNames.contains(nameOrPath) { return try shippedPlan(named: nameOrPath) }
  if nameOrPath.contains("/") || FileManager.default.fileExists(atPath: nameOrPath) {
    return try readPlan(at: nameOrPath)
  }
  throw Diagnostic(
    .unavailableFile, "there is no such plan", found: "\"\(nameOrPath.prefix(80))\"",
    allowed: "\(shippedPlanNames.joined(separator: ", ")), or the path of a file",
    hint: nearest(to: String(nameOrPath.prefix(80)), in: shippedPlanNames).map { "did you mean \($0)?" })
}

func shippedPath(of file: String) -> String {
  Bundle.module.bundleURL.appendingPathComponent("Shipped").appendingPathComponent(file).path
}
