//! The `meshquake` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("load-worker") => meshquake::load::worker::main(),
        _ => meshquake::verdict::Exit::USAGE.into(),
    }
}
