import Documents
import Foundation
import Mustache

/// Reads a text that ships with this module.
func resource(_ name: String, _ fileExtension: String) throws -> String {
  guard
    let url = Bundle.module.url(forResource: name, withExtension: fileExtension, subdirectory: "Templates")
  else {
    throw Diagnostic(
      .internal, "a template of the report is missing", file: "Templates/\(name).\(fileExtension)",
      hint: "keep the resource folders beside the command when it is moved")
  }
  do {
    return try String(contentsOf: url, encoding: .utf8)
  } catch {
    throw Diagnostic(.internal, "a template of the report cannot be read", file: url.path, found: "\(error)")
  }
}

func template(named name: String) throws -> MustacheTemplate {
  let text = try resource(name, "mustache")
  do {
    return try MustacheTemplate(string: text)
  } catch {
    throw Diagnostic(
      .internal, "a template of the report is broken", file: "Templates/\(name).mustache", found: "\(error)")
  }
}
