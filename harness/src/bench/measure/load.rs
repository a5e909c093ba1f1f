//! A thousand requests a second through the whole chain for half a minute: none fails, the rate is kept, and what the
//! generator costs. Where that is too much, how much is borne.

use std::time::Duration;

use super::super::census::{Census, Role};
use super::super::figure::{Better, Parts, Statistic};
use super::super::load::{self, Done, Wanted};
use super::super::{Bench, Error, Figure, bed};
use crate::backend::Backend;
use crate::event::{Relation, Unit};
use crate::load::journey::Journey;
use crate::load::{Mode, Rate};

const RATE: u32 = 1000;
const LASTS: Duration = Duration::from_secs(30);
/// What is tried after it until one is borne, each for so long.
const LESS: [u32; 4] = [800, 600, 400, 200];
const TRY: Duration = Duration::from_secs(6);
/// How late the generator may be at its 99th percentile, in seconds.
const LATE: f64 = 0.005;
/// The share of the rate by which it may be missed.
const APART: f64 = 0.01;
/// What the limits hang on.
const TRIED: &str = "each request goes six times through an Envoy and three times through an app, on the same processors \
                     as the load worker; what they take for one is given with load-rate. Tried on two cores, where that \
                     was 1.7 ms for the Envoys and 0.4 ms for the apps: no metrics at all (a tenth less for the Envoys); \
                     an Envoy with nothing but a route, without mTLS (0.12 to 0.22 ms each time, so little is ours)";
/// Before it, so that connections are there.
const WARM_UP: (u32, Duration) = (200, Duration::from_secs(2));

pub fn declared() -> [Figure; 5] {
    let rate = f64::from(RATE);
    [
        Figure::new(
            "load-errors",
            Unit::Count,
            Better::Lower,
            "Of 1,000 requests a second for 30 s through all three hops, those without the right answer.",
        )
        .limit(Statistic::Largest, Relation::Equal, 0.0)
        .tolerance(0.0, 0.0)
        .if_missed(TRIED),
        Figure::new(
            "load-rate",
            Unit::PerSecond,
            Better::Neither,
            "Right answers a second of the same load.",
        )
        .limit(Statistic::Smallest, Relation::AtLeast, rate * (1.0 - APART))
        .limit(Statistic::Largest, Relation::AtMost, rate * (1.0 + APART)),
        Figure::new(
            "load-lag",
            Unit::Seconds,
            Better::Lower,
            "How late the generator itself sent what was due (99th percentile).",
        )
        .limit(Statistic::Largest, Relation::AtMost, LATE)
        .tolerance(0.25, 0.001),
        Figure::new(
            "load-worker",
            Unit::Percent,
            Better::Lower,
            "The share of one core that the load worker takes for it.",
        )
        .tolerance(0.25, 0.02),
        Figure::new(
            "load-borne",
            Unit::PerSecond,
            Better::Higher,
            "The highest of 1,000, 800, 600, 400 and 200 requests a second that is borne: each sent in time and answered \
             rightly; below 1,000 for 6 s. None is 0.",
        ),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    let images = bed::build(bench, &world).await?;
    let chain = load::journey(&world, "chain")?;
    let (warm_up, full) = (wanted(&chain, WARM_UP.0, WARM_UP.1), wanted(&chain, RATE, LASTS));
    let rounds = bench.rounds(1);
    let taken = bed::within(bench, &world, &images, false, async |up| {
        let supervisor = bed::supervisor(&up.backend).await?;
        let served = || Census::below(supervisor, &[Role::App, Role::Sidecar]);
        load::drive(&up.backend, &warm_up).await?;
        let mut loads = Vec::new();
        for round in 1..=rounds {
            let before = served();
            let done = load::drive(&up.backend, &full).await?;
            let after = served();
            (bench.tell)(format!("load: {round} of {rounds}: {:.1}/s", done.rate()));
            let each = |role| (after.time(role) - before.time(role)) / done.summary.requests().max(1) as f64;
            loads.push((each(Role::Sidecar), each(Role::App), done));
        }
        let is_borne = loads.iter().all(|(_, _, done)| is_borne(done));
        let borne = if is_borne { RATE } else { less(bench, &up.backend, &chain).await? };
        Ok((loads, borne))
    });
    let (loads, most) = taken.await?;
    let [mut errors, mut rate, mut lag, mut worker, borne] = declared();
    let mut latencies = Parts::default();
    let mut costs = Parts::default();
    for (sidecars, apps, done) in &loads {
        let told = done.told();
        errors.samples.push((told.intended - told.ok.min(told.intended)) as f64);
        rate.samples.push(done.rate());
        lag.samples.push(told.send_lag_p99_ms / 1e3);
        worker.samples.extend(done.worker);
        for request in &told.requests {
            latencies.add("answered, p50", Unit::Seconds, request.p50 / 1e3);
            latencies.add("answered, p99", Unit::Seconds, request.p99 / 1e3);
        }
        costs.add("processor time of the sidecars for a request", Unit::Seconds, *sidecars);
        costs.add("processor time of the apps for a request", Unit::Seconds, *apps);
        for error in &told.errors {
            errors.notes.push(format!("{} × {} {}", error.count, error.status, error.reason));
        }
        errors.notes.extend(told.bottleneck.map(|why| format!("the generator was the bottleneck: {why}")));
    }
    if worker.samples.is_empty() {
        worker = worker.missing("the kernel told nothing of the worker's processor time");
    }
    let seconds = loads.iter().flat_map(|(_, _, done)| done.seconds()).collect();
    let rate = rate.part("answers, second by second", Unit::PerSecond, seconds).parts(latencies).parts(costs);
    Ok(vec![errors, rate, lag, worker, borne.with(vec![f64::from(most)])])
}

fn wanted(chain: &Journey, rate: u32, lasts: Duration) -> Wanted {
    let mode = Mode::open(Rate::every_second(rate), load::TIMEOUT);
    Wanted { journey: chain.clone(), mode, lasts, workers: 1 }
}

/// The first rate on the way down that is borne.
async fn less(bench: &Bench<'_>, backend: &Backend, chain: &Journey) -> Result<u32, Error> {
    for rate in LESS {
        let done = load::drive(backend, &wanted(chain, rate, TRY)).await?;
        (bench.tell)(format!("load: {rate}/s: {:.1}/s answered", done.rate()));
        if is_borne(&done) {
            return Ok(rate);
        }
    }
    Ok(0)
}

fn is_borne(done: &Done) -> bool {
    let told = done.told();
    told.ok == told.intended && told.send_lag_p99_ms / 1e3 <= LATE
}
