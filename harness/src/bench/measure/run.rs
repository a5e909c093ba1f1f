//! A whole run as the library does it: the scenario is read, its world comes up, load, a pod is killed, everything is
//! judged, reported and taken down. What the time went into is what the run itself tells of its phases.

use std::time::{Duration, Instant};

use super::super::figure::{Better, Parts, Statistic};
use super::super::{Bench, Error, Figure, bed};
use super::from_millis;
use crate::backend::Choice;
use crate::event::{Event, Record, Relation, Unit};

const SCENARIO: &str = "version-pinning";

pub fn declared(on: &Choice) -> [Figure; 1] {
    let (limit, load) = if *on == Choice::Local { (9.0, 5) } else { (25.0, 10) };
    let means = format!(
        "A run of the scenario `{SCENARIO}` with {load} s of load, from reading its file to its reports written and its \
         world told to end. Built and cached."
    );
    [Figure::new("run", Unit::Seconds, Better::Lower, &means)
        .limit(Statistic::Median, Relation::AtMost, limit)
        .tolerance(0.15, 0.5)]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let lasts = Duration::from_secs(if bench.on_cluster() { 10 } else { 5 });
    bed::build(bench, &bed::world(None)?).await?;
    let rounds = bench.rounds(3);
    let (mut samples, mut verdicts, mut parts) = (Vec::new(), Vec::new(), Parts::default());
    for round in 1..=rounds {
        bed::clear(bench).await?;
        let began = Instant::now();
        let mut scenario = bed::scenario(SCENARIO)?;
        scenario.load.lasts = lasts;
        let (finished, records) = bed::run(bench, &scenario).await?;
        let took = began.elapsed().as_secs_f64();
        phases(&records, &mut parts);
        let verdict = finished.verdict();
        (bench.tell)(format!("run: {round} of {rounds}: {took:.2} s, {verdict}"));
        samples.push(took);
        let cause = finished.outcome.causes.first().map(|cause| format!(": {}", cause.text));
        verdicts.push(format!("{verdict}{}", cause.unwrap_or_default()));
    }
    let [figure] = declared(&bench.plan.choice);
    let held = verdicts.iter().filter(|verdict| *verdict == "held").count();
    let mut figure = figure.with(samples).parts(parts).note(format!("{held} of {rounds} runs held"));
    for verdict in verdicts.into_iter().filter(|verdict| verdict != "held") {
        figure = figure.note(verdict);
    }
    Ok(vec![figure])
}

fn phases(records: &[Record], parts: &mut Parts) {
    for record in records {
        if let Event::PhaseEnded { phase, took_ms } = record.event {
            parts.add(phase.word(), Unit::Seconds, from_millis(took_ms));
        }
    }
}
