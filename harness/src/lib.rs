//! meshquake: does my system hold when the mesh shakes?
//!
//! ```text
//! scenario ─► world ─► backend ─► run ─┬─► action (fault, proof, undo)
//!                                      ├─► load (worker with goose)
//!                                      ├─► judge (samples, windows, objectives)
//!                                      └─► events ─► report (console, html, markdown, junit)
//! ```
//!
//! # In a test of your own
//!
//! ```no_run
//! # async fn test() -> Result<(), meshquake::Error> {
//! use meshquake::{Backend, Scenario};
//!
//! let run = Scenario::from_file("tests/stock-fails.yaml")?.run(Backend::local()).await?;
//! run.assert_held();
//! assert!(run.objective("orders are taken all the same")?.value > Some(0.999));
//! # Ok(()) }
//! ```
//! [`Scenario`] is a checked file with its world, [`Options`] say how it runs (seed, limit of time, where reports go),
//! [`Finished`] is what a test asks: the verdict, single objectives, who called whom, events. A whole package with such
//! tests, to be copied, is `examples/two-programs`.
//!
//! The program `meshquake` must be there as well, in the version of this library: worlds are brought up by a process of
//! its own, so that nothing outlives a test that is killed. It is found by `MESHQUAKE_BIN`, beside the program that
//! asks, or on PATH.

pub mod action;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod error;
pub mod event;
pub mod finding;
pub mod judge;
mod leash;
pub mod load;
mod nearby;
pub mod parts;
pub mod problem;
pub mod report;
pub mod run;
pub mod scenario;
pub mod verdict;
pub mod wait;
pub mod world;
pub mod yaml;

pub use backend::Choice as Backend;
pub use event::{Call, Event, Judged, Record};
pub use problem::Problems;
pub use run::{Finished, LibraryError as Error, Options};
pub use scenario::Scenario;
pub use verdict::Verdict;
