//! What runs on this machine, as the kernel tells it.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::names;

/// A process as `/proc` shows it. A zombie has neither environment nor command line.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub command: String,
    pub run: Option<String>,
    pub environment: String,
}

impl Process {
    pub fn all() -> impl Iterator<Item = Self> {
        let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<i32>().ok());
        pids.filter(|pid| *pid != std::process::id().cast_signed()).map(|pid| {
            let read = |file| {
                let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let environment = read("environ");
            let mark = environment.split(' ').find_map(|word| word.strip_prefix("MESHQUAKE_RUN="));
            Self { pid, command: read("cmdline"), run: mark.map(str::to_owned), environment }
        })
    }

    /// Whether this is among its arguments or in its environment.
    pub fn knows(&self, word: &str) -> bool {
        self.command.contains(word) || self.environment.contains(word)
    }

    pub fn signal(&self, signal: Signal) -> bool {
        Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    pub fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // It may have gone by itself.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command.trim())
    }
}
