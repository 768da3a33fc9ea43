import CMPI
import Execution

func isInitialized() -> Bool {
  var flag: Int32 = 0
  return MPI_Initialized(&flag) == MPI_SUCCESS && flag != 0
}

/// A communicator of the same ranks whose messages meet no others.
func duplicate(_ communicator: MPI_Comm?, _ purpose: String) throws(TransportError) -> MPI_Comm? {
  var copy: MPI_Comm?
  try check(MPI_Comm_dup(communicator, &copy), "a communicator \(purpose)")
  try returnErrors(of: copy)
  return copy
}

func returnErrors(of communicator: MPI_Comm?) throws(TransportError) {
  try check(MPI_Comm_set_errhandler(communicator, cmpi_errors_return()), "MPI_Comm_set_errhandler")
}

/// The ranks of this machine and the cores on which any of them may run; every rank calls it.
func coreShare(_ all: MPI_Comm?) throws(TransportError) -> CoreShare {
  let bytes = 128
  var machine: MPI_Comm?
  try check(
    MPI_Comm_split_type(all, Int32(MPI_COMM_TYPE_SHARED), 0, cmpi_info_null(), &machine),
    "MPI_Comm_split_type")
  var ranks: Int32 = 0
  try check(MPI_Comm_size(machine, &ranks), "MPI_Comm_size")
  var own = [UInt8](repeating: 0, count: bytes)
  var masks = [UInt8](repeating: 0, count: bytes * Int(ranks))
  _ = cmpi_cores(&own, Int32(bytes))
  try check(
    MPI_Allgather(&own, Int32(bytes), cmpi_byte(), &masks, Int32(bytes), cmpi_byte(), machine),
    "MPI_Allgather")
  try check(MPI_Comm_free(&machine), "MPI_Comm_free")
  var cores = 0
  for byte in 0..<bytes {
    var union: UInt8 = 0
    for rank in 0..<Int(ranks) { union |= masks[rank * bytes + byte] }
    cores += union.nonzeroBitCount
  }
  return CoreShare(ranks: Int(ranks), cores: max(1, cores))
}
