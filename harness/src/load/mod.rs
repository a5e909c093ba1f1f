//! Load: journeys as data, the schedule, and the worker in which goose lives.
//!
//! ```text
//!            plan, start, stop                    requests
//!  Load ───────────────────────► worker (goose) ───────────► the system under test
//!   │   ◄───────────────────────    │
//!   │        a line a second        └─ schedule: when is which arrival due, from the plan alone
//!   ├─► Second ─► Series (what PromQL sees), event::LoadSecond (what a report sees)
//!   └─► health: was the generator the bottleneck?
//! ```
//!
//! A worker is a process of its own, because goose takes process-wide liberties (a Ctrl-C handler that exits, a
//! global cancel flag, a logger on standard output). No goose type leaves `worker/`.

pub mod client;
pub mod health;
pub mod histogram;
pub mod host;
pub mod journey;
pub mod plan;
pub mod protocol;
pub mod schedule;
pub mod second;
pub mod series;
pub mod summary;
pub mod worker;

pub use client::{Error, Load, LoadEvent, Running, Stopper};
pub use health::{GeneratorHealth, Limits};
pub use histogram::Latencies;
pub use host::{Ear, Host, Hosted, Program};
pub use journey::Journeys;
pub use plan::{Hinder, LoadPlan, Mode, Pattern, Rate};
pub use second::{ErrorSample, Row, Second};
pub use series::Series;
pub use summary::Summary;
