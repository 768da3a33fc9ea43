import Foundation

extension Double {
  /// With so many places after the point.
  func shown(_ places: Int) -> String { String(format: "%.\(places)f", self) }
}
