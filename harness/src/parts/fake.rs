//! Programs that tests write.

use std::path::Path;
use std::process::Command;

/// Writes a script that can be run at once.
///
/// A child of ours writes it, and nobody else ever has it open for writing. Had this process, then whatever another
/// thread forks meanwhile would hold it open as well, and the kernel runs nothing that is open for writing.
pub fn program(path: &Path, text: &str) {
    let draft = path.with_added_extension("draft");
    std::fs::write(&draft, text).expect("the draft of a program");
    let mut install = Command::new("install");
    install.args(["-m", "755"]).args([draft.as_path(), path]);
    let output = install.output().expect("`install` of the coreutils starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(&draft).expect("the draft is not needed any more");
}
