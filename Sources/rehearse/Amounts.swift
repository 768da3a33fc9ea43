import ArgumentParser
import Economics
import Units

/// Tokens as `14.8T`, `300B`, `5M` or a plain number.
struct TokenAmount: ExpressibleByArgument {
  let tokens: Tokens

  init?(argument: String) {
    let worths: [Character: Double] = ["K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12]
    let worth = argument.last.flatMap { worths[$0] }
    guard let number = Double(worth == nil ? argument : String(argument.dropLast())) else { return nil }
    let amount = number * (worth ?? 1)
    // Above, whole runs would not be counted exactly.
    guard (1...1e16).contains(amount) else { return nil }
    tokens = Tokens(amount.rounded())
  }
}

/// Dollars for one GPU and one hour.
struct PriceAmount: ExpressibleByArgument {
  let price: DollarsPerGPUHour

  init?(argument: String) {
    guard let amount = Double(argument), (1e-6...1e6).contains(amount) else { return nil }
    price = DollarsPerGPUHour(amount)
  }
}
