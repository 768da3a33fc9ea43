import Documents
import Execution
import Models

/// What chooses experts in the routers' stead; nil where they choose themselves.
func choices(_ request: ExecutionRequest, _ model: Model) throws -> (any ExpertChoices)? {
  switch request.routing {
  case .router: return nil
  case .seeded, .recorded:
    throw Diagnostic(.usage, "pending")
  }
}
