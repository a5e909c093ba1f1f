//! A whole run as the library does it: the scenario is read, its world comes up, load, a pod is killed, everything is
//! judged, reported and taken down. What the time went into is what the run itself tells of its phases.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::figure::{Better, Parts, Statistic};
use super::super::{Bench, Error, Figure, bed};
use super::from_millis;
use crate::backend::Choice;
use crate::event::{Event, Record, Relation, Unit};
use crate::problem;
use crate::run::{self, Options};
use crate::scenario::{self, Scenario};

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
        let path = scenario::find(SCENARIO).map_err(Error::Failed)?;
        let refused = |problems| Error::Failed(problem::plain(&problems));
        let mut scenario = Scenario::from_file(&path).map_err(refused)?;
        scenario.load.lasts = lasts;
        let options = Options {
            backend: bench.plan.choice.clone(),
            settings: bench.plan.settings.clone(),
            reports: bench.folder.join("runs"),
            ..Options::default()
        };
        let (listener, records) = mpsc::unbounded_channel();
        // It ends by itself when it is asked to, and takes down what it began.
        let finished = run::run(&scenario, &options, bench.stop, Some(listener)).await.map_err(Error::of)?;
        if bench.stop.is_asked() {
            return Err(Error::Stopped);
        }
        let took = began.elapsed().as_secs_f64();
        phases(records, &mut parts);
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

fn phases(mut records: mpsc::UnboundedReceiver<Record>, parts: &mut Parts) {
    while let Ok(record) = records.try_recv() {
        if let Event::PhaseEnded { phase, took_ms } = record.event {
            parts.add(phase.word(), Unit::Seconds, from_millis(took_ms));
        }
    }
}
