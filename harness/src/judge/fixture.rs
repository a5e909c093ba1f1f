//! A run in memory for tests: a load of ten requests a second and two callers, with what a test does to them.

use std::collections::BTreeMap;
use std::time::Duration;

use meshquake_promql::Labels;
use meshquake_xds::source::Place;

use super::load::{ARRIVALS, BUCKETS, IN_FLIGHT, LoadRecorder, REQUESTS};
use super::objective::{Bound, Expression, NoData, Objective, Requests, Window};
use super::outside::Asked;
use super::samples::{Reading, Samples};
use super::{ActionMarks, Edge, Judge, Marks, Scene};
use crate::event::{Judged, Relation};

pub const START: i64 = 10_000;
/// Seconds of load.
pub const SECONDS: i64 = 20;

/// Ok and failed requests of a second of load.
#[derive(Clone, Copy)]
pub struct Second {
    pub ok: u64,
    pub failed: u64,
}

pub struct Run {
    pub samples: Samples,
    pub marks: Marks,
    pub scene: Scene,
}

impl Run {
    /// The action lasts from second 8 (proved at 8.2) to second 12 (undone at 12.3).
    pub fn new(second: impl Fn(i64) -> Second) -> Self {
        let run = Self::without_load();
        let mut recorder = LoadRecorder::new(run.samples.clone());
        let (mut ok, mut failed) = (0, 0);
        for index in 0..SECONDS {
            let Second { ok: more_ok, failed: more_failed } = second(index);
            ok += more_ok;
            failed += more_failed;
            let outcomes = [("200", "ok", ok, "0.01"), ("503", "failed", failed, "0.5")];
            let mut totals: Vec<(&str, BTreeMap<String, String>, f64)> = Vec::new();
            for (status, outcome, count, edge) in outcomes {
                if count == 0 {
                    continue;
                }
                let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                let labels: BTreeMap<_, _> = [
                    label("journey", "order"),
                    label("request", "pay"),
                    label("status", status),
                    label("outcome", outcome),
                ]
                .into();
                totals.push((REQUESTS, labels.clone(), count as f64));
                for le in ["0.005", "0.01", "0.1", "0.5", "1", "+Inf"] {
                    let reached = le == "+Inf"
                        || le.parse::<f64>().is_ok_and(|le| edge.parse().is_ok_and(|e: f64| le >= e));
                    let mut labels = labels.clone();
                    labels.insert("le".into(), le.into());
                    totals.push((BUCKETS, labels, if reached { count as f64 } else { 0.0 }));
                }
            }
            totals.push((ARRIVALS, BTreeMap::new(), (ok + failed) as f64));
            totals.push((IN_FLIGHT, BTreeMap::new(), 0.0));
            let at = START + 1000 * (index + 1);
            recorder
                .push(at, totals.iter().map(|(name, labels, value)| (*name, labels, *value)))
                .expect("in order");
        }
        run
    }

    pub fn without_load() -> Self {
        let edge = |source: &str, destination: &str| Edge {
            source: source.into(),
            destination: destination.into(),
            crossing: source.ends_with("v1") != destination.ends_with("v1"),
        };
        let edges =
            vec![edge("a-v1", "b-v1"), edge("a-v1", "b-v2"), edge("a-v2", "b-v1"), edge("a-v2", "b-v2")];
        let action = ActionMarks {
            name: "shake".into(),
            asked: Some(START + 8000),
            proved: Some(START + 8200),
            undo_asked: Some(START + 12_000),
            undo_verified: Some(START + 12_300),
        };
        let marks = Marks {
            load_start: START,
            warm_up_end: START + 2000,
            actions: vec![action],
            load_end: Some(START + SECONDS * 1000),
            spoiled: None,
        };
        Self { samples: Samples::in_memory(), marks, scene: Scene { edges, gateway: None } }
    }

    /// Calls from one workload to another in each second, read at 400 ms into the next one.
    pub fn calls(&self, source: &str, destination: &str, code: &str, count: impl Fn(i64) -> Option<u64>) {
        let labels = Labels::named("istio_requests_total")
            .with("pod", source)
            .with("reporter", "source")
            .with("source_workload", source)
            .with("destination_workload", destination)
            .with("response_code", code);
        let mut total = 0;
        let mut before = None;
        for index in 0..=SECONDS {
            let at = START + 1000 * index + 400;
            let seen = count(index);
            total += seen.unwrap_or(0);
            if seen.is_some() && total > 0 {
                let reading = Reading { labels: labels.clone(), value: total as f64, counts: true };
                self.samples.append(at, before, &[reading]).expect("in order");
            } else if seen.is_none() {
                self.samples.end(at, [&labels]).expect("in order");
            }
            before = seen.map(|_| at);
        }
    }

    /// Whether the metrics of a workload could be read in each round; nothing once it is gone.
    pub fn up(&self, pod: &str, is_up: impl Fn(i64) -> Option<bool>) {
        let labels = Labels::named("up").with("pod", pod).with("container", "istio-proxy");
        for index in 0..=SECONDS {
            let at = START + 1000 * index + 400;
            match is_up(index) {
                Some(up) => {
                    let value = f64::from(u8::from(up));
                    let reading = Reading { labels: labels.clone(), value, counts: false };
                    self.samples.append(at, None, &[reading]).expect("in order");
                }
                None => self.samples.end(at, [&labels]).expect("in order"),
            }
        }
    }

    /// Both callers call their own version ten times a second, and are read all the time.
    pub fn healthy_mesh(&self) {
        for version in ["v1", "v2"] {
            self.calls(&format!("a-{version}"), &format!("b-{version}"), "200", |_| Some(10));
            self.up(&format!("a-{version}"), |_| Some(true));
        }
    }

    pub fn asked(&self, objective: &Objective) -> (Judged, Result<Asked, String>) {
        self.samples.read(|store| {
            let judge = Judge { store, marks: &self.marks, scene: &self.scene };
            (judge.judge(objective), judge.asked(objective))
        })
    }

    pub fn judge(&self, objective: &Objective) -> Judged {
        self.samples.read(|store| Judge { store, marks: &self.marks, scene: &self.scene }.judge(objective))
    }
}

pub fn objective(window: Window, expression: Expression, relation: Relation, value: f64) -> Objective {
    Objective {
        name: "it".into(),
        place: Place::new("s.yaml", 1),
        window,
        expression,
        bound: Bound { relation, value },
        no_data: NoData::Inconclusive,
        min_samples: 1,
        every: None,
    }
}

pub fn success(window: Window, at_least: f64) -> Objective {
    objective(window, Expression::Success(Requests::default()), Relation::AtLeast, at_least)
}

pub fn recovery(within_s: u64, at_least: f64) -> Objective {
    let window = Window::Recovery {
        action: None,
        within: Duration::from_secs(within_s),
        hold: Duration::from_secs(3),
    };
    success(window, at_least)
}

pub const WELL: Second = Second { ok: 10, failed: 0 };
pub const ILL: Second = Second { ok: 4, failed: 6 };
