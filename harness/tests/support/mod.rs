//! What the suites share: the program, a run's outcome, and one world under load at a time on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const MESHQUAKE: &str = env!("CARGO_BIN_EXE_meshquake");

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the package lies in its repository")
}

/// Held while a world is under load: two at once would disturb each other's latencies. It ends with its holder.
pub fn under_load() -> File {
    let file = lock_of_worlds();
    file.lock().expect("the lock of the suites can be taken");
    file
}

/// What is locked by whoever has worlds on this machine.
pub fn lock_of_worlds() -> File {
    let path = std::env::temp_dir().join("meshquake-one-world-under-load.lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    open.or_else(|_| File::open(&path)).expect("the lock of the suites can be opened")
}

/// `meshquake` in the repository, with nobody at its input.
pub fn meshquake(arguments: &[&str]) -> Command {
    let mut command = Command::new(MESHQUAKE);
    command.args(arguments).current_dir(root()).stdin(Stdio::null()).env_remove("MESHQUAKE_LOG");
    command
}

/// Everything that a program said, for the message of a failed test.
pub fn said(output: &Output) -> String {
    format!(
        "{}\n--- standard output\n{}\n--- standard error\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Why worlds cannot run here, if they cannot; the error of whoever demands them.
pub fn no_envoy() -> Option<String> {
    use meshquake::parts::{self, Part};
    let missing = parts::find(Part::Envoy, &|_| {}).err()?.to_string();
    let required = std::env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
    let demanded = required.split(',').any(|tier| tier.trim() == "envoy");
    assert!(!demanded, "MESHQUAKE_REQUIRE names envoy, and there is none: {missing}");
    Some(missing)
}
