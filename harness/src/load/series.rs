//! The load's numbers as series, so that PromQL can ask the client as well as the sidecars.
//!
//! ```text
//! meshquake_load_requests_total{journey, request, status, outcome="ok"|"failed"}
//! meshquake_load_request_duration_seconds_bucket{journey, request, status, outcome, le}, …_sum, …_count
//! meshquake_load_arrivals_total, meshquake_load_in_flight
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Latencies;
use super::second::{Kind, Second};

/// The edges of the duration histogram in milliseconds; a bound on latency is exact where it is one of these.
pub const EDGES_MS: [u64; 32] = [
    1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000,
    2500, 3000, 4000, 5000, 7500, 10_000, 30_000, 60_000,
];

/// A sample without its time; the time is the end of the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: &'static str,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Adds up seconds, as counters do.
#[derive(Clone, Debug, Default)]
pub struct Series {
    totals: BTreeMap<Kind, Latencies>,
    begun: u64,
}

impl Series {
    /// Takes a second in and gives all samples as of its end, milliseconds since the epoch.
    pub fn push(&mut self, second: &Second) -> (i64, Vec<Sample>) {
        for row in &second.rows {
            self.totals.entry(row.kind.clone()).or_default().merge(&row.latency);
        }
        self.begun += second.begun;
        let mut samples = Vec::new();
        for (kind, latency) in &self.totals {
            let labels = labels(kind);
            let mut sample = |name, le: Option<String>, value| {
                let mut labels = labels.clone();
                labels.extend(le.map(|le| ("le".to_owned(), le)));
                samples.push(Sample { name, labels, value });
            };
            let count = latency.len() as f64;
            sample("meshquake_load_requests_total", None, count);
            for edge in EDGES_MS {
                let below = latency.count_at_most(Duration::from_millis(edge)) as f64;
                let le = (edge as f64 / 1e3).to_string();
                sample("meshquake_load_request_duration_seconds_bucket", Some(le), below);
            }
            sample("meshquake_load_request_duration_seconds_bucket", Some("+Inf".into()), count);
            sample("meshquake_load_request_duration_seconds_sum", None, latency.sum().as_secs_f64());
            sample("meshquake_load_request_duration_seconds_count", None, count);
        }
        let mut plain = |name, value| samples.push(Sample { name, labels: BTreeMap::new(), value });
        plain("meshquake_load_arrivals_total", self.begun as f64);
        plain("meshquake_load_in_flight", second.in_flight as f64);
        (second.at + 1000, samples)
    }
}

fn labels(kind: &Kind) -> BTreeMap<String, String> {
    let outcome = if kind.ok { "ok" } else { "failed" };
    [
        ("journey", kind.journey.as_str()),
        ("request", &kind.request),
        ("status", &kind.status),
        ("outcome", outcome),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::second::tests::row;

    fn value(samples: &[Sample], name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name
                && wanted.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        samples.iter().find(fits).map(|sample| sample.value)
    }

    #[test]
    fn counters_grow_and_never_forget_a_kind() {
        let mut series = Series::default();
        let first =
            Second { at: 5000, rows: vec![row("200", true, &[2, 80])], begun: 2, ..Second::default() };
        let (time, samples) = series.push(&first);
        assert_eq!(time, 6000);
        assert_eq!(value(&samples, "meshquake_load_requests_total", &[("outcome", "ok")]), Some(2.0));
        let second = Second { at: 6000, rows: vec![row("503", false, &[3])], begun: 1, ..Second::default() };
        let (_, samples) = series.push(&second);
        let total = |labels| value(&samples, "meshquake_load_requests_total", labels);
        assert_eq!((total(&[("status", "200")]), total(&[("status", "503")])), (Some(2.0), Some(1.0)));
        assert_eq!(value(&samples, "meshquake_load_arrivals_total", &[]), Some(3.0));
        let bucket = |le| {
            value(
                &samples,
                "meshquake_load_request_duration_seconds_bucket",
                &[("status", "200"), ("le", le)],
            )
        };
        assert_eq!(
            ["0.001", "0.002", "0.075", "0.1", "+Inf"].map(bucket),
            [0.0, 1.0, 1.0, 2.0, 2.0].map(Some)
        );
    }
}
