//! A small builder of recorded runs: what a run would have written, with numbers that look like a run's.

use crate::event::*;
use crate::verdict::{Cause, Outcome};

/// Saturday, 21 November 2026, 10:00 UTC.
pub const START: i64 = 1_795_255_200_000;

pub struct Tape {
    pub records: Vec<Record>,
    /// Milliseconds since [`START`].
    pub now: i64,
    load_at: i64,
    noise: u64,
}

/// What the load sees in one second.
#[derive(Clone, Copy)]
pub struct Weather {
    pub rate: u64,
    pub failed: u64,
    pub status: &'static str,
    pub base_ms: f64,
}

pub const FAIR: Weather = Weather { rate: 100, failed: 0, status: "503", base_ms: 4.0 };

pub fn started(scenario: &str) -> RunStarted {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    RunStarted {
        run: format!("20261121-100000-{scenario}"),
        scenario: scenario.into(),
        about: "A request that entered v1 stays in v1, also while a pod is killed.".into(),
        file: format!("scenarios/{scenario}.yaml"),
        text: format!(
            "apiVersion: meshquake/v1\nkind: Scenario\nname: {scenario}\nworld: pinning\nseed: 7\n"
        ),
        world: "pinning".into(),
        world_digest: "sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a".into(),
        backend: "local".into(),
        seed: 7,
        again: format!("meshquake run scenarios/{scenario}.yaml --seed 7"),
        versions: vec![pair("meshquake", "0.1.0"), pair("envoy", "1.40.0")],
        machine: vec![pair("processors", "2"), pair("memory", "8 GiB"), pair("kernel", "Linux 6.1")],
        actions: vec![],
        objectives: vec![],
        expect: None,
        inert: vec!["base/microservice-a.yaml:14: resources.limits (local has no limits)".into()],
    }
}

pub fn plan(name: &str, kind: &str, what: &str, at_ms: u64, for_ms: Option<u64>) -> ActionPlan {
    ActionPlan { name: name.into(), kind: kind.into(), what: what.into(), at_ms, for_ms }
}

pub fn judged(
    name: &str,
    window: &str,
    value: Option<f64>,
    unit: Unit,
    relation: Relation,
    bound: f64,
) -> Judged {
    let verdict = match value {
        None => crate::verdict::Verdict::Inconclusive,
        Some(value) if relation.holds(value, bound) => crate::verdict::Verdict::Held,
        Some(_) => crate::verdict::Verdict::Failed,
    };
    let reason = match verdict {
        crate::verdict::Verdict::Inconclusive => "no series matches in this window".into(),
        crate::verdict::Verdict::Failed => "the value is on the wrong side of its bound".into(),
        _ => "the value is on the right side of its bound".to_owned(),
    };
    Judged {
        name: name.into(),
        window: window.into(),
        verdict,
        value,
        unit,
        relation,
        bound,
        samples: if value.is_some() { 2_000 } else { 0 },
        reason,
        promql: vec![format!("sum(increase(meshquake_load_requests_total{{ok=\"true\"}}[{window}]))")],
    }
}

pub fn plans(judged: &[Judged]) -> Vec<ObjectivePlan> {
    let bound = |judged: &Judged| super::super::numbers::bound(judged);
    judged
        .iter()
        .map(|j| ObjectivePlan { name: j.name.clone(), window: j.window.clone(), bound: bound(j) })
        .collect()
}

impl Tape {
    pub fn new(started: RunStarted) -> Self {
        let mut tape = Self { records: vec![], now: 0, load_at: 0, noise: 42 };
        tape.say(Event::RunStarted(started));
        tape
    }

    pub fn say(&mut self, event: Event) {
        self.records.push(Record { at: START + self.now, event });
    }

    pub fn phase(&mut self, phase: Phase, took_ms: i64) {
        self.say(Event::PhaseStarted { phase });
        self.now += took_ms;
        self.say(Event::PhaseEnded { phase, took_ms: took_ms as u64 });
    }

    pub fn pod(&mut self, name: &str, workload: &str, version: &str, state: &str) {
        let (ready, gone) = (state == "ready", state == "gone");
        let reason = (!ready && !gone).then(|| state.to_owned());
        self.say(Event::Pod(Pod {
            name: name.into(),
            namespace: "pinning".into(),
            workload: workload.into(),
            version: version.into(),
            phase: if gone { "Failed".into() } else { "Running".into() },
            ready,
            restarts: 0,
            reason,
            gone,
        }));
    }

    /// Check, build, up with the six pods of `pinning`, warm-up; then the load begins.
    pub fn up(&mut self) {
        self.phase(Phase::Check, 12);
        self.say(Event::PhaseStarted { phase: Phase::Build });
        self.say(Event::Progress { phase: Phase::Build, text: "shop with feature pinning".into() });
        self.now += 1_240;
        self.say(Event::PhaseEnded { phase: Phase::Build, took_ms: 1_240 });
        self.say(Event::PhaseStarted { phase: Phase::Up });
        for (index, (service, version)) in services().enumerate() {
            self.now += 60 + 15 * index as i64;
            let workload = format!("microservice-{service}-{version}");
            self.pod(&format!("{workload}-7d4f9-{index}x"), &workload, version, "ready");
        }
        self.say(Event::WorldUp(WorldUp {
            entry: "http://127.64.0.10:80".into(),
            urls: vec![],
            pods: 6,
            sidecars: 7,
            took_ms: 1_180,
            steps: vec![],
            versions: vec![],
        }));
        self.say(Event::PhaseEnded { phase: Phase::Up, took_ms: 1_180 });
        self.phase(Phase::WarmUp, 1_000);
        self.phase(Phase::Steady, 2_000);
        self.load(Some(100.0));
    }

    pub fn load(&mut self, rate: Option<f64>) {
        self.say(Event::PhaseStarted { phase: Phase::Load });
        self.load_at = self.now;
        self.say(Event::LoadStarted {
            rate,
            users: rate.is_none().then_some(20),
            workers: 1,
            journeys: vec!["chain".into()],
        });
    }

    fn noise(&mut self) -> f64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 40) as f64 / (1_u64 << 24) as f64
    }

    pub fn second(&mut self, weather: Weather) {
        let Weather { rate, failed, status, base_ms } = weather;
        let second = START + self.now;
        self.now += 1_000;
        let base = base_ms * (0.9 + 0.2 * self.noise());
        let answered = rate > 0;
        let ms = |factor: f64| answered.then(|| (base * factor * 100.0).round() / 100.0);
        let ok = rate.saturating_sub(failed);
        let (p95, p99) = (1.8 + 0.4 * self.noise(), 2.5 + 1.5 * self.noise());
        let mut by_status = vec![];
        if ok > 0 {
            by_status.push(("200".to_owned(), ok));
        }
        if failed > 0 {
            by_status.push((status.to_owned(), failed));
        }
        let (p50, p95, p99) = (ms(1.0), ms(p95), ms(p99));
        self.say(Event::LoadSecond(LoadSecond {
            second,
            sent: rate,
            ok,
            failed,
            p50,
            p95,
            p99,
            in_flight: 2,
            by_status,
        }));
    }

    pub fn seconds(&mut self, count: usize, weather: Weather) {
        (0..count).for_each(|_| self.second(weather));
    }

    /// A step of an action, so many milliseconds after the second that is just over (or before, when negative).
    pub fn step(&mut self, after_ms: i64, name: &str, step: ActionStep) {
        let event = Event::Action { name: name.into(), step };
        self.records.push(Record { at: START + self.now + after_ms, event });
    }

    pub fn asked(&mut self, after_ms: i64, name: &str, target: &str) {
        self.step(after_ms, name, ActionStep::Asked { target: target.into(), killed: vec![] });
    }

    pub fn proved(&mut self, after_ms: i64, name: &str, observation: &str) {
        self.step(after_ms, name, ActionStep::Proved { observation: observation.into() });
    }

    pub fn undone(&mut self, after_ms: i64, name: &str, how: &str) {
        self.step(after_ms, name, ActionStep::UndoAsked);
        self.step(after_ms + 240, name, ActionStep::UndoVerified { how: how.into() });
    }

    pub fn load_ended(&mut self, errors: Vec<ErrorSample>) {
        let (mut sent, mut ok) = (0, 0);
        for record in &self.records {
            if let Event::LoadSecond(second) = &record.event {
                sent += second.sent;
                ok += second.ok;
            }
        }
        let seconds = (self.now - self.load_at) as f64 / 1e3;
        self.say(Event::LoadEnded(LoadSummary {
            seconds,
            intended: sent,
            sent,
            ok,
            failed: sent - ok,
            rate_intended: Some(100.0),
            rate_kept: (sent as f64 / seconds * 100.0).round() / 100.0,
            send_lag_p99_ms: 0.42,
            worker_cpu: 0.18,
            bottleneck: None,
            requests: vec![RequestSummary {
                journey: "chain".into(),
                request: "GET /".into(),
                count: sent,
                failed: sent - ok,
                p50: 4.02,
                p95: 8.1,
                p99: 14.6,
                max: 212.0,
                buckets: vec![
                    (2.0, 12),
                    (5.0, sent / 2),
                    (10.0, sent / 3),
                    (20.0, sent / 8),
                    (50.0, 9),
                    (100.0, 0),
                    (250.0, 4),
                ],
            }],
            errors,
        }));
        self.say(Event::PhaseEnded { phase: Phase::Load, took_ms: (self.now - self.load_at) as u64 });
    }

    pub fn calls(&mut self, crossing: f64) {
        let mut edges = Vec::new();
        let mut call = |source: (&str, &str), destination: (&str, &str), requests: f64, errors: f64| {
            edges.push(Call {
                source: source.0.into(),
                source_version: source.1.into(),
                destination: destination.0.into(),
                destination_version: destination.1.into(),
                requests,
                errors,
                rate: requests / 20.0,
                p95_ms: Some(if destination.0.contains("-a") { 7.9 } else { 3.4 }),
                crossing: !source.1.is_empty() && source.1 != destination.1,
            });
        };
        for version in ["v1", "v2"] {
            call(("gateway", ""), (&format!("microservice-a-{version}"), version), 1_000.0, 0.0);
            for (from, to) in [("a", "b"), ("b", "c")] {
                for other in ["v1", "v2"] {
                    let requests = if version == other { 1_000.0 - crossing } else { crossing };
                    if requests > 0.0 {
                        let source = format!("microservice-{from}-{version}");
                        let errors = if version == other { 0.0 } else { requests / 2.0 };
                        call(
                            (&source, version),
                            (&format!("microservice-{to}-{other}"), other),
                            requests,
                            errors,
                        );
                    }
                }
            }
        }
        self.say(Event::Calls { edges });
    }

    /// Three calls for each request, and what failed on one edge, in which second of the load; each was sent again once.
    pub fn mesh(&mut self, failed: &[(i64, &str, &str, u64)]) {
        let failure = |(second, status, flag, count): &(i64, &str, &str, u64)| MeshFailure {
            source: "microservice-a-v1".into(),
            destination: "microservice-b-v1".into(),
            status: (*status).into(),
            flag: (*flag).into(),
            seconds: vec![(START + self.load_at + second * 1_000, *count)],
        };
        let failures = failed.iter().map(failure).collect::<Vec<_>>();
        let seconds = self.records.iter().filter_map(|record| match &record.event {
            Event::LoadSecond(load) => {
                let again = failures.iter().flat_map(|failure| &failure.seconds);
                let again = again.filter(|(second, _)| *second == load.second).map(|(_, count)| count).sum();
                Some(MeshSecond { second: load.second, calls: 3 * load.sent, retries: again })
            }
            _ => None,
        });
        let seconds = seconds.collect();
        self.say(Event::Mesh(Mesh { seconds, failures }));
        self.say(Event::Scraped(Scraped { rounds: 20, median_ms: 1_000, longest_ms: 1_240 }));
        let usage = services().enumerate().map(|(index, (service, version))| Usage {
            pod: format!("microservice-{service}-{version}-7d4f9-{index}x"),
            namespace: "pinning".into(),
            cpu: Some(0.021 + 0.004 * index as f64),
            memory: Some(9_437_184),
            sidecar_memory: Some(17_825_792),
        });
        let pods = usage.collect();
        self.say(Event::Usage { pods });
    }

    pub fn judge(&mut self, all: &[Judged]) {
        for judged in all {
            self.say(Event::Judged(judged.clone()));
        }
        self.phase(Phase::Judge, 45);
    }

    pub fn end(&mut self, causes: Vec<Cause>) {
        self.phase(Phase::Down, 310);
        let outcome = Outcome::of(causes);
        let (verdict, exit) = (outcome.verdict(), outcome.exit().0);
        self.say(Event::Ended { outcome, verdict, exit });
    }

    pub fn jsonl(&self) -> String {
        let header = Header { schema: SCHEMA, meshquake: "0.1.0".into() };
        let mut text = serde_json::to_string(&header).unwrap() + "\n";
        let mut records = self.records.clone();
        records.sort_by_key(|record| record.at);
        for record in &records {
            text += &(serde_json::to_string(record).unwrap() + "\n");
        }
        text
    }
}

pub fn services() -> impl Iterator<Item = (&'static str, &'static str)> {
    ["a", "b", "c"].into_iter().flat_map(|service| ["v1", "v2"].map(|version| (service, version)))
}
