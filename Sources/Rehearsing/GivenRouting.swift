import Documents
import Execution
import Models
import Routing

extension RoutingDraw: ExpertChoices {}

/// What chooses experts in the routers' stead; nil where they choose themselves.
///
/// - Throws: A `Diagnostic` where a recording cannot be read.
func choices(_ request: ExecutionRequest, _ model: Model) throws -> (any ExpertChoices)? {
  let popularity: ExpertPopularity
  switch request.routing {
  case .router: return nil
  case .seeded: popularity = .balanced
  case .recorded(let path):
    popularity = try RecordedRouting(
      at: path, experts: model.mixture?.routedExperts, topK: model.mixture?.topK
    ).popularity(for: model)
  }
  guard let draw = RoutingDraw(model: model, popularity: popularity, seed: request.seed) else {
    throw Diagnostic(
      .usage, "the model has no experts to choose", path: "--choices", found: model.name, allowed: "router")
  }
  return draw
}
