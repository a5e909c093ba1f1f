//! What passes between a [`Load`](super::Load) and its workers: JSON, one message a line.
//!
//! ```text
//!  ──► plan            the first line: a LoadPlan
//!  ◄── ready           all users wait
//!  ──► start AT        the same moment for all workers, see [`Command::Start`]
//!  ◄── second          at the end of each second, also of empty ones
//!  ──► stop            no more arrivals; what is under way may end
//!  ◄── finished        the last line, then exit
//! ```
//!
//! The end of its input means that nobody listens: the worker stops at once. So does SIGTERM, with what it has; its last
//! line then is `cut-short` in place of `finished`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::second::Second;

/// After the plan, to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    Start {
        /// Milliseconds since the epoch.
        at: i64,
        /// The same moment on the clock that all processes of a machine share, for a worker on ours: the time of day
        /// may have been set since the run began.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        here: Option<Duration>,
    },
    Stop,
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    Ready,
    Second(Box<Second>),
    Finished(Totals),
    /// Somebody else than we has ended it: what it had until then.
    CutShort(Totals),
    /// It could not begin, or not go on.
    Failed {
        why: String,
    },
}

/// What a worker counted by itself, so that a lost line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub seconds: u64,
    pub begun: u64,
    pub requests: u64,
    /// Journeys that were still under way at the end.
    pub unfinished: u64,
}

impl Totals {
    pub fn add(&mut self, other: Totals) {
        self.seconds = self.seconds.max(other.seconds);
        self.begun += other.begun;
        self.requests += other.requests;
        self.unfinished += other.unfinished;
    }
}
