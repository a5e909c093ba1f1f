//! One second of load as the workers saw it: the unit in which everything is sent, added and judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Latencies;
use crate::event;

/// What answers are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    pub journey: String,
    pub request: String,
    /// The HTTP status, or `timeout`, `refused`, `reset`, `closed`, `no-slot`, `other`.
    pub status: String,
    /// It passed the checks. A 200 with the wrong body did not.
    pub ok: bool,
}

/// All answers of a kind within one second; their number is that of their latencies.
///
/// Latency counts from when the arrival was due (open loop, first request of a journey), else from when it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub kind: Kind,
    pub latency: Latencies,
}

/// How the worker's one thread fared, as shares of the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// It ran.
    pub ran: f64,
    /// It could have run, but the CPU was elsewhere.
    pub waited: f64,
}

/// A failed request with what is needed to find it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorSample {
    /// Milliseconds since the epoch.
    pub at: i64,
    pub kind: Kind,
    pub reason: String,
    /// The header as it was sent; the trace's id is its second field.
    pub traceparent: String,
    pub request_id: String,
    /// The beginning of the answer's body.
    pub body: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its start in milliseconds since the epoch. Seconds count from the start of the load, so the first is whole.
    pub at: i64,
    /// By kind, each once.
    pub rows: Vec<Row>,
    /// Arrivals that the scheduler handed out (open loop), or journeys that users began (closed loop).
    pub begun: u64,
    /// Of these, given up because no slot became free within the timeout.
    pub no_slot: u64,
    /// How late arrivals were because of the worker: its own scheduling, not a want of slots.
    pub send_lag: Latencies,
    /// How long arrivals waited because all slots were waiting for answers; only those that had to.
    pub slot_wait: Latencies,
    /// Journeys under way at its end.
    pub in_flight: u64,
    /// Absent where the second was not whole, or where the kernel keeps no such figures.
    pub cpu: Option<Cpu>,
    pub samples: Vec<ErrorSample>,
}

impl Second {
    /// Adds what another worker saw in the same second. Of the CPU, the worse counts.
    pub fn merge(&mut self, other: &Second) {
        merge_rows(&mut self.rows, &other.rows);
        self.begun += other.begun;
        self.no_slot += other.no_slot;
        self.send_lag.merge(&other.send_lag);
        self.slot_wait.merge(&other.slot_wait);
        self.in_flight += other.in_flight;
        let wanted = |cpu: &Option<Cpu>| cpu.map_or(-1.0, |cpu| cpu.ran + cpu.waited);
        if wanted(&other.cpu) > wanted(&self.cpu) {
            self.cpu = other.cpu;
        }
        self.samples.extend(other.samples.iter().cloned());
    }

    pub fn requests(&self) -> u64 {
        self.rows.iter().map(|row| row.latency.len()).sum()
    }

    pub fn ok(&self) -> u64 {
        self.rows.iter().filter(|row| row.kind.ok).map(|row| row.latency.len()).sum()
    }

    pub fn to_event(&self) -> event::LoadSecond {
        let mut all = Latencies::default();
        let mut by_status = BTreeMap::<&str, u64>::new();
        for row in &self.rows {
            all.merge(&row.latency);
            *by_status.entry(&row.kind.status).or_default() += row.latency.len();
        }
        let quantile = |quantile| all.quantile(quantile).map(millis);
        event::LoadSecond {
            second: self.at,
            sent: self.requests(),
            ok: self.ok(),
            failed: self.requests() - self.ok(),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            in_flight: self.in_flight,
            by_status: by_status.into_iter().map(|(status, count)| (status.to_owned(), count)).collect(),
        }
    }
}

/// Adds rows to rows by kind; the result is in the order of kinds.
pub fn merge_rows(into: &mut Vec<Row>, more: &[Row]) {
    for row in more {
        match into.binary_search_by(|known| known.kind.cmp(&row.kind)) {
            Ok(at) => into[at].latency.merge(&row.latency),
            Err(at) => into.insert(at, row.clone()),
        }
    }
}

pub fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn row(status: &str, ok: bool, millis: &[u64]) -> Row {
        Row {
            kind: Kind { journey: "j".into(), request: "r".into(), status: status.into(), ok },
            latency: millis.iter().map(|value| Duration::from_millis(*value)).collect(),
        }
    }

    #[test]
    fn merging_adds_counts_and_keeps_kinds_apart() {
        let mut one = Second {
            rows: vec![row("200", false, &[5]), row("200", true, &[1, 2])],
            begun: 3,
            in_flight: 1,
            cpu: Some(Cpu { ran: 0.1, waited: 0.7 }),
            ..Second::default()
        };
        let other = Second {
            rows: vec![row("200", true, &[3]), row("503", false, &[4])],
            begun: 2,
            no_slot: 1,
            in_flight: 2,
            cpu: Some(Cpu { ran: 0.5, waited: 0.1 }),
            ..Second::default()
        };
        one.merge(&other);
        assert_eq!(
            one.rows,
            [row("200", false, &[5]), row("200", true, &[1, 2, 3]), row("503", false, &[4])]
        );
        assert_eq!((one.begun, one.no_slot, one.in_flight), (5, 1, 3));
        assert_eq!((one.requests(), one.ok()), (5, 3));
        assert_eq!(one.cpu, Some(Cpu { ran: 0.1, waited: 0.7 }));
    }

    #[test]
    fn an_event_counts_by_status_whether_or_not_the_check_passed() {
        let second =
            Second { rows: vec![row("200", false, &[8]), row("200", true, &[2, 4])], ..Second::default() };
        let event = second.to_event();
        assert_eq!((event.sent, event.ok, event.failed), (3, 2, 1));
        assert_eq!(event.by_status, [("200".to_owned(), 3)]);
        // Three digits: 4 ms is known to a few microseconds.
        assert!(event.p50.is_some_and(|p50| (p50 - 4.0).abs() < 0.01), "{event:?}");
        assert_eq!(Second::default().to_event().p99, None);
    }
}
