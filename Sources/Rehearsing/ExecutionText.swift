import Documents
import Foundation
import Plans
import Reports

extension ExecutionResult {
  /// Tables for a terminal: steps, kinds of task, and the comparison where one was asked for.
  public func table() -> String {
    var lines = [plan.model.name, summary(plan), share, ""]
    var table = TextTable(
      ["step", "loss", "cross-ent.", "prediction", "balance", "norm", "s", "tokens/s", "GFLOP/s"].map {
        TextTable.Column($0, .right)
      }, width: 80)
    for step in steps {
      let report = step.report
      table.append([
        "\(step.number)", report.loss.shown(4), report.crossEntropy.shown(4), report.prediction.shown(4),
        report.balance.shown(6), report.gradientNorm.shown(3), step.seconds.shown(3),
        step.tokensPerSecond.shown(0),
        step.gigaflopsPerSecond.shown(2),
      ])
    }
    lines += table.lines() + ["", "One step by kind of task: time of a rank (mean), bytes of all ranks"]
    var times = TextTable(
      [
        TextTable.Column("kind"), TextTable.Column("tasks", .right), TextTable.Column("s", .right),
        TextTable.Column("processor s", .right), TextTable.Column("bytes", .right),
      ], width: 80)
    for kind in kinds {
      times.append([
        kind.name, "\(kind.tasks)", kind.seconds.shown(4), kind.processorSeconds.shown(4),
        kind.isCompute ? "" : "\(kind.bytes)",
      ])
    }
    lines += times.lines() + ["", bytesText]
    if let comparison { lines += [""] + comparison.lines }
    return lines.joined(separator: "\n") + "\n"
  }

  var bytesText: String {
    guard let first = differences.first else {
      return "Bytes lowered = simulated = counted by the transport, for each of \(checkedTasks) tasks"
    }
    return "Bytes differ in \(differences.count) places; the first: \(first)"
  }

  /// The same as JSON.
  public func json() -> String {
    var entries: [Value.Entry] = [
      Value.Entry("model", .text(plan.model.name)), Value.Entry("plan", .text(summary(plan))),
      Value.Entry("ranks", .integer(plan.ranks)),
      Value.Entry("cores", .text(share)), Value.Entry("steps", .list(steps.map(\.value))),
      Value.Entry("kinds", .list(kinds.map(\.value))),
      Value.Entry("tasks_with_equal_bytes", .integer(differences.isEmpty ? checkedTasks : 0)),
      Value.Entry("bytes_that_differ", .list(differences.map { .text($0) })),
    ]
    if let comparison { entries.append(Value.Entry("comparison", comparison.value)) }
    return Reports.json(.mapping(entries))
  }

  /// A line for each step.
  public func csv() -> String {
    var lines = ["step,loss,cross_entropy,prediction,balance,gradient_norm,seconds,tokens_per_second,gflops"]
    for step in steps {
      let report = step.report
      let numbers = [
        report.loss, report.crossEntropy, report.prediction, report.balance, report.gradientNorm,
        step.seconds,
        step.tokensPerSecond, step.gigaflopsPerSecond,
      ]
      lines.append(([String(step.number)] + numbers.map { "\($0)" }).joined(separator: ","))
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension ExecutionResult.Step {
  fileprivate var value: Value {
    .mapping([
      Value.Entry("step", .integer(number)), Value.Entry("loss", .number(report.loss)),
      Value.Entry("cross_entropy", .number(report.crossEntropy)),
      Value.Entry("prediction", .number(report.prediction)), Value.Entry("balance", .number(report.balance)),
      Value.Entry("gradient_norm", .number(report.gradientNorm)), Value.Entry("seconds", .number(seconds)),
      Value.Entry("tokens_per_second", .number(tokensPerSecond)),
      Value.Entry("gflops", .number(gigaflopsPerSecond)),
    ])
  }
}

extension ExecutionResult.Kind {
  fileprivate var value: Value {
    .mapping([
      Value.Entry("kind", .text(name)), Value.Entry("tasks", .integer(tasks)),
      Value.Entry("seconds", .number(seconds)),
      Value.Entry("processor_seconds", .number(processorSeconds)), Value.Entry("bytes", .integer(Int(bytes))),
    ])
  }
}

extension StepComparison {
  var lines: [String] {
    var table = TextTable(
      [
        TextTable.Column("kind"), TextTable.Column("predicted s", .right),
        TextTable.Column("measured s", .right),
        TextTable.Column("processor s", .right),
      ], width: 80)
    table.append(["step", predictedSeconds.shown(4), measuredSeconds.shown(4), ""])
    for row in rows {
      table.append([row.name, row.predicted.shown(4), row.measured.shown(4), row.processor.shown(4)])
    }
    let percent = (100 * error).shown(1)
    return [
      "Predicted on \(cluster) against measured: \(error < 0 ? "" : "+")\(percent) %"
    ]
      + table.lines()
  }

  fileprivate var value: Value {
    .mapping([
      Value.Entry("cluster", .text(cluster)), Value.Entry("predicted_seconds", .number(predictedSeconds)),
      Value.Entry("measured_seconds", .number(measuredSeconds)), Value.Entry("error", .number(error)),
      Value.Entry(
        "kinds",
        .list(
          rows.map {
            .mapping([
              Value.Entry("kind", .text($0.name)), Value.Entry("predicted_seconds", .number($0.predicted)),
              Value.Entry("measured_seconds", .number($0.measured)),
              Value.Entry("predicted_processor_seconds", .number($0.predictedProcessor)),
              Value.Entry("processor_seconds", .number($0.processor)),
            ])
          })
      ),
    ])
  }
}
