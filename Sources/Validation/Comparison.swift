import Documents
import Units

/// What a simulation says about one published case.
public struct Prediction: Sendable {
  /// Length of the step; nil where only part of a step was simulated.
  public var step: Span?
  /// Figures that do not follow from the length of the step alone, in their metric's unit.
  public var values: [Metric: Double]

  public init(step: Span? = nil, values: [Metric: Double] = [:]) {
    self.step = step
    self.values = values
  }
}

/// A published number beside its prediction.
public struct ComparedFigure: Sendable {
  public let caseName: String
  public let published: PublishedFigure
  /// Nil where the case could not be predicted; ``failure`` says why.
  public let predicted: Double?
  public let failure: String?

  /// Predicted over published, minus one; positive: the prediction is larger.
  public var error: Ratio? { predicted.map { Ratio($0 / published.value - 1) } }

  /// A figure without a prediction does not pass.
  public var passes: Bool { error.map { abs($0.value) <= published.tolerance.value } ?? false }

  /// A miss whose reason stands beside the published figure, or a hit that needs none: an explanation that
  /// has outlived its miss is as wrong as a miss without one.
  public var isAccountedFor: Bool { predicted != nil && passes == (published.explanation == nil) }
}

/// A family of published numbers beside their predictions.
public struct ComparedFamily: Sendable {
  public let family: PublishedFamily
  /// In the order of the family's cases and their figures.
  public let figures: [ComparedFigure]

  /// Mean of the errors' magnitudes over the figures that have a prediction; nil where none has.
  public var meanAbsoluteError: Ratio? {
    let errors = figures.compactMap { $0.error.map { abs($0.value) } }
    return errors.isEmpty ? nil : Ratio(errors.reduce(0, +) / Double(errors.count))
  }

  /// The figure furthest off; nil where none has a prediction.
  public var worst: ComparedFigure? {
    figures.max { abs($0.error?.value ?? -1) < abs($1.error?.value ?? -1) }.flatMap {
      $0.error == nil ? nil : $0
    }
  }

  /// Every figure either within its tolerance or explained, and their mean within the family's.
  public var isAccountedFor: Bool {
    guard figures.allSatisfy(\.isAccountedFor), let mean = meanAbsoluteError else { return false }
    return family.meanTolerance.map { mean <= $0 } ?? true
  }

  /// Every figure within its tolerance, and their mean within the family's.
  public var passes: Bool {
    guard figures.allSatisfy(\.passes), let mean = meanAbsoluteError else { return false }
    return family.meanTolerance.map { mean <= $0 } ?? true
  }
}

/// Predicts every case of a family and sets the figures side by side.
///
/// A case whose prediction throws fails with the error's text, and the others are still compared. A figure
/// that is not among the prediction's values is computed from its step where
/// ``PublishedCase/value(of:step:)`` can.
public func compare(
  _ family: PublishedFamily, predict: (PublishedCase) throws -> Prediction
) -> ComparedFamily {
  let figures = family.cases.flatMap { (published) -> [ComparedFigure] in
    func figure(_ figure: PublishedFigure, _ value: Double?, _ failure: String?) -> ComparedFigure {
      // A prediction that is not a number is none.
      let predicted = value.flatMap { $0.isFinite ? $0 : nil }
      return ComparedFigure(
        caseName: published.name, published: figure, predicted: predicted,
        failure: predicted == nil ? failure ?? "\(figure.metric.rawValue) was not predicted" : nil)
    }
    do {
      let prediction = try predict(published)
      return published.figures.map { wanted in
        let derived = prediction.step.flatMap { published.value(of: wanted.metric, step: $0) }
        return figure(wanted, prediction.values[wanted.metric] ?? derived, nil)
      }
    } catch {
      let reason = (error as? Diagnostic)?.description ?? "\(error)"
      return published.figures.map { figure($0, nil, reason) }
    }
  }
  return ComparedFamily(family: family, figures: figures)
}
