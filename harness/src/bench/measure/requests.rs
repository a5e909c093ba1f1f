//! Ten thousand requests through the whole chain, from twenty callers that each wait for their answers: not one line
//! is mixed, and each version gets its half.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::super::figure::{Better, Statistic};
use super::super::{Bench, Error, Figure, bed};
use crate::event::{Relation, Unit};

const REQUESTS: usize = 10_000;
const CALLERS: usize = 20;

pub fn declared() -> [Figure; 3] {
    [
        Figure::new(
            "mixed-lines",
            Unit::Count,
            Better::Lower,
            "Of 10,000 requests, those whose answer was not the line of one version with status 200.",
        )
        .limit(Statistic::Largest, Relation::Equal, 0.0)
        .tolerance(0.0, 0.0),
        Figure::new(
            "share-of-v1",
            Unit::Percent,
            Better::Neither,
            "Of the same requests, the share that version v1 answered, with weights of 50 and 50.",
        )
        .limit(Statistic::Smallest, Relation::AtLeast, 0.48)
        .limit(Statistic::Largest, Relation::AtMost, 0.52),
        Figure::new(
            "requests-rate",
            Unit::PerSecond,
            Better::Higher,
            "How many of them a second were answered, with 20 callers on the same processors as the mesh.",
        ),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    let images = bed::build(bench, &world).await?;
    let taken = bed::within(bench, &world, &images, false, async |up| ask_all(up.backend.entry()).await);
    let (lines, took) = taken.await?;
    let of = |version: &str| {
        let line =
            format!("Microservice A {version} -> Microservice B {version} -> Microservice C {version}");
        lines.get(&(200, line)).copied().unwrap_or(0)
    };
    let (v1, v2) = (of("v1"), of("v2"));
    let [mixed, share, rate] = declared();
    let others = REQUESTS - v1 - v2;
    let mut mixed = mixed.with(vec![others as f64]);
    for ((status, line), count) in &lines {
        if others > 0 && *count < REQUESTS / 10 {
            mixed = mixed.note(format!("{count} × {status} {line}"));
        }
    }
    Ok(vec![
        mixed,
        share.with(vec![v1 as f64 / (v1 + v2).max(1) as f64]),
        rate.with(vec![REQUESTS as f64 / took.as_secs_f64()]),
    ])
}

type Lines = BTreeMap<(u16, String), usize>;

async fn ask_all(url: &str) -> Result<(Lines, Duration), Error> {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(ask(url.to_owned(), REQUESTS / CALLERS));
    }
    let mut lines = Lines::new();
    while let Some(caller) = callers.join_next().await {
        for (line, count) in caller.map_err(Error::of)?? {
            *lines.entry(line).or_default() += count;
        }
    }
    Ok((lines, began.elapsed()))
}

async fn ask(url: String, requests: usize) -> Result<Lines, Error> {
    let client = bed::client()?;
    let mut lines = Lines::new();
    for _ in 0..requests {
        let answer = client.get(&url).send().await.map_err(Error::of)?;
        let status = answer.status().as_u16();
        *lines.entry((status, answer.text().await.map_err(Error::of)?)).or_default() += 1;
    }
    Ok(lines)
}
