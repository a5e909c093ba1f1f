//! What the proxies of a world have counted up to a moment, read by the judge's own scraper, relabel rules included.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join_all;
use meshquake::backend::Backend;
use meshquake::judge::exposition::Reading;
use meshquake::judge::{Address, Fetcher, Kind, Target};
use meshquake::wait::{self, Seen};
use meshquake_promql::{Labels, METRIC_NAME};

const REQUESTS: &str = "istio_requests_total";
const DURATIONS: &str = "istio_request_duration_milliseconds_count";
const DRAINING: [&str; 2] = [
    "envoy_listener_manager_total_filter_chains_draining",
    "envoy_listener_manager_total_listeners_draining",
];
const BUCKETS: &str = "istio_request_duration_milliseconds_bucket";
/// A page that takes longer is not there.
const PAGE_LIMIT: Duration = Duration::from_secs(5);
/// Istio's proxies drain for 45 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);
/// Pods that come and go are noticed within this time.
const LIMIT: Duration = Duration::from_secs(20);

/// Series without the metric's name, each with its value. Which pod counted is not told: its name is chance.
pub type Counts = BTreeMap<Labels, u64>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub requests: Counts,
    pub durations: Counts,
    /// Upper bounds of the histogram's buckets.
    pub edges: BTreeSet<String>,
    /// Listeners that were replaced, whole or in part, and still have connections; nothing where no proxy says.
    pub draining: Option<u64>,
}

/// What is looked for, by a part of the names of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Requests,
    /// The durations as well, which are most of a page.
    Calls,
    Draining,
}

impl Part {
    /// In the names of metrics, and in those of Envoy's statistics alike.
    const fn names(self) -> &'static str {
        match self {
            Part::Requests => "requests_total",
            Part::Calls => "requests_total|request_duration_milliseconds",
            Part::Draining => "_draining",
        }
    }
}

/// Whoever looks: it keeps its connections.
#[derive(Default)]
pub struct Eyes(BTreeMap<(Part, Target), Fetcher>);

impl Eyes {
    /// What was counted of requests.
    pub async fn look(&mut self, backend: &Backend) -> Result<Look, String> {
        self.look_for(backend, Part::Requests).await
    }

    /// Their durations as well.
    pub async fn look_at_all(&mut self, backend: &Backend) -> Result<Look, String> {
        self.look_for(backend, Part::Calls).await
    }

    /// Waits until no connection of before a change of policy is left, and no count either: an Envoy drops what the old
    /// listener counted together with it.
    pub async fn drained(&mut self, backend: &Backend) -> Result<(), String> {
        let drained = wait::until("old connections drained", DRAIN_LIMIT, async || {
            match self.look_for(backend, Part::Draining).await {
                Ok(Look { draining: Some(0), .. }) => Seen::Done(()),
                Ok(look) => Seen::NotYet(format!("{:?} listeners are draining", look.draining)),
                Err(why) => Seen::Never(why),
            }
        });
        drained.await.map_err(|error| error.to_string())
    }

    /// All pages at once; where one cannot be read, the pods are looked for again.
    async fn look_for(&mut self, backend: &Backend, part: Part) -> Result<Look, String> {
        let targets = backend.targets();
        let look = wait::until("the metrics of every proxy", LIMIT, async || {
            let now: BTreeSet<Target> =
                targets.borrow().iter().filter(|target| target.kind == Kind::Sidecar).cloned().collect();
            match self.look_at(now, part).await {
                Ok(look) => Seen::Done(look),
                Err(why) => Seen::NotYet(why),
            }
        });
        look.await.map_err(|error| error.to_string())
    }

    async fn look_at(&mut self, targets: BTreeSet<Target>, part: Part) -> Result<Look, String> {
        self.0.retain(|(_, target), _| targets.contains(target));
        for target in targets {
            if let Entry::Vacant(new) = self.0.entry((part, target)) {
                let address = narrowed(&new.key().1.address, part);
                new.insert(Fetcher::new(&address, PAGE_LIMIT).map_err(|error| error.to_string())?);
            }
        }
        let names = part.names().split('|').collect::<Vec<_>>();
        let wanted = |name: &str| names.iter().any(|part| name.contains(part));
        let page = async |((_, target), fetcher): (&(Part, Target), &Fetcher)| {
            fetcher.readings_of(&wanted).await.map_err(|error| format!("{}: {error}", target.name))
        };
        let pages = try_join_all(self.0.iter().filter(|((of, _), _)| *of == part).map(page)).await?;
        let mut look = Look::default();
        pages.into_iter().flatten().for_each(|reading| look.take(reading));
        Ok(look)
    }
}

/// Where an Envoy itself is asked, it need not write what nobody reads.
fn narrowed(address: &Address, part: Part) -> Address {
    match address {
        Address::Unix { socket, path } => {
            Address::Unix { socket: socket.clone(), path: format!("{path}?filter={}", part.names()) }
        }
        other => other.clone(),
    }
}

impl Look {
    fn take(&mut self, reading: Reading) {
        let mut labels = reading.labels;
        let name = labels.metric().to_owned();
        labels.remove(METRIC_NAME);
        // Counts are whole and small.
        let value = reading.value as u64;
        match name.as_str() {
            REQUESTS => *self.requests.entry(labels).or_default() += value,
            DURATIONS => *self.durations.entry(labels).or_default() += value,
            name if DRAINING.contains(&name) => *self.draining.get_or_insert(0) += value,
            BUCKETS => {
                self.edges.insert(labels.get("le").to_owned());
            }
            _ => {}
        }
    }
}

/// What was counted in between. A pod that went takes its counts along: that is no call. A count that went down was begun
/// anew, which an Envoy does with what nobody has counted since its listener was replaced.
pub fn since(before: &Counts, now: &Counts) -> Counts {
    now.iter()
        .filter_map(|(labels, value)| {
            let old = before.get(labels).copied().unwrap_or(0);
            let more = if *value < old { *value } else { value - old };
            (more > 0).then(|| (labels.clone(), more))
        })
        .collect()
}
