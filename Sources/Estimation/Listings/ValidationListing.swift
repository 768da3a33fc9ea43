import Documents
import Reports
import Units
import Validation

/// Published results beside their predictions, as text.
public struct ValidationListing: Sendable {
  private let families: [ComparedFamily]

  /// Simulates every case of the families.
  public init(_ families: [PublishedFamily]) {
    self.families = families.map { compare($0, predict: predict) }
  }

  /// Every figure within its tolerance and every family's mean within its own.
  public var passes: Bool { families.allSatisfy(\.passes) }

  /// As ``passes``, with misses allowed whose reason stands beside the published figure.
  public var isAccountedFor: Bool { families.allSatisfy(\.isAccountedFor) }

  // MARK: Table

  public func table(width: Int = 80) -> String {
    var lines = families.flatMap { text(of: $0, width: width) }
    let figures = families.flatMap(\.figures)
    let missed = figures.count { !$0.passes }
    lines.append(
      missed == 0 && passes
        ? "All \(figures.count) figures are within their tolerances."
        : "\(missed) of \(figures.count) figures miss their tolerance"
          + (isAccountedFor ? "; the reasons stand above." : "."))
    return lines.joined(separator: "\n") + "\n"
  }

  private func text(of compared: ComparedFamily, width: Int) -> [String] {
    let family = compared.family
    var table = TextTable(
      [
        .init("case", folds: true), .init("figure", folds: true), .init("predicted", .right),
        .init("published", .right), .init("error", .right), .init("limit", .right), .init(""),
      ], indent: 2, width: width)
    var previous = ""
    for figure in compared.figures {
      let metric = figure.published.metric
      table.append([
        figure.caseName == previous ? "" : figure.caseName,
        metric.title + (metric.unit.isEmpty ? "" : ", " + metric.unit),
        figure.predicted.map(shown) ?? "none", shown(figure.published.value),
        figure.error.map { signedPercent($0.value) } ?? "",
        percent(figure.published.tolerance.value, decimals: 0),
        figure.passes ? "" : "MISS",
      ])
      previous = figure.caseName
    }
    let mean = compared.meanAbsoluteError.map { percent($0.value) } ?? "none"
    let limit = family.meanTolerance.map { ", limit \(percent($0.value, decimals: 0))" } ?? ""
    return fold(family.name + ": " + family.title, width: width)
      + fold(family.source, width: width - 2).map { "  " + $0 }
      + table.lines() + ["  mean absolute error \(mean)\(limit)"] + explanations(compared, width: width) + [
        ""
      ]
  }

  /// Why figures are off, where somebody knows; and why some could not be predicted.
  private func explanations(_ compared: ComparedFamily, width: Int) -> [String] {
    var seen: Set<String> = []
    let reasons = compared.figures.filter { !$0.passes }.compactMap { figure -> String? in
      guard let reason = figure.failure ?? figure.published.explanation else { return nil }
      return "\(figure.caseName): \(reason)"
    }
    return reasons.filter { seen.insert($0).inserted }.flatMap { reason in
      fold(reason, width: width - 4).enumerated().map { ($0 == 0 ? "  - " : "    ") + $1 }
    }
  }

  private func shown(_ number: Double) -> String {
    abs(number) < 10_000 ? significant(number, digits: 4) : counted(number)
  }

  // MARK: JSON

  public func json() -> String {
    Reports.json(
      .mapping([
        .init("passes", .bool(passes)),
        .init("families", .list(families.map(value))),
        .init("version", .text(programVersion)),
      ]))
  }

  private func value(of compared: ComparedFamily) -> Value {
    .mapping([
      .init("name", .text(compared.family.name)),
      .init("title", .text(compared.family.title)),
      .init("source", .text(compared.family.source)),
      .init("passes", .bool(compared.passes)),
      .init("mean_absolute_error", compared.meanAbsoluteError.map { .number($0.value) } ?? .null),
      .init("mean_tolerance", compared.family.meanTolerance.map { .number($0.value) } ?? .null),
      .init("figures", .list(compared.figures.map(value))),
    ])
  }

  private func value(of figure: ComparedFigure) -> Value {
    let published = figure.published
    return .mapping([
      .init("case", .text(figure.caseName)),
      .init("metric", .text(published.metric.rawValue)),
      .init("unit", .text(published.metric.unit)),
      .init("predicted", figure.predicted.map(Value.number) ?? .null),
      .init("published", .number(published.value)),
      .init("error", figure.error.map { .number($0.value) } ?? .null),
      .init("tolerance", .number(published.tolerance.value)),
      .init("passes", .bool(figure.passes)),
      .init("tag", .text(published.tag.rawValue)),
      .init("source", .text(published.source)),
      .init("explanation", published.explanation.map(Value.text) ?? .null),
      .init("failure", figure.failure.map(Value.text) ?? .null),
    ])
  }
}
