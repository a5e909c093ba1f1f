//! Where words go: answers to standard output, progress and errors to standard error.

use std::io::Write;

use crate::problem::{self, Problems};
use crate::report::console::Look;
use crate::verdict::Exit;

/// An answer. A closed pipe is no error of ours; whoever must know asks [`std::io::Write`] itself.
pub fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A line of progress, or an error.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

pub fn fail(exit: Exit, text: &str) -> Exit {
    tell(&format!("error: {text}"));
    exit
}

/// How to write to standard error.
pub fn progress_look() -> Look {
    Look::of(&std::io::stderr())
}

/// How to write to standard output.
pub fn answer_look() -> Look {
    Look::of(&std::io::stdout())
}

/// What happens inside, for whoever asks with `MESHQUAKE_LOG=debug`.
pub fn trace() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MESHQUAKE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    // Set twice only by a test that calls the command line within its own process.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Tells what is wrong with what a person wrote, and what became of it.
pub fn refused(problems: &Problems, consequence: &str) -> Exit {
    tell(problem::render(problems, consequence, progress_look().colour).trim_end());
    Exit::REFUSED
}
