//! From scraped samples to verdicts: scraping, samples, windows, objectives.
//!
//! ```text
//! sidecars, apps ─► scrape ─► exposition ─┐
//! load ───────────────────────────────────┴─► samples ─► window ─► compile (PromQL) ─► verdict
//!                                                          recovery, guard: the same, second by second
//! ```

pub mod check;
pub mod compile;
mod coverage;
mod edges;
pub mod exposition;
#[cfg(test)]
mod fixture;
pub mod guard;
pub mod judging;
pub mod live;
pub mod load;
pub mod objective;
pub mod outside;
pub mod recovery;
pub mod samples;
pub mod scrape;
pub mod target;
pub mod verdict;
pub mod window;

pub use compile::{Edge, Scene};
pub use judging::Judge;
pub use load::LoadRecorder;
pub use outside::Prometheus;
pub use recovery::Recovery;
pub use samples::Samples;
pub use scrape::{Gap, Refresh, Scraper};
pub use target::{Address, Fetcher, Kind, Page, Target, Way};
pub use window::{ActionMarks, Marks};
