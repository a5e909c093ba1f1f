//! Programs that a test puts where it runs them.

use std::path::Path;
use std::process::Command;

/// Copies a program. A child does it: a file that this process has open for writing is open in whatever another thread
/// forks meanwhile as well, and the kernel runs nothing that is open for writing.
pub fn copy(from: &Path, to: &Path) {
    let output = Command::new("cp").args([from, to]).output().expect("`cp` starts");
    assert!(output.status.success(), "cp: {}", String::from_utf8_lossy(&output.stderr));
}
