//! A changed VirtualService: from `apply` called to the first request that sees it, and until every sidecar has it.
//!
//! The route itself says, by a header of the answer, which subset it leads to. What is asked is what the first hop
//! answers alone, on a connection that is there: how long a request through a whole chain takes is not the time of
//! the change. After `apply` has returned, requests on new and on kept connections look for the old.

use std::time::{Duration, Instant};

use meshquake_xds::object::Object;

use super::super::figure::{Better, Statistic};
use super::super::{Bench, Error, Figure, bed};
use crate::backend::objects::FIELD_MANAGER;
use crate::backend::{Backend, Choice};
use crate::event::{Relation, Unit};
use crate::yaml;

/// The header by which the route itself says which subset it leads to.
const ROUTED_TO: &str = "x-routed-to";
/// Requests after each change.
const AFTER: usize = 10;
const LIMIT: Duration = Duration::from_secs(30);

/// Where the limit is missed: what was tried.
const TRIED: &str = "the translation runs without optimisation, as the first build shall be short. Tried: each object is \
                     read once and kept, and what proxies have in common is made once (18 ms before, 10 to 11 since; kept); \
                     the translation optimised (42 s more of the first build; taken back); one check that hands on its mesh \
                     (kept)";

pub fn declared(on: &Choice) -> [Figure; 3] {
    let seen = Figure::new(
        "change-seen",
        Unit::Seconds,
        Better::Lower,
        "From the call of `apply` with a changed VirtualService to the moment in which the first request was sent that \
         saw it.",
    )
    .tolerance(0.25, 0.002);
    let known = Figure::new(
        "change-known",
        Unit::Seconds,
        Better::Lower,
        "From the same call to its return: every sidecar has acknowledged the change.",
    )
    .tolerance(0.25, 0.002);
    let stale = Figure::new(
        "change-stale",
        Unit::Count,
        Better::Lower,
        "Requests that still saw the old route after `apply` had returned, on new and on kept connections.",
    )
    .limit(Statistic::Largest, Relation::Equal, 0.0)
    .tolerance(0.0, 0.0);
    let seen = match on {
        Choice::Local => seen
            .limit(Statistic::Median, Relation::AtMost, 0.010)
            .limit(Statistic::P95, Relation::AtMost, 0.025)
            .if_missed(TRIED),
        Choice::Kind | Choice::K3d | Choice::Context { .. } => seen,
    };
    [seen, known, stale]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    let images = bed::build(bench, &world).await?;
    let changes = bench.rounds(if bench.on_cluster() { 20 } else { 100 });
    let taken =
        bed::within(bench, &world, &images, false, async |up| changed(bench, &up.backend, changes).await);
    let Taken { seen, known, stale } = taken.await?;
    let [first, second, third] = declared(&bench.plan.choice);
    let asked = changes * AFTER;
    Ok(vec![
        first.with(seen),
        second.with(known),
        third.with(vec![stale as f64]).note(format!("of {asked} requests after {changes} changes")),
    ])
}

pub struct Taken {
    pub seen: Vec<f64>,
    pub known: Vec<f64>,
    stale: usize,
}

/// Changes the route of a world that is up so often.
pub async fn changed(bench: &Bench<'_>, backend: &Backend, changes: usize) -> Result<Taken, Error> {
    let url = format!("{}/health", backend.entry());
    let (probing, kept) = (bed::client()?, bed::client()?);
    // From here on every change is one from all to none, and the probe has its connection.
    apply(backend, "v2").await?;
    routed(&probing, &url).await?;
    let mut taken = Taken { seen: Vec::new(), known: Vec::new(), stale: 0 };
    for change in 0..changes {
        let subset = if change % 2 == 0 { "v1" } else { "v2" };
        let began = Instant::now();
        let known = async {
            apply(backend, subset).await?;
            Ok::<_, Error>(began.elapsed())
        };
        let (seen, known) = tokio::try_join!(probe(&probing, &url, subset, began), known)?;
        taken.seen.push(seen.as_secs_f64());
        taken.known.push(known.as_secs_f64());
        for request in 0..AFTER {
            let fresh = if request % 2 == 0 { None } else { Some(bed::client()?) };
            let found = routed(fresh.as_ref().unwrap_or(&kept), &url).await?;
            taken.stale += usize::from(found.as_deref() != Some(subset));
        }
        if (change + 1) % 20 == 0 {
            (bench.tell)(format!("change: {} of {changes}", change + 1));
        }
    }
    Ok(taken)
}

/// Asks again and again; when the first request was sent that saw the new.
async fn probe(client: &reqwest::Client, url: &str, subset: &str, began: Instant) -> Result<Duration, Error> {
    while began.elapsed() < LIMIT {
        let sent = began.elapsed();
        if routed(client, url).await?.as_deref() == Some(subset) {
            return Ok(sent);
        }
        // A pace that leaves the processors to those who are asked.
        tokio::time::sleep(Duration::from_millis(1)).await; // pacing
    }
    Err(Error::Failed(format!("no request saw the change to {subset} within {} s", LIMIT.as_secs())))
}

/// To which subset the route led, if it says so.
async fn routed(client: &reqwest::Client, url: &str) -> Result<Option<String>, Error> {
    let answer = client.get(url).send().await.map_err(Error::of)?;
    let subset = answer.headers().get(ROUTED_TO).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The connection is kept only when the body was read.
    answer.bytes().await.map_err(Error::of)?;
    Ok(subset)
}

/// Returns when every sidecar has it.
async fn apply(backend: &Backend, subset: &str) -> Result<(), Error> {
    let parsed = yaml::parse(&only(subset), "bench");
    let parsed = parsed.map_err(|problems| Error::Failed(crate::problem::plain(&problems)))?;
    let objects: Vec<Object> = parsed.iter().map(yaml::Node::to_object).collect();
    match backend {
        Backend::Local(_) => {
            let verbs = bed::verbs(backend).await?;
            verbs.apply(&objects, FIELD_MANAGER, true).await.map_err(Error::of)?;
        }
        Backend::Cluster(cluster) => {
            cluster.change(&objects, false, true).await.map_err(Error::Failed)?;
        }
    }
    backend.converged(LIMIT).await.map_err(Error::Failed)
}

fn only(subset: &str) -> String {
    let rest = if subset == "v1" { "v2" } else { "v1" };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: microservice-a, namespace: pinning}}\n\
         spec:\n  hosts: ['*']\n  gateways: [gateway]\n  http:\n    - headers: {{response: {{set: {{{ROUTED_TO}: {subset}}}}}}}\n      route:\n        \
         - {{destination: {{host: microservice-a, subset: {subset}}}, weight: 100}}\n        \
         - {{destination: {{host: microservice-a, subset: {rest}}}, weight: 0}}\n"
    )
}
