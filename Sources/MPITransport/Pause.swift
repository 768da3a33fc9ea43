import CMPI

/// What a rank does between looks for messages where ranks outnumber cores: at first it lets others go before it, then
/// it sleeps, longer the longer it has waited.
///
/// To the system a rank that polls is a busy one: it spreads busy ranks over the cores, and one core may have none but
/// those that wait. A sleep costs some microseconds for the timer and the switch, so what comes soon is not slept for.
struct Pause {
  private var looks = 0
  private var nanoseconds = Self.first

  /// Looks before the first sleep; each takes about a microsecond.
  private static let looksAwake = 10
  private static let first = 50_000
  private static let longest = 500_000

  /// Gives the core away once.
  mutating func take() {
    looks += 1
    if looks <= Self.looksAwake {
      cmpi_yield()
    } else {
      cmpi_pause(nanoseconds)
      nanoseconds = min(Self.longest, nanoseconds * 3 / 2)
    }
  }
}
