import Documents

/// A field of `q = p^m` elements; elements are polynomials over the integers modulo `p`, written as numbers in base
/// `p`.
struct FiniteField {
  let q: Int
  /// `products[a · q + b]`.
  private let products: [Int32]
  private let differences: [Int32]
  /// Powers of a primitive element, from the zeroth.
  let powers: [Int]

  /// Nil unless `q` is a prime power of at most 128.
  init?(_ q: Int) {
    guard (2...128).contains(q), let p = (2...q).first(where: { q % $0 == 0 }) else { return nil }
    var m = 0
    var rest = q
    while rest % p == 0 {
      rest /= p
      m += 1
    }
    guard rest == 1 else { return nil }
    func digits(_ number: Int) -> [Int] {
      var number = number
      return (0..<m).map { _ in
        defer { number /= p }
        return number % p
      }
    }
    func number(_ digits: [Int]) -> Int { digits.reversed().reduce(0) { $0 * p + $1 } }
    // A product, modulo x^m + the polynomial with the digits of `modulus`.
    func product(_ a: Int, _ b: Int, _ modulus: [Int]) -> Int {
      var long = Array(repeating: 0, count: 2 * m)
      for (i, x) in digits(a).enumerated() { for (j, y) in digits(b).enumerated() { long[i + j] += x * y } }
      for place in stride(from: 2 * m - 1, through: m, by: -1) {
        let factor = long[place] % p
        for (j, y) in modulus.enumerated() { long[place - m + j] += (p - factor) * y }
        long[place] = 0
      }
      return number(long.prefix(m).map { $0 % p })
    }
    // The first modulus and element whose powers are all q − 1 others make a field: then every element but zero has an
    // inverse.
    for candidate in 0..<q {
      let modulus = digits(candidate)
      for element in 1..<q {
        var powers = [1]
        var seen = Array(repeating: false, count: q)
        seen[1] = true
        while true {
          let next = product(powers[powers.count - 1], element, modulus)
          if next == 0 || seen[next] { break }
          seen[next] = true
          powers.append(next)
        }
        guard powers.count == q - 1 else { continue }
        self.q = q
        self.powers = powers
        var products = Array(repeating: Int32(0), count: q * q)
        var differences = products
        for a in 0..<q {
          for b in 0..<q {
            products[a * q + b] = Int32(product(a, b, modulus))
            differences[a * q + b] = Int32(number(zip(digits(a), digits(b)).map { ($0 - $1 + p) % p }))
          }
        }
        self.products = products
        self.differences = differences
        return
      }
    }
    return nil
  }

  func times(_ a: Int, _ b: Int) -> Int { Int(products[a * q + b]) }
  func minus(_ a: Int, _ b: Int) -> Int { Int(differences[a * q + b]) }
}

/// The numbers of a slim fly, whether or not its graph exists.
///
/// Source: Besta, Hoefler, "Slim Fly" (SC'14), section II-B: `q = 4w + δ`, `2q²` routers of network radix
/// `(3q − δ) ÷ 2`.
public struct SlimFlyCounts: Hashable, Sendable {
  public let switches: Int
  /// Cables of a router to others.
  public let radix: Int
  public let links: Int

  /// Nil where `q` is not `4w + δ` with δ of −1, 0 or 1.
  public init?(q: Int) {
    guard q >= 3, q % 4 != 2 else { return nil }
    let delta = q % 4 == 3 ? -1 : q % 4
    switches = 2 * q * q
    radix = (3 * q - delta) / 2
    links = switches * radix / 2
  }
}

extension SwitchLayout {
  /// The graph of McKay, Miller and Širáň: routers `(0, x, y)` and `(1, m, c)`.
  ///
  /// `(0, x, y)` meets `(0, x, y′)` where `y − y′` is in `X`, `(1, m, c)` meets `(1, m, c′)` where `c − c′` is in
  /// `X′`, and the two halves meet where `y = m·x + c`.
  mutating func addSlimFly(q: Int) throws {
    guard let field = FiniteField(q), q >= 3 else {
      throw Diagnostic(
        .data, "a slim fly needs a prime power", path: "fabric.slim_fly.q", found: "\(q)",
        allowed: "3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27, 29, 31, 32, …",
        hint: "the field that the graph is made of exists for prime powers only")
    }
    let (own, other) = Self.generators(field)
    for half in 0..<2 {
      for x in 0..<q { for y in 0..<q { _ = add("router\(half)-\(x)-\(y)", tier: 1) } }
    }
    for (half, generators) in [own, other].enumerated() {
      let isIn = (0..<q).map { generators.contains($0) }
      for x in 0..<q {
        for y in 0..<q {
          for z in y + 1..<max(q, y + 1) where isIn[field.minus(y, z)] {
            connect(Int32((half * q + x) * q + y), Int32((half * q + x) * q + z))
          }
        }
      }
    }
    for x in 0..<q {
      for m in 0..<q {
        for y in 0..<q {
          connect(Int32(x * q + y), Int32((q + m) * q + field.minus(y, field.times(m, x))))
        }
      }
    }
  }

  /// The two sets of differences, closed under negation.
  static func generators(_ field: FiniteField) -> (own: [Int], other: [Int]) {
    let q = field.q
    let power = { (exponent: Int) in field.powers[exponent % (q - 1)] }
    let even = stride(from: 0, through: q - 2, by: 2).map(power)
    let odd = stride(from: 1, through: q - 2, by: 2).map(power)
    guard q % 4 == 3 else {
      // Where q is even, q − 1 is odd and the last even power, q − 2, is among the first set.
      return q % 2 == 0 ? (even, odd + [power(q - 1)]) : (even, odd)
    }
    let w = (q + 1) / 4
    let own =
      stride(from: 0, through: 2 * w - 2, by: 2).map(power)
      + stride(from: 2 * w - 1, through: 4 * w - 3, by: 2).map(power)
    let other =
      stride(from: 1, through: 2 * w - 1, by: 2).map(power)
      + stride(from: 2 * w, through: 4 * w - 2, by: 2).map(power)
    return (own, other)
  }
}
