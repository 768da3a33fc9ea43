import Models
import Testing

@testable import Routing

/// How often each expert is chosen by a token.
private func frequencies(of choices: [Int32], experts: Int, topK: Int) -> [Double] {
  var counts = Array(repeating: 0.0, count: experts)
  for choice in choices { counts[Int(choice)] += 1 }
  return counts.map { $0 * Double(topK) / Double(choices.count) }
}

@Suite struct RoutingDrawTests {
  private static let mixtures = [
    Mixture(routedExperts: 32, topK: 4, expertIntermediate: 1),
    Mixture(routedExperts: 32, topK: 4, expertIntermediate: 1, groups: 8, limitedGroups: 4),
    Mixture(routedExperts: 12, topK: 2, expertIntermediate: 1, groups: 12, limitedGroups: 5),
    Mixture(routedExperts: 8, topK: 8, expertIntermediate: 1),
    Mixture(routedExperts: 16, topK: 3, expertIntermediate: 1, groups: 8, limitedGroups: 2),
  ]

  @Test(arguments: mixtures)
  func `every token chooses as many experts as it should, within its groups`(mixture: Mixture) {
    for popularity in [ExpertPopularity.balanced, .zipf(exponents: [0.8, 2])] {
      let draw = RoutingDraw(mixture: mixture, layers: [3, 4], popularity: popularity, seed: 5)
      for layer in [3, 4] {
        let choices = draw.choices(layer: layer, batch: 0, source: 0, tokens: 300)
        #expect(choices.count == 300 * mixture.topK)
        for token in 0..<300 {
          let mine = choices[token * mixture.topK..<(token + 1) * mixture.topK].map(Int.init)
          #expect(mine == Set(mine).sorted() && mine.allSatisfy { (0..<mixture.routedExperts).contains($0) })
          let groups = Set(mine.map { $0 * mixture.groups / mixture.routedExperts })
          #expect(groups.count <= mixture.limitedGroups || mixture.groups == 1)
        }
      }
    }
  }

  @Test(arguments: mixtures) func `the fast choice is the router's`(mixture: Mixture) {
    var generator = SeededGenerator(seed: 9, stream: "choice")
    var choice = GroupLimitedChoice(mixture)
    for _ in 0..<500 {
      // Few values, so that there are ties.
      let scores = (0..<mixture.routedExperts).map { _ in Double(Int.random(in: -6...6, using: &generator)) }
      choice.choose(scores)
      #expect(choice.chosen.map(Int.init) == mixture.choice(of: scores))
    }
  }

  @Test(arguments: mixtures.filter { $0.topK < $0.routedExperts })
  func `experts are chosen as often as recorded`(mixture: Mixture) {
    var generator = SeededGenerator(seed: 21, stream: "shares")
    let shares = (0..<mixture.routedExperts).map { _ in Double.random(in: 0.2...3, using: &generator) }
    let wanted = Routing.frequencies(shares, chosen: mixture.topK)
    #expect(abs(wanted.reduce(0, +) - Double(mixture.topK)) < 1e-9)
    let draw = RoutingDraw(mixture: mixture, layers: [0], popularity: .recorded([shares]), seed: 1)
    let tokens = 8000
    let found = frequencies(
      of: draw.choices(layer: 0, batch: 0, source: 0, tokens: tokens), experts: mixture.routedExperts,
      topK: mixture.topK)
    for (found, wanted) in zip(found, wanted) {
      let deviation = (wanted * (1 - wanted) / Double(tokens)).squareRoot()
      #expect(abs(found - wanted) < 5 * deviation + 0.03 * wanted, "\(found) for \(wanted)")
    }
  }

  @Test func `popularity falls with rank as its exponent says, and differs from layer to layer`() {
    let mixture = Mixture(routedExperts: 64, topK: 4, expertIntermediate: 1)
    let draw = RoutingDraw(
      mixture: mixture, layers: [1, 2, 3], popularity: .zipf(exponents: [0.5, 0.5, 0]), seed: 2)
    let found = (1...3).map {
      frequencies(of: draw.choices(layer: $0, batch: 7, source: 1, tokens: 6000), experts: 64, topK: 4)
    }
    for layer in 0..<2 {
      let sorted = found[layer].sorted(by: >)
      // The first to the sixteenth: 16^0.5.
      #expect(abs(sorted[0] / sorted[15] - 4) < 0.6)
    }
    #expect(found[0].firstIndex(of: found[0].max() ?? 0) != found[1].firstIndex(of: found[1].max() ?? 0))
    #expect((found[2].max() ?? 0) < 1.3 * 4 / 64)
  }

  @Test func `a draw depends on its seed and place alone`() {
    let mixture = Mixture(routedExperts: 16, topK: 2, expertIntermediate: 1)
    let draw = RoutingDraw(mixture: mixture, layers: [0, 1], popularity: .balanced, seed: 4)
    let again = RoutingDraw(mixture: mixture, layers: [1, 0], popularity: .balanced, seed: 4)
    let other = RoutingDraw(mixture: mixture, layers: [0, 1], popularity: .balanced, seed: 5)
    let both = draw.choices(layer: 1, batch: 2, sources: [3, 0], tokens: 20)
    #expect(both.prefix(40) == again.choices(layer: 1, batch: 2, source: 3, tokens: 20)[...])
    #expect(both.suffix(40) == again.choices(layer: 1, batch: 2, source: 0, tokens: 20)[...])
    #expect(both.prefix(40) != other.choices(layer: 1, batch: 2, source: 3, tokens: 20)[...])
    #expect(Set((0..<4).map { draw.choices(layer: 0, batch: $0, source: 0, tokens: 20) }).count == 4)
    // Fewer tokens are the first of more.
    #expect(
      draw.choices(layer: 0, batch: 0, source: 0, tokens: 5)
        == Array(draw.choices(layer: 0, batch: 0, source: 0, tokens: 9).prefix(10)))
  }

  @Test func `frequencies keep to one choice a token`() {
    #expect(Routing.frequencies([1, 1, 1, 1], chosen: 2) == [0.5, 0.5, 0.5, 0.5])
    #expect(Routing.frequencies([8, 1, 1], chosen: 2) == [1, 0.5, 0.5])
    #expect(Routing.frequencies([0, 0], chosen: 1) == [0.5, 0.5])
    #expect(Routing.frequencies([5, 3, 0], chosen: 3) == [1, 1, 1])
  }
}
