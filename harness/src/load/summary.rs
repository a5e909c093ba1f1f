//! A whole load as it was seen, once it is over: its counts, its examples of errors, and whether it can be trusted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::WorkerDied;
use super::health::{self, GeneratorHealth, Limits};
use super::histogram::Latencies;
use super::plan::{LoadPlan, Mode};
use super::protocol::Totals;
use super::schedule::Schedule;
use super::second::{ErrorSample, Row, Second, merge_rows, millis};
use super::series::EDGES_MS;
use crate::event;

/// So much of what was intended must have begun, whatever else looks well: a load that is less is another load. What was
/// due in the moment of the stop may be missing.
const MOST_OF: f64 = 0.95;

/// A whole load, as it was seen.
#[derive(Clone, Debug)]
pub struct Summary {
    pub plan: LoadPlan,
    /// Milliseconds since the epoch.
    pub started: i64,
    /// When it was told to stop, if it was, from its start.
    pub stopped: Option<Duration>,
    /// When its last worker had nothing more to say, milliseconds since the epoch.
    pub ended: i64,
    pub seconds: Vec<Second>,
    /// What the workers counted themselves.
    pub totals: Totals,
    pub deaths: Vec<WorkerDied>,
}

impl Summary {
    pub(super) fn new(plan: LoadPlan, started: i64) -> Self {
        let (seconds, deaths) = (Vec::new(), Vec::new());
        Self { plan, started, stopped: None, ended: started, seconds, totals: Totals::default(), deaths }
    }

    /// All answers by kind.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.seconds.iter().for_each(|second| merge_rows(&mut rows, &second.rows));
        rows
    }

    pub fn requests(&self) -> u64 {
        self.seconds.iter().map(Second::requests).sum()
    }

    pub fn ok(&self) -> u64 {
        self.seconds.iter().map(Second::ok).sum()
    }

    pub fn begun(&self) -> u64 {
        self.seconds.iter().map(|second| second.begun).sum()
    }

    pub fn samples(&self) -> impl Iterator<Item = &ErrorSample> {
        self.seconds.iter().flat_map(|second| &second.samples)
    }

    /// Arrivals that the schedule has until the load was stopped; what a closed loop began.
    pub fn intended(&self) -> u64 {
        match self.plan.mode {
            Mode::Closed { .. } => self.begun(),
            Mode::Open { .. } => {
                let end = self.stopped.unwrap_or(self.plan.length);
                Schedule::new(&self.plan).take_while(|arrival| arrival.due < end).count() as u64
            }
        }
    }

    /// Whether the generator can be trusted; a worker that was lost, or lost lines, are its fault as well.
    pub fn health(&self, limits: &Limits) -> GeneratorHealth {
        let judged = health::judge(&self.seconds, limits);
        let mut all = match &judged {
            GeneratorHealth::Ok | GeneratorHealth::Strained { .. } => Vec::new(),
            GeneratorHealth::Bottleneck { why } => why.clone(),
        };
        all.extend(
            self.deaths.iter().map(|died| format!("load worker {} was lost: {}", died.worker, died.why)),
        );
        if self.deaths.is_empty() && self.totals.requests != self.requests() {
            all.push(format!(
                "its workers counted {} requests, their reports {}",
                self.totals.requests,
                self.requests()
            ));
        }
        let (begun, intended) = (self.begun(), self.intended());
        if self.deaths.is_empty() && (begun as f64) < MOST_OF * intended as f64 {
            all.push(format!("of {intended} arrivals only {begun} were begun"));
        }
        if all.is_empty() { judged } else { GeneratorHealth::Bottleneck { why: all } }
    }

    pub fn to_event(&self, limits: &Limits) -> event::LoadSummary {
        let rows = self.rows();
        let mut lag = Latencies::default();
        self.seconds.iter().for_each(|second| lag.merge(&second.send_lag));
        let health = self.health(limits);
        event::LoadSummary {
            seconds: self.stopped.unwrap_or(self.plan.length).as_secs_f64(),
            intended: self.intended(),
            sent: self.requests(),
            ok: self.ok(),
            failed: self.requests() - self.ok(),
            rate_intended: match self.plan.mode {
                Mode::Open { rate, .. } => Some(rate.per_second()),
                Mode::Closed { .. } => None,
            },
            rate_kept: self.begun() as f64 / self.stopped.unwrap_or(self.plan.length).as_secs_f64().max(1e-3),
            send_lag_p99_ms: lag.quantile(0.99).map_or(0.0, millis),
            worker_cpu: health::mean_cpu(&self.seconds),
            bottleneck: match &health {
                GeneratorHealth::Ok | GeneratorHealth::Strained { .. } => None,
                GeneratorHealth::Bottleneck { why } => Some(why.join("; ")),
            },
            requests: requests(&rows),
            errors: self.errors(&rows),
        }
    }

    /// One example of each kind of error and reason.
    fn errors(&self, rows: &[Row]) -> Vec<event::ErrorSample> {
        let mut first = BTreeMap::new();
        for sample in self.samples() {
            first.entry((&sample.kind, &sample.reason)).or_insert(sample);
        }
        let count = |sample: &ErrorSample| {
            rows.iter().find(|row| row.kind == sample.kind).map_or(0, |row| row.latency.len())
        };
        let error = |sample: &ErrorSample| event::ErrorSample {
            at: sample.at,
            journey: sample.kind.journey.clone(),
            request: sample.kind.request.clone(),
            status: sample.kind.status.clone(),
            reason: sample.reason.clone(),
            trace_id: sample.traceparent.split('-').nth(1).unwrap_or_default().to_owned(),
            request_id: sample.request_id.clone(),
            body: sample.body.clone(),
            count: count(sample),
        };
        first.into_values().map(error).collect()
    }
}

/// Rows without their status.
fn requests(rows: &[Row]) -> Vec<event::RequestSummary> {
    let mut all: BTreeMap<(&str, &str), (Latencies, u64)> = BTreeMap::new();
    for row in rows {
        let (latency, failed) = all.entry((&row.kind.journey, &row.kind.request)).or_default();
        latency.merge(&row.latency);
        *failed += if row.kind.ok { 0 } else { row.latency.len() };
    }
    let summary = |((journey, request), (latency, failed)): ((&str, &str), (Latencies, u64))| {
        let quantile = |quantile| latency.quantile(quantile).map_or(0.0, millis);
        event::RequestSummary {
            journey: journey.to_owned(),
            request: request.to_owned(),
            count: latency.len(),
            failed,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: latency.max().map_or(0.0, millis),
            buckets: buckets(&latency),
        }
    };
    all.into_iter().map(summary).collect()
}

/// How many values lie in each bucket, by its upper edge in milliseconds; empty ones at both ends are left out.
fn buckets(latency: &Latencies) -> Vec<(f64, u64)> {
    let mut below = 0;
    let mut buckets = Vec::new();
    for edge in EDGES_MS {
        let up_to = latency.count_at_most(Duration::from_millis(edge));
        if up_to > 0 && below < latency.len() {
            buckets.push((edge as f64, up_to - below));
        }
        below = up_to;
    }
    buckets
}
