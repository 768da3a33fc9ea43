/// A predefined MPI datatype as SimGrid numbers them in traces.
///
/// Source: SimGrid, `src/smpi/mpi/smpi_datatype.cpp`, the list of `CREATE_MPI_DATATYPE`; sizes are those of x86-64.
struct MPIDatatype: Hashable {
  var name: String
  var bytes: Int64

  static let double = MPIDatatype(name: "MPI_DOUBLE", bytes: 8)
  static let byte = MPIDatatype(name: "MPI_BYTE", bytes: 1)

  /// The type with a number; nil where there is none.
  init?(number: Int64) {
    guard let index = Int(exactly: number), Self.all.indices.contains(index) else { return nil }
    self = Self.all[index]
  }

  private init(name: String, bytes: Int64) {
    self.name = name
    self.bytes = bytes
  }

  private static let all: [MPIDatatype] = [
    ("DOUBLE", 8), ("INT", 4), ("CHAR", 1), ("SHORT", 2), ("LONG", 8), ("FLOAT", 4), ("BYTE", 1),
    ("LONG_LONG", 8),
    ("SIGNED_CHAR", 1), ("UNSIGNED_CHAR", 1), ("UNSIGNED_SHORT", 2), ("UNSIGNED", 4), ("UNSIGNED_LONG", 8),
    ("UNSIGNED_LONG_LONG", 8), ("LONG_DOUBLE", 16), ("WCHAR", 4), ("C_BOOL", 1), ("INT8_T", 1),
    ("INT16_T", 2),
    ("INT32_T", 4), ("INT64_T", 8), ("UINT8_T", 1), ("UINT16_T", 2), ("UINT32_T", 4), ("UINT64_T", 8),
    ("C_FLOAT_COMPLEX", 8), ("C_DOUBLE_COMPLEX", 16), ("C_LONG_DOUBLE_COMPLEX", 32), ("AINT", 8),
    ("OFFSET", 8),
    ("FLOAT_INT", 8), ("LONG_INT", 16), ("DOUBLE_INT", 16), ("SHORT_INT", 8), ("2INT", 8), ("2FLOAT", 8),
    ("2DOUBLE", 16), ("2LONG", 16), ("REAL", 4), ("REAL4", 4), ("REAL8", 8), ("REAL16", 16), ("COMPLEX8", 8),
    ("COMPLEX16", 16), ("COMPLEX32", 16), ("INTEGER1", 4), ("INTEGER2", 2), ("INTEGER4", 4), ("INTEGER8", 8),
    ("INTEGER16", 16), ("LONG_DOUBLE_INT", 32), ("CXX_BOOL", 1), ("CXX_FLOAT_COMPLEX", 8),
    ("CXX_DOUBLE_COMPLEX", 16), ("CXX_LONG_DOUBLE_COMPLEX", 32), ("UB", 0), ("LB", 0), ("PACKED", 1),
    ("PTR", 8),
    ("COUNT", 8),
  ].map { MPIDatatype(name: "MPI_\($0)", bytes: $1) }
}
