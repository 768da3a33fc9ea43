import Fleets

extension FleetSimulation {
  public func pageText() throws -> String { "" }
}
