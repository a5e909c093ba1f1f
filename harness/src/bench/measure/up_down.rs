//! `meshquake up` and `meshquake down` as a person calls them, with everything built and cached: the commands' own time
//! from their start to their end, in turn.

use serde_json::Value;

use super::super::command::{meshquake, to_its_end};
use super::super::figure::{Better, Parts, Statistic};
use super::super::{Bench, Error, Figure, bed};
use super::from_millis;
use crate::backend::Choice;
use crate::event::{Relation, Unit};

pub fn declared(on: &Choice) -> Vec<Figure> {
    let (up, down) = if *on == Choice::Local { (2.0, 0.5) } else { (8.0, 5.0) };
    let figure = |name, means| Figure::new(name, Unit::Seconds, Better::Lower, means);
    let mut figures = vec![
        figure(
            "up",
            "From the command `meshquake up pinning` to its end: every pod ready and every sidecar with its \
             configuration. Built and cached, and nothing of an earlier world is still ending.",
        )
        .limit(Statistic::Median, Relation::AtMost, up)
        .tolerance(0.25, 0.1),
        figure(
            "down",
            "From the command `meshquake down` to its end. A cluster may go on with it afterwards.",
        )
        .limit(Statistic::Median, Relation::AtMost, down)
        .tolerance(0.25, 0.1),
    ];
    if *on != Choice::Local {
        figures.push(figure(
            "up-after-down",
            "The same `up` as the next command after a `down`: it waits until the cluster has ended the namespace.",
        ));
    }
    figures
}

/// What `up --json` says.
struct Told {
    run: String,
    steps: Vec<(String, u64)>,
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    bed::build(bench, &world).await?;
    let rounds = bench.rounds(if bench.on_cluster() { 3 } else { 10 });
    let (mut ups, mut downs, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut parts = Parts::default();
    if bench.on_cluster() {
        // The cluster and its images are to be there.
        let (_, told) = up(bench).await?;
        down(bench, &told.run).await?;
    }
    for round in 1..=rounds {
        bed::clear(bench).await?;
        let (took, told) = up(bench).await?;
        for (name, took) in &told.steps {
            parts.add(name, Unit::Seconds, from_millis(*took));
        }
        ups.push(took);
        let ended = down(bench, &told.run).await?;
        downs.push(ended);
        (bench.tell)(format!("up-down: {round} of {rounds}: up {took:.2} s, down {ended:.2} s"));
        if bench.on_cluster() {
            let (took, told) = up(bench).await?;
            again.push(took);
            downs.push(down(bench, &told.run).await?);
        }
    }
    let mut samples = [ups, downs, again].into_iter();
    let mut figures: Vec<Figure> = declared(&bench.plan.choice)
        .into_iter()
        .map(|figure| figure.with(samples.next().unwrap_or_default()))
        .collect();
    figures[0] = figures[0].clone().parts(parts);
    Ok(figures)
}

async fn up(bench: &Bench<'_>) -> Result<(f64, Told), Error> {
    let done = meshquake(bench, &["up", bed::WORLD, "--json"]).await?;
    let odd = || Error::Failed(format!("`meshquake up --json` said {:?}", done.stdout));
    let told: Value = serde_json::from_str(&done.stdout).map_err(|_| odd())?;
    let run = told["run"].as_str().ok_or_else(odd)?.to_owned();
    let steps = told["steps-ms"].as_object().into_iter().flatten();
    let steps = steps.filter_map(|(name, took)| Some((name.clone(), took.as_u64()?))).collect();
    Ok((done.took.as_secs_f64(), Told { run, steps }))
}

async fn down(bench: &Bench<'_>, run: &str) -> Result<f64, Error> {
    // Also where somebody asks for the end meanwhile: the world would stay.
    Ok(to_its_end(bench, &["down", "--run", run]).await?.took.as_secs_f64())
}
