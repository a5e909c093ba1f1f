//! What the worker has seen, by seconds from the start of the load.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::load::histogram::Latencies;
use crate::load::protocol::Totals;
use crate::load::second::{Cpu, ErrorSample, Kind, Row, Second};

/// No worker sends more examples of errors than this.
const MOST_SAMPLES: usize = 200;

/// The one clock of a worker: a monotonic one, hung up once on the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub start: Instant,
    /// The start in milliseconds since the epoch.
    pub start_ms: i64,
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn millis(&self, at: Instant) -> i64 {
        self.start_ms
            + i64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(i64::MAX)
    }

    /// The number of the second.
    pub fn second(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_secs()
    }

    pub fn end_of(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second + 1)
    }
}

pub struct Recorder {
    clock: Clock,
    samples_per_kind: usize,
    /// Seconds that have not been sent.
    open: BTreeMap<u64, Open>,
    seen: BTreeMap<(Kind, String), usize>,
    totals: Totals,
    raw: Option<File>,
}

#[derive(Default)]
struct Open {
    rows: BTreeMap<Kind, Latencies>,
    /// Everything but the rows.
    rest: Second,
}

impl Recorder {
    pub fn new(clock: Clock, samples_per_kind: usize, raw: Option<File>) -> Self {
        Self {
            clock,
            samples_per_kind,
            open: BTreeMap::new(),
            seen: BTreeMap::new(),
            totals: Totals::default(),
            raw,
        }
    }

    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A journey begins. `lag` is the worker's fault; `slot_wait`, if it had to wait for a slot, the system's.
    pub fn begun(&mut self, now: Instant, lag: Option<Duration>, slot_wait: Option<Duration>) {
        self.totals.begun += 1;
        let rest = &mut self.second(now).rest;
        rest.begun += 1;
        if let Some(lag) = lag {
            rest.send_lag.record(lag);
        }
        if let Some(wait) = slot_wait {
            rest.slot_wait.record(wait);
        }
    }

    /// An answer, or what came instead of one.
    pub fn answer(&mut self, now: Instant, kind: Kind, latency: Duration) {
        self.totals.requests += 1;
        if let Some(raw) = &mut self.raw {
            let Kind { journey, request, status, ok } = &kind;
            let line = format!("{journey}\t{request}\t{status}\t{ok}\t{}\n", latency.as_nanos());
            // Who compares finds what is missing.
            let _ = raw.write_all(line.as_bytes());
        }
        self.second(now).rows.entry(kind).or_default().record(latency);
    }

    /// An arrival was given up: every slot stayed busy past the timeout.
    pub fn no_slot(&mut self, now: Instant, journey: &str, request: &str, waited: Duration, lag: Duration) {
        self.begun(now, Some(lag), Some(waited));
        self.second(now).rest.no_slot += 1;
        let (journey, request) = (journey.to_owned(), request.to_owned());
        self.answer(now, Kind { journey, request, status: "no-slot".into(), ok: false }, waited);
    }

    /// Whether an example of this error is still wanted; `fault` is its reason without what differs each time.
    pub fn wants_sample(&mut self, kind: &Kind, fault: &str) -> bool {
        let kept: usize = self.seen.values().sum();
        let seen = self.seen.entry((kind.clone(), fault.to_owned())).or_default();
        let wanted = *seen < self.samples_per_kind && kept < MOST_SAMPLES;
        *seen += usize::from(wanted);
        wanted
    }

    pub fn sample(&mut self, now: Instant, sample: ErrorSample) {
        self.second(now).rest.samples.push(sample);
    }

    /// The second is over and leaves the recorder. A second is never sent twice, so that whoever adds them up counts
    /// nothing twice: what is recorded late belongs to the next one.
    pub fn close(&mut self, second: u64, in_flight: u64, cpu: Option<Cpu>) -> Second {
        let mut closed = Open::default();
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() <= second) {
            closed.absorb(entry.remove());
        }
        self.totals.seconds = self.totals.seconds.max(second + 1);
        let at = self.clock.start_ms + i64::try_from(second * 1000).unwrap_or(i64::MAX);
        let rows = closed.rows.into_iter().map(|(kind, latency)| Row { kind, latency }).collect();
        Second { at, rows, in_flight, cpu, ..closed.rest }
    }

    pub fn totals(&self, unfinished: u64) -> Totals {
        Totals { unfinished, ..self.totals }
    }

    fn second(&mut self, now: Instant) -> &mut Open {
        let second = self.clock.second(now).max(self.totals.seconds);
        self.open.entry(second).or_default()
    }
}

impl Open {
    fn absorb(&mut self, other: Open) {
        for (kind, latency) in other.rows {
            self.rows.entry(kind).or_default().merge(&latency);
        }
        self.rest.merge(&other.rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn kind(status: &str) -> Kind {
        Kind { journey: "j".into(), request: "r".into(), status: status.into(), ok: status == "200" }
    }

    fn recorder() -> (Recorder, Instant) {
        let start = Instant::now();
        (Recorder::new(Clock { start, start_ms: 50_000 }, 2, None), start)
    }

    #[test]
    fn what_happened_is_counted_in_its_second_and_once() {
        let (mut recorder, start) = recorder();
        recorder.begun(start + MILLI, Some(MILLI), None);
        recorder.answer(start + 900 * MILLI, kind("200"), 899 * MILLI);
        recorder.answer(start + 1100 * MILLI, kind("200"), MILLI);
        let first = recorder.close(0, 3, None);
        assert_eq!((first.at, first.begun, first.requests(), first.in_flight), (50_000, 1, 1, 3));
        // Recorded with a time in a second that was sent already.
        recorder.answer(start + 999 * MILLI, kind("200"), MILLI);
        let second = recorder.close(1, 0, None);
        assert_eq!((second.at, second.begun, second.requests()), (51_000, 0, 2));
        assert_eq!(recorder.close(2, 0, None).requests(), 0);
        assert_eq!(recorder.totals(4), Totals { seconds: 3, begun: 1, requests: 3, unfinished: 4 });
    }

    #[test]
    fn an_arrival_without_a_slot_is_a_failed_one_and_waited() {
        let (mut recorder, start) = recorder();
        recorder.no_slot(start, "j", "r", 500 * MILLI, MILLI);
        let second = recorder.close(0, 0, None);
        assert_eq!((second.begun, second.no_slot, second.requests(), second.ok()), (1, 1, 1, 0));
        assert_eq!(second.rows[0].kind, kind("no-slot"));
        assert_eq!((second.slot_wait.len(), second.send_lag.len()), (1, 1));
    }

    #[test]
    fn examples_are_limited_by_kind_and_fault() {
        let (mut recorder, _) = recorder();
        let mut wanted = |status: &str, fault: &str| recorder.wants_sample(&kind(status), fault);
        assert_eq!(["503", "503", "503"].map(|status| wanted(status, "status")), [true, true, false]);
        assert!(wanted("503", "another fault") && wanted("500", "status"));
        let many = (0..1000).filter(|number| wanted("500", &number.to_string())).count();
        assert_eq!(many, MOST_SAMPLES - 4);
    }
}
