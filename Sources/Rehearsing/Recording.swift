import Documents
import Execution
import Foundation
import Programs
import Traces

/// Writes the step as it ran: the program with its traffic in the project's text form, and beside it
/// `<file>.csv` with a line for each task of each rank: when it started and ended, its processor time, and the bytes it
/// moved.
///
/// The program reads back as any other (`rehearse program check`); times are nanoseconds since the step's first task.
func record(_ step: MeasuredStep, to path: String) throws {
  var program = step.program.program
  program.traffic = step.traffic
  var timed = TimedProgram(try VerifiedProgram(program))
  (timed.started, timed.ended, timed.processor) = (step.started, step.ended, step.processor)
  (timed.sent, timed.received) = (step.sent, step.received)
  try writeFile(Data(program.text.utf8), to: path)
  try writeFile(Data(timed.csv.utf8), to: path + ".csv")
}
