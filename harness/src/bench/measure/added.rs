//! What two sidecars with mTLS add to a call: the same call through them and past them, in turn.
//!
//! ```text
//! through: bench ─► sidecar of the caller ═(mTLS)═► sidecar of the called ─► app
//! past:    bench ─────────────────────────────────────────────────────────► app
//! ```
//! Each lane calls 200 times a second both ways, one right after the other, and which of the two comes first alternates:
//! whatever the machine does meanwhile meets both.

use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep_until};

use super::super::figure::{Better, Parts, Statistic};
use super::super::statistics::quantile;
use super::super::{Bench, Error, Figure, bed};
use crate::backend::Backend;
use crate::backend::local::own::status::Target;
use crate::event::{Relation, Unit};

/// Of the pinning world: whose sidecar is used, and who is called.
const CALLER: &str = "microservice-b";
const CALLED: &str = "microservice-c";
const VERSION: &str = "v1";
/// Calls each way a second, in each lane.
const A_SECOND: u32 = 200;
/// For connections to be there.
const WARM_UP: Duration = Duration::from_secs(1);
/// Of each round.
const LASTS: Duration = Duration::from_secs(5);
const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

/// Where the limits are missed: what was tried.
const TRIED: &str = "what is added is mostly waiting for a processor: a request wakes four more processes than the direct \
                     call, and two relays that do nothing but copy add 0.2 ms already; at 1,000 a second, where nobody \
                     has gone to sleep, it is less. Tried on two cores, in turn with everything as it is: no metrics (4 % \
                     less), no word of the caller in a header (no less), neither of them (14 % less), metrics without the \
                     labels that never change and without sizes (6 % less)";

pub fn declared() -> [Figure; 4] {
    let added = |name: &str, which: &str, rate: &str| {
        let means = format!(
            "The {which} of a call through two sidecars with mTLS, less that of the same call made directly, at {rate} \
             requests a second."
        );
        Figure::new(name, Unit::Seconds, Better::Lower, &means).tolerance(0.25, 0.0002)
    };
    [
        added("added-p50", "median", "200")
            .limit(Statistic::Median, Relation::AtMost, 0.0008)
            .if_missed(TRIED),
        added("added-p99", "99th percentile", "200")
            .limit(Statistic::Median, Relation::AtMost, 0.0025)
            .if_missed(TRIED),
        added("added-p50-1000", "median", "1,000"),
        added("added-p99-1000", "99th percentile", "1,000"),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    let images = bed::build(bench, &world).await?;
    let rounds = bench.rounds(5);
    let taken = bed::within(bench, &world, &images, false, async |up| {
        let ways = ways(&up.backend).await?;
        lanes(&ways, 1, WARM_UP).await?;
        let mut all = Vec::new();
        for side_by_side in [1, 5] {
            let mut added = Added::new();
            for round in 1..=rounds {
                let median = added.add(&lanes(&ways, side_by_side, LASTS).await?);
                let rate = A_SECOND * side_by_side;
                (bench.tell)(format!("added: {rate}/s, {round} of {rounds}: {:.0} µs", median * 1e6));
            }
            all.push(added);
        }
        Ok(all)
    });
    let figures = declared().into_iter().zip(taken.await?.into_iter().flat_map(Added::quantiles));
    let figures = figures.map(|(figure, (added, parts))| {
        let note = "Istio on kind added 0.83 ms at the median and 2.5 ms at the 99th percentile, at 200 requests a second";
        figure.with(added).parts(parts).note(note)
    });
    Ok(figures.collect())
}

/// Where the same app is reached through both sidecars, and where past them.
struct Ways {
    through: String,
    past: String,
}

async fn ways(backend: &Backend) -> Result<Ways, Error> {
    let places = bed::verbs(backend).await?.targets().await.map_err(Error::of)?;
    let find = |app: &str| {
        let labels = [("app", app), ("version", VERSION)];
        let is_meant = |place: &&Target| {
            labels.iter().all(|(name, value)| place.labels.get(*name).is_some_and(|found| found == value))
        };
        let none = || Error::Failed(format!("there is no pod of {app} {VERSION}"));
        places.iter().find(is_meant).ok_or_else(none)
    };
    let hosts = find(CALLER)?.admin.as_deref().and_then(Path::parent).map(|folder| folder.join("hosts"));
    let hosts = hosts.ok_or_else(|| Error::Failed(format!("{CALLER} has no sidecar")))?;
    let text = std::fs::read_to_string(&hosts).map_err(Error::of)?;
    let address = address_of(CALLED, &text)
        .ok_or_else(|| Error::Failed(format!("{} does not name {CALLED}", hosts.display())))?;
    let past = find(CALLED)?.app.as_deref().and_then(|page| page.strip_suffix("metrics").map(str::to_owned));
    let past = past.ok_or_else(|| Error::Failed(format!("{CALLED} has no page of metrics")))?;
    Ok(Ways { through: format!("http://{address}:8080/"), past })
}

/// By a file of hosts.
fn address_of<'h>(name: &str, hosts: &'h str) -> Option<&'h str> {
    let mut lines = hosts.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| words.next().filter(|_| words.any(|word| word == name)))
}

/// How long calls took, in seconds.
#[derive(Default)]
struct Calls {
    through: Vec<f64>,
    past: Vec<f64>,
}

/// Several lanes at once, each a little after the other.
async fn lanes(ways: &Ways, lanes: u32, lasts: Duration) -> Result<Calls, Error> {
    let gap = Duration::from_secs(1) / A_SECOND;
    let began = Instant::now();
    let all = (0..lanes).map(|number| lane(ways, began + gap * number / lanes, gap, lasts));
    let mut calls = Calls::default();
    for mut lane in try_join_all(all).await? {
        calls.through.append(&mut lane.through);
        calls.past.append(&mut lane.past);
    }
    Ok(calls)
}

async fn lane(ways: &Ways, first: Instant, gap: Duration, lasts: Duration) -> Result<Calls, Error> {
    let client = bed::client()?;
    let mut calls = Calls::default();
    let mut due = first;
    let mut turn = false;
    while due < first + lasts {
        sleep_until(due).await; // pacing
        turn = !turn;
        for through in [turn, !turn] {
            let url = if through { &ways.through } else { &ways.past };
            let took = call(&client, url).await?;
            if through { calls.through.push(took) } else { calls.past.push(took) }
        }
        due += gap;
    }
    Ok(calls)
}

async fn call(client: &reqwest::Client, url: &str) -> Result<f64, Error> {
    let request = client.get(url).header("host", format!("{CALLED}:8080"));
    let began = Instant::now();
    let answer = request.send().await.map_err(Error::of)?;
    let status = answer.status();
    let text = answer.text().await.map_err(Error::of)?;
    let took = began.elapsed().as_secs_f64();
    match status.is_success() {
        true => Ok(took),
        false => Err(Error::Failed(format!("{url} answers {status}: {text}"))),
    }
}

/// Round by round, for each quantile.
struct Added(Vec<(Vec<f64>, Parts)>);

impl Added {
    fn new() -> Self {
        Self(QUANTILES.map(|_| Default::default()).into())
    }

    /// Returns what was added at the median.
    fn add(&mut self, calls: &Calls) -> f64 {
        for ((name, share), (added, parts)) in QUANTILES.into_iter().zip(&mut self.0) {
            let at = |samples: &[f64]| quantile(samples, share).unwrap_or(f64::NAN);
            let (through, past) = (at(&calls.through), at(&calls.past));
            added.push(through - past);
            parts.add(&format!("{name} through both sidecars"), Unit::Seconds, through);
            parts.add(&format!("{name} past them"), Unit::Seconds, past);
            parts.add("calls each way", Unit::Count, calls.through.len() as f64);
        }
        self.0[0].0.last().copied().unwrap_or(f64::NAN)
    }

    fn quantiles(self) -> Vec<(Vec<f64>, Parts)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_service_is_beside_its_name() {
        let hosts = "127.0.0.1 localhost\n127.64.64.2 b.pinning.svc.cluster.local b.pinning b\n127.64.64.3 c.pinning c\n";
        assert_eq!(address_of("c", hosts), Some("127.64.64.3"));
        assert_eq!(address_of("b.pinning", hosts), Some("127.64.64.2"));
        assert_eq!(address_of("127.64.64.3", hosts), None);
    }

    #[test]
    fn what_is_added_is_the_difference_of_the_quantiles() {
        let through = (1..=100).map(|milli| f64::from(milli) * 2e-3).collect();
        let past = (1..=100).map(|milli| f64::from(milli) * 1e-3).collect();
        let mut added = Added::new();
        let median = added.add(&Calls { through, past });
        assert!((median - 0.0505).abs() < 1e-9, "{median}");
        let all = added.quantiles();
        assert!((all[1].0[0] - 0.09901).abs() < 1e-9, "{all:?}");
    }
}
