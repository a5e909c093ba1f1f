//! A run of a test: what it tells, what it says, and its end.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use meshquake::event::{ActionStep, Event, Phase, Record};
use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, names};
use crate::until::until;

/// `meshquake run` under way.
pub struct Run {
    pub child: Child,
    pub reports: PathBuf,
    pub log: PathBuf,
}

impl Run {
    /// The folder of its report, once it has one.
    pub fn folder(&self) -> Option<PathBuf> {
        names(&self.reports).into_iter().next().map(|name| self.reports.join(name))
    }

    /// What it has told so far. A last line may be half-written.
    pub fn events(&self) -> Vec<Event> {
        self.records().into_iter().map(|record| record.event).collect()
    }

    pub fn records(&self) -> Vec<Record> {
        let file = self.folder().map(|folder| folder.join("events.jsonl"));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Everything it has said on both outputs.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for an event; the run must not end before.
    pub fn wait_for(&mut self, what: &str, is: impl Fn(&Event) -> bool) {
        until(what, PATIENCE, || {
            if self.events().iter().any(&is) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("ended ({status}) before {what}:\n{}", self.said());
            }
            Err(self.said())
        });
    }

    pub fn wait_for_phase(&mut self, wanted: Phase) {
        self.wait_for(
            wanted.word(),
            |event| matches!(event, Event::PhaseStarted { phase } if *phase == wanted),
        );
    }

    pub fn wait_for_proof(&mut self) {
        self.wait_for("the action proved", |event| {
            matches!(event, Event::Action { step: ActionStep::Proved { .. }, .. })
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the client can be signalled");
    }

    /// Its end, within a limit.
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        until("ended", limit, || match self.child.try_wait().expect("a child can be waited for") {
            Some(status) => Ok(status),
            None => Err(fs::read_to_string(&self.log).unwrap_or_default()),
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Of a failed test; one that has ended does not mind.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
