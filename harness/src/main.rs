//! The `meshquake` binary: parse, run, map to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    meshquake::cli::main().into()
}
