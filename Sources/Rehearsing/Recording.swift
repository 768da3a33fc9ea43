import Documents
import Execution
import Foundation
import Programs

/// Writes the step as it ran: the program with its traffic in the project's text form, and beside it
/// `<file>.csv` with a line for each task of each rank: when it started and ended, its processor time, and the bytes it moved.
///
/// The program reads back as any other (`rehearse program check`); times are nanoseconds since the step's first task.
func record(_ step: MeasuredStep, to path: String) throws {
  var program = step.program.program
  program.traffic = step.traffic
  try writeFile(Data(program.text.utf8), to: path)
  var lines = ["rank,task,kind,started_ns,ended_ns,processor_ns,bytes_sent,bytes_received"]
  for rank in 0..<program.ranks {
    let code = program.codes[Int(program.codeOfRank[rank])]
    for task in 0..<code.count {
      lines.append(
        "\(rank),\(task),\(code.kind[task].name),\(step.started[rank][task]),\(step.ended[rank][task]),"
          + "\(step.processor[rank][task]),\(step.sent[rank][task]),\(step.received[rank][task])")
    }
  }
  try writeFile(Data((lines.joined(separator: "\n") + "\n").utf8), to: path + ".csv")
}
