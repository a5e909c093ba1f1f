//! Two load workers share a rate against what the first hop answers alone: beside the system in a cluster, as two
//! processes on `local`. Together they keep the rate that was asked for.

use std::time::Duration;

use super::super::figure::{Better, Statistic};
use super::super::{Bench, Error, Figure, bed};
use crate::backend::Backend;
use crate::event::{LoadSummary, Relation, Unit};
use crate::load::journey::{Check, Journey, Method, Step};
use crate::load::{Limits, Load, LoadPlan, Mode, Rate, Second, Summary};

const WORKERS: u32 = 2;
/// Of both together.
const RATE: u32 = 500;
const LASTS: Duration = Duration::from_secs(15);
/// The share of the rate by which it may be missed.
const APART: f64 = 0.01;

pub fn declared() -> [Figure; 1] {
    let rate = f64::from(RATE);
    [Figure::new(
        "workers-rate",
        Unit::PerSecond,
        Better::Neither,
        "Right answers a second that two load workers of 250 requests a second each get together from one hop.",
    )
    .limit(Statistic::Smallest, Relation::AtLeast, rate * (1.0 - APART))
    .limit(Statistic::Largest, Relation::AtMost, rate * (1.0 + APART))]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    let images = bed::build(bench, &world).await?;
    let rounds = bench.rounds(3);
    let taken = bed::within(bench, &world, &images, true, async |up| {
        let mut loads = Vec::new();
        for round in 1..=rounds {
            let summary = load(&up.backend).await?;
            let rate = answered(&summary);
            (bench.tell)(format!("workers: {round} of {rounds}: {rate:.1}/s"));
            loads.push(summary);
        }
        Ok(loads)
    });
    let loads = taken.await?;
    let told = loads.iter().map(|load| load.to_event(&Limits::default())).collect::<Vec<_>>();
    let of = |what: fn(&LoadSummary) -> f64| told.iter().map(what).collect::<Vec<_>>();
    // The answers that came after the end of the load are no second of it.
    let whole = |load: &'_ Summary| {
        load.seconds.iter().take(LASTS.as_secs() as usize).map(Second::ok).collect::<Vec<_>>()
    };
    let seconds = loads.iter().flat_map(whole).map(|answers| answers as f64).collect();
    let [figure] = declared();
    let mut figure = figure
        .with(loads.iter().map(answered).collect())
        .part("answers, second by second", Unit::PerSecond, seconds)
        .part("sent late, p99", Unit::Seconds, of(|load| load.send_lag_p99_ms / 1e3))
        .part("a worker's thread busy or waiting for a processor", Unit::Percent, of(|load| load.worker_cpu))
        .part("failed", Unit::Count, of(|load| load.failed as f64));
    for why in told.iter().filter_map(|load| load.bottleneck.as_ref()) {
        figure = figure.note(format!("the generator was the bottleneck: {why}"));
    }
    Ok(vec![figure])
}

async fn load(backend: &Backend) -> Result<Summary, Error> {
    let (host, base) = backend.load_host(Some(WORKERS)).await.map_err(Error::Failed)?;
    let timeout = Duration::from_secs(2);
    let mode = Mode::open(Rate::every_second(RATE), timeout);
    let plan =
        LoadPlan { length: LASTS, timeout, drain: timeout, ..LoadPlan::new(base, vec![one_hop()], mode) };
    let running = Load::start(&plan, WORKERS, host.as_ref()).await.map_err(Error::of)?;
    let summary = running.finish().await;
    match summary.deaths.first() {
        Some(death) => Err(Error::Failed(format!("load worker {} was lost: {}", death.worker, death.why))),
        None => Ok(summary),
    }
}

fn answered(load: &Summary) -> f64 {
    load.ok() as f64 / LASTS.as_secs_f64()
}

fn one_hop() -> Journey {
    let step = Step {
        name: "health".to_owned(),
        method: Method::Get,
        path: "/health".into(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        capture: std::collections::BTreeMap::new(),
        check: Check { status: vec![200], body: None },
        think: None,
        timeout: None,
    };
    Journey { name: "one-hop".to_owned(), weight: 1, steps: vec![step], ..Journey::default() }
}
