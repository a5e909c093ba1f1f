//! The load's own numbers among the samples, so that PromQL can ask the client as well as the sidecars.

use std::collections::BTreeMap;

use meshquake_promql::{Labels, METRIC_NAME};

use super::samples::{Error, Reading, Samples};

/// Requests answered or given up, by journey, request, status and outcome (`ok` or `failed`).
pub const REQUESTS: &str = "meshquake_load_requests_total";
/// Their durations, in seconds.
pub const BUCKETS: &str = "meshquake_load_request_duration_seconds_bucket";
/// Arrivals; it has a sample for each second of load, so it is the load's beat.
pub const ARRIVALS: &str = "meshquake_load_arrivals_total";
/// Journeys under way.
pub const IN_FLIGHT: &str = "meshquake_load_in_flight";

/// Adds the load's totals as of the end of each second.
pub struct LoadRecorder {
    samples: Samples,
    last: Option<i64>,
}

impl LoadRecorder {
    pub fn new(samples: Samples) -> Self {
        Self { samples, last: None }
    }

    /// Totals as of `at`: name, labels, value. What was not there a second before was zero then.
    pub fn push<'a>(
        &mut self,
        at: i64,
        totals: impl IntoIterator<Item = (&'a str, &'a BTreeMap<String, String>, f64)>,
    ) -> Result<(), Error> {
        let readings: Vec<Reading> = totals
            .into_iter()
            .map(|(name, labels, value)| {
                let labels: Labels =
                    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let counts =
                    ["_total", "_bucket", "_sum", "_count"].iter().any(|ending| name.ends_with(ending));
                Reading { labels: labels.with(METRIC_NAME, name), value, counts }
            })
            .collect();
        let before = self.last.replace(at).unwrap_or(at - 1000);
        self.samples.append(at, Some(before), &readings)
    }
}
