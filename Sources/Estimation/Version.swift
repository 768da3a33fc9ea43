/// The program's version, as `--version` and every report's provenance say it.
public let programVersion = "0.1.0"
