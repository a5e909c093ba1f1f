//! From no cluster at all to the pinning world ready: our one command beside the same steps by hand one after the
//! other, in turn, so that whatever the machine does meanwhile meets both.
//!
//! ```text
//! round 1   by hand, ours      round 2   ours, by hand      round 3   by hand, ours …
//! ```
//! Both end with the first right answer of the gateway. Tools are there and images are built, for both.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::command::{meshquake, to_its_end};
use super::super::figure::{Better, Parts, Statistic};
use super::super::{Bench, Error, Figure, bed};
use super::from_millis;
use crate::backend::Choice;
use crate::backend::cluster::provision::{self, ByHand, Maker};
use crate::backend::cluster::{Ground, state};
use crate::event::{Relation, Unit};
use crate::wait::{self, Seen};
use crate::world::World;

/// How long a gateway may take to answer once everything says that it is ready.
const ANSWER: Duration = Duration::from_secs(60);

pub fn declared(on: &Choice) -> [Figure; 3] {
    let kind = on.name();
    let figure = |name, means: String| Figure::new(name, Unit::Seconds, Better::Lower, &means);
    [
        figure(
            "from-nothing",
            format!(
                "From `meshquake up pinning --backend {kind}` without a cluster to the first right answer."
            ),
        )
        .tolerance(0.25, 2.0),
        Figure {
            better: Better::Neither,
            ..figure(
                "by-hand",
                format!(
                    "The same by hand, one command after the other: create the cluster with `{kind}`, load the images, \
                     `istioctl install`, `kubectl apply`, `kubectl wait`, to the first right answer."
                ),
            )
        },
        Figure::new(
            "from-nothing-share",
            Unit::Number,
            Better::Lower,
            "Our time as a share of the time by hand, round by round.",
        )
        .limit(Statistic::Median, Relation::AtMost, 1.0)
        .tolerance(0.10, 0.0),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    may_be_taken_away(bench).await?;
    let maker = if bench.plan.choice == Choice::K3d { Maker::K3d } else { Maker::Kind };
    let world = bed::world(None)?;
    let rounds = bench.rounds(3);
    let mut taken = Taken::default();
    for round in 0..rounds {
        let (ours, hand) = if round % 2 == 0 {
            let hand = by_hand(bench, maker, &world, &mut taken).await?;
            (ours(bench, &mut taken).await?, hand)
        } else {
            (ours(bench, &mut taken).await?, by_hand(bench, maker, &world, &mut taken).await?)
        };
        (bench.tell)(format!("nothing: {} of {rounds}: {ours:.1} s, by hand {hand:.1} s", round + 1));
        taken.ours.push(ours);
        taken.hand.push(hand);
    }
    let shares = taken.ours.iter().zip(&taken.hand).map(|(ours, hand)| ours / hand).collect();
    let [first, second, third] = declared(&bench.plan.choice);
    Ok(vec![
        first
            .with(taken.ours)
            .parts(taken.our_parts)
            .note("parts overlap: images are built and loaded while the cluster comes up"),
        second.with(taken.hand).parts(taken.hand_parts),
        third.with(shares),
    ])
}

#[derive(Default)]
struct Taken {
    ours: Vec<f64>,
    hand: Vec<f64>,
    our_parts: Parts,
    hand_parts: Parts,
}

/// The cluster is going to be removed: nobody may be using it.
async fn may_be_taken_away(bench: &Bench<'_>) -> Result<(), Error> {
    if bench.plan.yes_really {
        return Ok(());
    }
    let (choice, settings) = (&bench.plan.choice, &bench.plan.settings);
    let unknown = |why: String| {
        Error::Failed(format!(
            "the cluster `{}` has to go for this, and nobody can say whether a world is up on it ({why}); say \
             `--yes-really` if it may go",
            settings.cluster.name
        ))
    };
    let Some(ground) = Ground::find(choice, settings).await.map_err(unknown)? else { return Ok(()) };
    let worlds = state::all(&ground.client).await.map_err(|error| unknown(error.to_string()))?;
    let up = worlds.iter().filter(|found| !found.ending).map(|found| found.state.run.as_str());
    match up.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => Ok(()),
        up => Err(Error::Failed(format!(
            "the cluster `{}` has to go for this, and worlds are up on it: {up}; take them down, or say \
             `--yes-really`",
            settings.cluster.name
        ))),
    }
}

/// No cluster of ours is left.
async fn take_away(bench: &Bench<'_>) -> Result<(), Error> {
    if bench.stop.is_asked() {
        return Err(Error::Stopped);
    }
    let removed = provision::remove(&bench.plan.choice, &bench.plan.settings, bench.tell).await;
    removed.map(drop).map_err(Error::of)
}

async fn ours(bench: &Bench<'_>, taken: &mut Taken) -> Result<f64, Error> {
    take_away(bench).await?;
    let began = Instant::now();
    let done = meshquake(bench, &["up", bed::WORLD, "--json"]).await?;
    let told: Value = serde_json::from_str(&done.stdout).map_err(Error::of)?;
    let entry = format!("http://127.0.0.1:{}", bench.plan.settings.cluster.port);
    let since = Instant::now();
    let answered = bench.unless_stopped(answers(&entry)).await;
    let (took, answer) = (began.elapsed().as_secs_f64(), since.elapsed().as_secs_f64());
    let run = told["run"].as_str().unwrap_or_default();
    let down = to_its_end(bench, &["down", "--run", run]).await;
    answered?;
    down?;
    for (name, took) in told["steps-ms"].as_object().into_iter().flatten() {
        taken.our_parts.add(name, Unit::Seconds, from_millis(took.as_u64().unwrap_or_default()));
    }
    taken.our_parts.add("first answer", Unit::Seconds, answer);
    Ok(took)
}

async fn by_hand(bench: &Bench<'_>, maker: Maker, world: &World, taken: &mut Taken) -> Result<f64, Error> {
    // Two clusters at once would share the processors.
    take_away(bench).await?;
    let hand = ByHand::prepare(maker, &bench.plan.settings, world, bench.tell).await.map_err(Error::of)?;
    let began = Instant::now();
    let went = async {
        let steps = hand.go().await.map_err(Error::of)?;
        let since = Instant::now();
        answers(&hand.entry()).await?;
        Ok((steps, since.elapsed().as_secs_f64()))
    };
    let went = bench.unless_stopped(went).await;
    let took = began.elapsed().as_secs_f64();
    let removed = hand.remove().await.map_err(Error::of);
    let (steps, answer) = went?;
    removed?;
    for step in steps {
        taken.hand_parts.add(step.what, Unit::Seconds, step.took.as_secs_f64());
    }
    taken.hand_parts.add("first answer", Unit::Seconds, answer);
    Ok(took)
}

/// Waits until the gateway gives a right answer.
async fn answers(url: &str) -> Result<(), Error> {
    let client = bed::client()?;
    let answered =
        wait::until(format!("an answer of {url}"), ANSWER, async || match client.get(url).send().await {
            Ok(answer) if answer.status().is_success() => Seen::Done(()),
            Ok(answer) => Seen::NotYet(answer.status().to_string()),
            Err(error) => Seen::NotYet(crate::error::chain(&error)),
        });
    answered.await.map_err(Error::of)
}
