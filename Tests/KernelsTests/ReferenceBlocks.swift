import Foundation

@testable import Kernels

/// Plain loops in double precision for what the blocks compute forward. Gradients are checked against finite
/// differences of these.
struct Reference {
  var layout: ParameterLayout
  var parameters: [Double]

  func tensor(_ name: String) -> ArraySlice<Double> {
    guard let entry = layout.entries.first(where: { $0.name == name }) else { return [] }
    return parameters[entry.offset..<entry.offset + entry.count]
  }

  /// `[rows, in]` times the transpose of a weight `[out, in]`, plus a bias of the same name where there is one.
  func linear(_ x: [Double], _ name: String, width: Int) -> [Double] {
    let weight = Array(tensor(name + ".weight"))
    let bias = Array(tensor(name + ".bias"))
    let columns = weight.count / width
    var y: [Double] = []
    y.reserveCapacity(x.count / width * columns)
    for row in 0..<x.count / width {
      for column in 0..<columns {
        var sum = bias.isEmpty ? 0 : bias[column]
        for i in 0..<width { sum += x[row * width + i] * weight[column * width + i] }
        y.append(sum)
      }
    }
    return y
  }

  func norm(_ x: [Double], _ name: String, epsilon: Double) -> [Double] {
    let weight = Array(tensor(name + ".weight"))
    var y = x
    for row in stride(from: 0, to: x.count, by: weight.count) {
      let square = x[row..<row + weight.count].reduce(0) { $0 + $1 * $1 } / Double(weight.count)
      for i in weight.indices { y[row + i] *= weight[i] / (square + epsilon).squareRoot() }
    }
    return y
  }

  /// Rows of heads, `width` wide each, of which elements from `start` on are turned by their position's angle.
  func rotated(
    _ x: [Double], heads: Int, width: Int, start: Int, length: Int, theta: Double, interleaved: Bool
  ) -> [Double] {
    var y = x
    let dimension = width - start
    for head in 0..<x.count / width {
      let position = Double(head / heads % length)
      for pair in 0..<dimension / 2 {
        let angle = position * pow(theta, -2 * Double(pair) / Double(dimension))
        let a = head * width + start + (interleaved ? 2 * pair : pair)
        let b = interleaved ? a + 1 : a + dimension / 2
        y[a] = x[a] * cos(angle) - x[b] * sin(angle)
        y[b] = x[b] * cos(angle) + x[a] * sin(angle)
      }
    }
    return y
  }

  /// Queries `[tokens, heads, width]`, keys `[tokens, keyHeads, width]` and values `[tokens, keyHeads, valueWidth]`.
  func causalAttention(
    query: [Double], key: [Double], value: [Double], heads: Int, keyHeads: Int, width: Int, valueWidth: Int,
    length: Int
  ) -> [Double] {
    let tokens = query.count / (heads * width)
    var output = [Double](repeating: 0, count: tokens * heads * valueWidth)
    for token in 0..<tokens {
      for head in 0..<heads {
        let shared = head / (heads / keyHeads)
        let visible = Array(token - token % length...token)
        let scores = visible.map { other in
          (0..<width).reduce(0.0) {
            $0 + query[(token * heads + head) * width + $1] * key[(other * keyHeads + shared) * width + $1]
          } / Double(width).squareRoot()
        }
        let maximum = scores.max() ?? 0
        let weights = scores.map { exp($0 - maximum) }
        let sum = weights.reduce(0, +)
        for (other, weight) in zip(visible, weights) {
          for i in 0..<valueWidth {
            output[(token * heads + head) * valueWidth + i] +=
              weight / sum * value[(other * keyHeads + shared) * valueWidth + i]
          }
        }
      }
    }
    return output
  }

  func attention(
    _ x: [Double], _ configuration: AttentionConfiguration, hidden: Int, length: Int, epsilon: Double,
    theta: Double
  ) -> [Double] {
    let normed = norm(x, "input_layernorm", epsilon: epsilon)
    let attended: [Double]
    let width: Int
    switch configuration {
    case .latent(let heads, let queryRank, let rank, let content, let rotary, let valueWidth):
      attended = latent(
        normed, heads: heads, queryRank: queryRank, rank: rank, content: content, rotary: rotary,
        valueWidth: valueWidth, hidden: hidden, length: length, theta: theta)
      width = heads * valueWidth
    case .grouped(let heads, let keyHeads, let headWidth, _, _, let normalizes):
      func projected(_ name: String, heads: Int) -> [Double] {
        var y = linear(normed, "self_attn.\(name)_proj", width: hidden)
        if normalizes { y = norm(y, "self_attn.\(name)_norm", epsilon: epsilon) }
        return rotated(
          y, heads: heads, width: headWidth, start: 0, length: length, theta: theta, interleaved: false)
      }
      attended = causalAttention(
        query: projected("q", heads: heads), key: projected("k", heads: keyHeads),
        value: linear(normed, "self_attn.v_proj", width: hidden), heads: heads, keyHeads: keyHeads,
        width: headWidth, valueWidth: headWidth, length: length)
      width = heads * headWidth
    }
    return sum(x, linear(attended, "self_attn.o_proj", width: width))
  }

  private func latent(
    _ normed: [Double], heads: Int, queryRank: Int?, rank: Int, content: Int, rotary: Int, valueWidth: Int,
    hidden: Int, length: Int, theta: Double
  ) -> [Double] {
    let tokens = normed.count / hidden
    var query: [Double]
    if let queryRank {
      let compressed = linear(normed, "self_attn.q_a_proj", width: hidden)
      query = linear(
        norm(compressed, "self_attn.q_a_layernorm", epsilon: 1e-6), "self_attn.q_b_proj", width: queryRank)
    } else {
      query = linear(normed, "self_attn.q_proj", width: hidden)
    }
    query = rotated(
      query, heads: heads, width: content + rotary, start: content, length: length, theta: theta,
      interleaved: true)
    let compressed = linear(normed, "self_attn.kv_a_proj_with_mqa", width: hidden)
    func columns(_ range: Range<Int>) -> [Double] {
      (0..<tokens).flatMap {
        compressed[$0 * (rank + rotary)..<($0 + 1) * (rank + rotary)].dropFirst(range.lowerBound).prefix(
          range.count)
      }
    }
    let expanded = linear(
      norm(columns(0..<rank), "self_attn.kv_a_layernorm", epsilon: 1e-6), "self_attn.kv_b_proj", width: rank)
    let turned = rotated(
      columns(rank..<rank + rotary), heads: 1, width: rotary, start: 0, length: length, theta: theta,
      interleaved: true)
    var key: [Double] = []
    var value: [Double] = []
    for token in 0..<tokens {
      for head in 0..<heads {
        let start = (token * heads + head) * (content + valueWidth)
        key += expanded[start..<start + content] + turned[token * rotary..<(token + 1) * rotary]
        value += expanded[start + content..<start + content + valueWidth]
      }
    }
    return causalAttention(
      query: query, key: key, value: value, heads: heads, keyHeads: heads, width: content + rotary,
      valueWidth: valueWidth, length: length)
  }

  func feedForward(_ x: [Double], hidden: Int, intermediate: Int, epsilon: Double) -> [Double] {
    let normed = norm(x, "post_attention_layernorm", epsilon: epsilon)
    let gate = linear(normed, "mlp.gate_proj", width: hidden)
    let up = linear(normed, "mlp.up_proj", width: hidden)
    let inner = zip(gate, up).map { $0 / (1 + exp(-$0)) * $1 }
    return sum(x, linear(inner, "mlp.down_proj", width: intermediate))
  }

  /// The sum of the rows' cross-entropies, and the normed rows.
  func head(
    _ x: [Double], labels: [Int32], hidden: Int, vocabulary: Int, epsilon: Double
  ) -> (loss: Double, normed: [Double]) {
    let normed = norm(x, "norm", epsilon: epsilon)
    let logits = linear(normed, "lm_head", width: hidden)
    var loss = 0.0
    for (row, label) in labels.enumerated() {
      let values = logits[row * vocabulary..<(row + 1) * vocabulary]
      let maximum = values.max() ?? 0
      loss +=
        log(values.reduce(0) { $0 + exp($1 - maximum) }) + maximum - logits[row * vocabulary + Int(label)]
    }
    return (loss, normed)
  }

  func prediction(_ normed: [Double], embedded: [Double], hidden: Int, epsilon: Double) -> [Double] {
    let left = norm(embedded, "enorm", epsilon: epsilon)
    let right = norm(normed, "hnorm", epsilon: epsilon)
    let both = stride(from: 0, to: left.count, by: hidden).flatMap {
      left[$0..<$0 + hidden] + right[$0..<$0 + hidden]
    }
    return linear(both, "eh_proj", width: 2 * hidden)
  }
}

func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 + $1 } }
func dot(_ a: some Sequence<Double>, _ b: some Sequence<Double>) -> Double {
  zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
}
