//! PromQL over samples in memory: a store and a query give a value. Pure: no clock, no network, no files.
//!
//! The language is that of Prometheus 3 as far as a gate on service levels needs it. Ranges are open on their left
//! (`x[5s]` at 10 sees what is after 5, up to and with 10), instants look back five minutes, a staleness marker
//! ends a series, `.` in a regular expression also matches a newline, and `rate` and `increase` extrapolate as
//! Prometheus does, never below zero. What is not evaluated (subqueries, `@`, native histograms, other functions)
//! is refused by name when the query is read.
//!
//! ```
//! use meshquake_promql::{Labels, Query, Sample, Store};
//!
//! let mut store = Store::new();
//! let labels = Labels::named("requests_total").with("code", "200");
//! for second in 0..=10 {
//!     store.append(&labels, Sample { at: second * 1000, value: 3.0 * second as f64 })?;
//! }
//! let query: Query = "sum(rate(requests_total[5s]))".parse()?;
//! assert_eq!(query.evaluate(&store, 10_000)?.single(), Some(3.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounds;
mod display;
mod evaluate;
mod expr;
mod labels;
mod names;
mod parse;
mod query;
mod scan;
mod store;
mod value;

pub use bounds::Bounds;
pub use expr::{Matcher, Selector};
pub use labels::{Labels, METRIC_NAME};
pub use query::{LOOKBACK, Query, Refused};
pub use store::{OutOfOrder, Sample, Store, is_stale, stale_marker};
pub use value::{Element, Error, Value};
