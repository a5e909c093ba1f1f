//! The vocabulary between a run and its reports.
//!
//! A run emits [`Event`]s; they are written to `events.jsonl` as they happen and are, with the samples, all that
//! a report ever sees. A report never calls back into a run. Line 1 of the file is the [`Header`].

pub mod log;
mod mesh;

use serde::{Deserialize, Serialize};

use crate::verdict::{Outcome, Verdict};
pub use log::Events;
pub use mesh::{Call, Mesh, MeshFailure, MeshSecond, Scraped, Usage};

/// The file in a run's folder that has them all.
pub const EVENTS: &str = "events.jsonl";

/// Raised whenever a reader of older files would misread newer ones.
pub const SCHEMA: u32 = 1;

/// The first line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub schema: u32,
    pub meshquake: String,
}

/// One event and when it happened (milliseconds since the epoch).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub at: i64,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one comes once a run; a box would burden every reader"
)]
pub enum Event {
    RunStarted(RunStarted),
    PhaseStarted {
        phase: Phase,
    },
    PhaseEnded {
        phase: Phase,
        took_ms: u64,
    },
    /// A line of progress inside a phase: what is built, taken, waited for.
    Progress {
        phase: Phase,
        text: String,
    },
    WorldUp(WorldUp),
    /// A pod's state as the backend tells it; sent at each change.
    Pod(Pod),
    /// The steady state, judged before the first action: one for each check.
    Steady(Judged),
    LoadStarted {
        rate: Option<f64>,
        users: Option<u32>,
        workers: u32,
        journeys: Vec<String>,
    },
    /// What the load generator saw in one second.
    LoadSecond(LoadSecond),
    LoadEnded(LoadSummary),
    Action {
        name: String,
        step: ActionStep,
    },
    Guard {
        name: String,
        value: Option<f64>,
        text: String,
    },
    Judged(Judged),
    /// What a Prometheus says to the same objective.
    SecondOpinion(SecondOpinion),
    /// Requests between workloads over the whole run, read from the callers' sidecars.
    Calls {
        edges: Vec<Call>,
    },
    /// What the callers' sidecars counted in each second after the warm-up.
    Mesh(Mesh),
    Scraped(Scraped),
    /// What the pods used while they were under load, as far as they tell it.
    Usage {
        pods: Vec<Usage>,
    },
    Warning {
        text: String,
    },
    /// Files kept for whoever looks for the cause, relative to the run's folder.
    Collected {
        files: Vec<Collected>,
    },
    Ended {
        outcome: Outcome,
        verdict: Verdict,
        exit: u8,
    },
}

/// What was going to be run, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    pub run: String,
    pub scenario: String,
    pub about: String,
    /// The scenario's file as it was named, and its text.
    pub file: String,
    pub text: String,
    pub world: String,
    pub world_digest: String,
    pub backend: String,
    pub seed: u64,
    /// The command that runs it again.
    pub again: String,
    /// Versions and digests of everything that took part: name, version.
    pub versions: Vec<(String, String)>,
    /// Processors, memory, kernel.
    pub machine: Vec<(String, String)>,
    pub actions: Vec<ActionPlan>,
    pub objectives: Vec<ObjectivePlan>,
    /// The expected verdict, if the scenario names one.
    pub expect: Option<String>,
    /// Fields of the world that cannot change any verdict on this backend: where, and why.
    pub inert: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionPlan {
    pub name: String,
    /// `kill`, `scale`, `abort`, `delay`, `misbehave`.
    pub kind: String,
    /// What it does to whom, in words.
    pub what: String,
    /// Offset from the start of the load.
    pub at_ms: u64,
    pub for_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectivePlan {
    pub name: String,
    pub window: String,
    /// `≥ 99.9 %`
    pub bound: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Check,
    Build,
    Up,
    WarmUp,
    Steady,
    Load,
    Recovery,
    Judge,
    Collect,
    Down,
}

impl Phase {
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Check => "check",
            Phase::Build => "build",
            Phase::Up => "up",
            Phase::WarmUp => "warm up",
            Phase::Steady => "steady state",
            Phase::Load => "load",
            Phase::Recovery => "recovery",
            Phase::Judge => "judge",
            Phase::Collect => "collect",
            Phase::Down => "down",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorldUp {
    pub entry: String,
    pub urls: Vec<String>,
    pub pods: u32,
    pub sidecars: u32,
    pub took_ms: u64,
    /// Parts of the way up, where it has parts that a person may want shorter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<(String, u64)>,
    /// Of what the world stands on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    pub name: String,
    pub namespace: String,
    pub workload: String,
    pub version: String,
    pub phase: String,
    pub ready: bool,
    pub restarts: u32,
    /// Why it is not ready, where known.
    pub reason: Option<String>,
    /// The pod is gone.
    pub gone: bool,
}

/// A second of load: `at` of the record is the second's end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSecond {
    /// Start of the second, milliseconds since the epoch.
    pub second: i64,
    pub sent: u64,
    pub ok: u64,
    pub failed: u64,
    /// Milliseconds; absent where nothing was answered.
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub in_flight: u64,
    /// Answers by status: `200`, `503`, `timeout`, `reset`, `no-slot` …
    pub by_status: Vec<(String, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    pub seconds: f64,
    pub intended: u64,
    pub sent: u64,
    pub ok: u64,
    pub failed: u64,
    pub rate_intended: Option<f64>,
    pub rate_kept: f64,
    pub send_lag_p99_ms: f64,
    pub worker_cpu: f64,
    /// Why the generator was the bottleneck, where it was.
    pub bottleneck: Option<String>,
    pub requests: Vec<RequestSummary>,
    pub errors: Vec<ErrorSample>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestSummary {
    pub journey: String,
    pub request: String,
    pub count: u64,
    pub failed: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    /// Upper edge in milliseconds and count, for the histogram.
    pub buckets: Vec<(f64, u64)>,
}

/// One example of each kind of error, with what is needed to find it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorSample {
    pub at: i64,
    pub journey: String,
    pub request: String,
    pub status: String,
    pub reason: String,
    pub trace_id: String,
    pub request_id: String,
    pub body: String,
    /// How many of this kind there were.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionStep {
    /// Asked for; whom it hits and how that was chosen.
    Asked {
        target: String,
        /// The pods that were ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        killed: Vec<String>,
    },
    /// Seen from outside the injector.
    Proved {
        observation: String,
    },
    /// No effect could be seen.
    NotProved {
        reason: String,
    },
    UndoAsked,
    UndoVerified {
        how: String,
    },
    UndoFailed {
        reason: String,
    },
    /// Bounds of recovery: from undo verified to the first second from which all was well.
    Recovered {
        after_ms: u64,
    },
    NotRecovered {
        within_ms: u64,
    },
}

/// An objective, or a check of the steady state, with what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub name: String,
    pub window: String,
    pub verdict: Verdict,
    pub value: Option<f64>,
    /// How to write value and bound.
    pub unit: Unit,
    pub relation: Relation,
    pub bound: f64,
    /// What the value rests on: requests or samples.
    pub samples: u64,
    pub reason: String,
    pub promql: Vec<String>,
}

/// What a Prometheus in the cluster says to an objective, beside our own answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondOpinion {
    pub name: String,
    pub ours: Option<f64>,
    pub theirs: Option<f64>,
    pub unit: Unit,
    /// Why there is no answer.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A share from 0 to 1, written as a percentage.
    Percent,
    Seconds,
    PerSecond,
    Bytes,
    Count,
    Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

impl Relation {
    pub const fn sign(self) -> &'static str {
        match self {
            Relation::Below => "<",
            Relation::AtMost => "≤",
            Relation::Above => ">",
            Relation::AtLeast => "≥",
            Relation::Equal => "=",
        }
    }

    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Relation::Below => value < bound,
            Relation::AtMost => value <= bound,
            Relation::Above => value > bound,
            Relation::AtLeast => value >= bound,
            Relation::Equal => value == bound,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Collected {
    pub path: String,
    pub what: String,
    /// The last lines, for logs of what died.
    pub tail: Vec<String>,
}
