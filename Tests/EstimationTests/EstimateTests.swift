@testable import Estimation
