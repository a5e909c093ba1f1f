//! Two load workers share a rate against what the first hop answers alone: beside the system in a cluster, as two
//! processes on `local`. Together they keep the rate that was asked for.

use std::time::Duration;

use super::super::figure::{Better, Statistic};
use super::super::load::{self, Done, Wanted};
use super::super::{Bench, Error, Figure, bed};
use crate::event::{LoadSummary, Relation, Unit};
use crate::load::{Mode, Rate};

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
    let wanted = Wanted {
        journey: load::journey(&world, "front")?,
        mode: Mode::open(Rate::every_second(RATE), load::TIMEOUT),
        lasts: LASTS,
        workers: WORKERS,
    };
    let taken = bed::within(bench, &world, &images, true, async |up| {
        let mut loads = Vec::new();
        for round in 1..=rounds {
            let done = load::drive(&up.backend, &wanted).await?;
            (bench.tell)(format!("workers: {round} of {rounds}: {:.1}/s", done.rate()));
            loads.push(done);
        }
        Ok(loads)
    });
    let loads = taken.await?;
    let told = loads.iter().map(Done::told).collect::<Vec<_>>();
    let of = |what: fn(&LoadSummary) -> f64| told.iter().map(what).collect::<Vec<_>>();
    let [figure] = declared();
    let mut figure = figure
        .with(loads.iter().map(Done::rate).collect())
        .part(
            "answers, second by second",
            Unit::PerSecond,
            loads.iter().flat_map(|load| load.seconds()).collect(),
        )
        .part("sent late, p99", Unit::Seconds, of(|load| load.send_lag_p99_ms / 1e3))
        .part("a worker's thread busy or waiting for a processor", Unit::Percent, of(|load| load.worker_cpu))
        .part("failed", Unit::Count, of(|load| load.failed as f64));
    for why in told.iter().filter_map(|load| load.bottleneck.as_ref()) {
        figure = figure.note(format!("the generator was the bottleneck: {why}"));
    }
    Ok(vec![figure])
}
