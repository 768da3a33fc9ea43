/// The dense feed-forward half of a layer: `y = x + down(silu(gate(n)) * up(n))` with `n = norm(x)`.
public struct FeedForwardBlock: LayerBlock {
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  public init(hidden: Int, intermediate: Int, tokens: Int, epsilon: Float) {
    fatalError()
  }

  public func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, inputGradient: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  public func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    gradients: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }
}
