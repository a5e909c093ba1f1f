//! From scraped samples to verdicts: scraping, samples, windows, objectives.
//!
//! ```text
//! sidecars, apps ─► scrape ─► exposition ─┐
//! load ───────────────────────────────────┴─► samples ─► window ─► compile (PromQL) ─► verdict
//!                                                          recovery, guard: the same, second by second
//! ```

pub mod exposition;
pub mod objective;
pub mod samples;
pub mod scrape;
pub mod target;

pub use samples::Samples;
pub use scrape::{Gap, Refresh, Scraper};
pub use target::{Address, Kind, Target};
