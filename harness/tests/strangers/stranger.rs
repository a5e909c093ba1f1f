//! A stranger's place on the machine: an empty home, the program under its name on PATH, and no repository.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use meshquake::parts::{self, Part};

use crate::bed::{self, Bed};
use crate::{program, support};

pub struct Stranger {
    pub bed: Bed,
}

impl Stranger {
    pub fn new() -> Self {
        let stranger = Self { bed: Bed::new() };
        let programs = stranger.home().join(".cargo/bin");
        fs::create_dir_all(&programs).expect("a folder for programs");
        let own = programs.join("meshquake");
        // One file under two names where both folders are on one disk.
        if fs::hard_link(support::MESHQUAKE, &own).is_err() {
            program::copy(support::MESHQUAKE.as_ref(), &own);
        }
        symlink(support::root(), stranger.home().join("meshquake")).expect("a way to the repository");
        stranger
    }

    pub fn home(&self) -> PathBuf {
        self.bed.path("h")
    }

    /// A program that knows nothing of whoever runs these tests.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().current_dir(self.home());
        command.env("PATH", format!("{}:{path}", self.home().join(".cargo/bin").display()));
        command.env("HOME", self.home());
        command.env("XDG_STATE_HOME", self.bed.path("s")).env("XDG_RUNTIME_DIR", self.bed.path("r"));
        // An empty home has no cache, and nothing is to be fetched again for each test.
        if let Ok(envoy) = parts::find(Part::Envoy, &|_| {}) {
            command.env(Part::Envoy.variable(), envoy.path);
        }
        command
    }
}

/// Whether a test cannot run because one of these programs is missing; says so past the capture of the test harness.
pub fn lacks(programs: &[&str]) -> bool {
    if bed::cannot_run() {
        return true;
    }
    let missing = programs.iter().find(|program| find(program).is_none());
    if let Some(missing) = missing {
        let _unread = writeln!(std::io::stderr(), "skipped: there is no `{missing}` on PATH");
    }
    missing.is_some()
}

/// A program on PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file is copied");
        }
    }
}
