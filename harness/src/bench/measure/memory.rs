//! Sixty pods with their sidecars: how long until all are ready, and what they take together; and what the harness takes
//! of the machine during a run.

use super::super::census::{Census, Role};
use super::super::command::watched;
use super::super::figure::{Better, Parts, Statistic};
use super::super::{Bench, Error, Figure, bed, crowd};
use crate::event::{Relation, Unit};

const PODS: u32 = 60;
const SERVICES: u32 = 20;
const SCENARIO: &str = "version-pinning";
const MIB: f64 = 1024.0 * 1024.0;

pub fn declared() -> [Figure; 4] {
    let memory = |name, means| Figure::new(name, Unit::Bytes, Better::Lower, means).tolerance(0.1, 0.0);
    [
        Figure::new(
            "many-up",
            Unit::Seconds,
            Better::Lower,
            "From 60 pods asked for to all of them ready, each with a sidecar that sees all 20 Services.",
        )
        .limit(Statistic::Median, Relation::AtMost, 8.0)
        .tolerance(0.25, 0.5),
        memory(
            "many-memory",
            "What apps, sidecars and supervisor of this world take together (PSS) when it is ready.",
        )
        .limit(Statistic::Median, Relation::AtMost, 1536.0 * MIB),
        memory("many-memory-one-service", "The same with all 60 pods behind one Service."),
        memory(
            "own-memory",
            "The most that client, supervisor, warden and load worker together take (PSS) during a run of \
             `version-pinning`.",
        )
        .limit(Statistic::Largest, Relation::AtMost, 120.0 * MIB),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let many = crowded(bench, SERVICES).await?;
    let one = crowded(bench, 1).await?;
    let own = own(bench).await?;
    let [up, memory, alone, harness] = declared();
    let alone = alone.with(one.memory).parts(one.parts).part("until all were ready", Unit::Seconds, one.took);
    let mut harness = harness.with(own.peaks).parts(own.parts);
    harness.notes.extend(own.notes);
    Ok(vec![up.with(many.took).parts(many.times), memory.with(many.memory).parts(many.parts), alone, harness])
}

#[derive(Default)]
struct Crowded {
    took: Vec<f64>,
    memory: Vec<f64>,
    parts: Parts,
    times: Parts,
}

/// A world with so many Services, brought up again and again.
async fn crowded(bench: &Bench<'_>, services: u32) -> Result<Crowded, Error> {
    let world = crowd::world(bench.folder, PODS, services)?;
    // The same program as in the pinning world.
    let images = bed::build(bench, &bed::world(None)?).await?;
    let rounds = bench.rounds(3);
    let mut crowded = Crowded::default();
    for round in 1..=rounds {
        let counted = bed::within(bench, &world, &images, false, async |up| {
            let supervisor = bed::supervisor(&up.backend).await?;
            Ok((up.took.as_secs_f64(), Census::below(supervisor, &[Role::App, Role::Sidecar, Role::Own])))
        });
        let (took, census) = counted.await?;
        (bench.tell)(format!(
            "memory: {PODS} pods, {services} Services, {round} of {rounds}: {took:.2} s, {:.0} MiB",
            census.all_memory() / MIB
        ));
        crowded.took.push(took);
        crowded.memory.push(census.all_memory());
        for (name, role) in [("apps", Role::App), ("sidecars", Role::Sidecar), ("supervisor", Role::Own)] {
            crowded.parts.add(name, Unit::Bytes, census.memory(role));
            let time = format!("processor time of {name}");
            crowded.times.add(&time, Unit::Seconds, census.time(role));
        }
    }
    Ok(crowded)
}

#[derive(Default)]
struct Own {
    peaks: Vec<f64>,
    parts: Parts,
    notes: Vec<String>,
}

/// The harness in runs as a person starts them.
async fn own(bench: &Bench<'_>) -> Result<Own, Error> {
    let rounds = bench.rounds(3);
    let folder = bench.folder.join("runs");
    let folder = folder.to_string_lossy();
    let mut own = Own::default();
    for round in 1..=rounds {
        let mut most = Census::default();
        let words = ["run", SCENARIO, "--reports", &folder];
        let ran = watched(bench, &words, |client| {
            let now = Census::below(client, &[Role::Own]);
            if now.all_memory() > most.all_memory() {
                most = now;
            }
        });
        match ran.await {
            Ok(_) => {}
            // What it takes does not hang on its verdict.
            Err(Error::Command { status, .. }) => own.notes.push(format!("run {round} ended with {status}")),
            Err(other) => return Err(other),
        }
        (bench.tell)(format!(
            "memory: a run, {round} of {rounds}: {:.0} MiB at most",
            most.all_memory() / MIB
        ));
        own.peaks.push(most.all_memory());
        for (program, memory) in most.by_program() {
            own.parts.add(program, Unit::Bytes, memory);
        }
    }
    Ok(own)
}
