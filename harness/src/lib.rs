//! meshquake: does my system hold when the mesh shakes?
//!
//! ```text
//! scenario ─► world ─► backend ─► run ─┬─► action (fault, proof, undo)
//!                                      ├─► load (worker with goose)
//!                                      ├─► judge (samples, windows, objectives)
//!                                      └─► events ─► report (console, html, markdown, junit)
//! ```

pub mod action;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod error;
pub mod event;
pub mod finding;
pub mod judge;
mod leash;
pub mod load;
pub mod parts;
pub mod problem;
pub mod report;
pub mod run;
pub mod scenario;
pub mod verdict;
pub mod wait;
pub mod world;
pub mod yaml;
