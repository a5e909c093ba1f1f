//! The harness's own load against a world that is up, as a measure wants it.

use std::time::{Duration, Instant};

use super::{Error, census};
use crate::backend::Backend;
use crate::event::LoadSummary;
use crate::load::journey::Journey;
use crate::load::{Journeys, Limits, Load, LoadEvent, LoadPlan, Mode, Summary};
use crate::problem;
use crate::world::{World, shown};

/// How long an answer may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// What is sent, and how.
pub struct Wanted {
    pub journey: Journey,
    pub mode: Mode,
    pub lasts: Duration,
    pub workers: u32,
}

/// A load that is over.
pub struct Done {
    pub summary: Summary,
    lasts: Duration,
    /// The share of a core that its workers took, where they are processes of this machine.
    pub worker: Option<f64>,
}

impl Done {
    /// Right answers a second.
    pub fn rate(&self) -> f64 {
        self.summary.ok() as f64 / self.lasts.as_secs_f64()
    }

    /// Right answers of each whole second; those that came after the end of the load are no second of it.
    pub fn seconds(&self) -> Vec<f64> {
        let whole = self.summary.seconds.iter().take(self.lasts.as_secs() as usize);
        whole.map(|second| second.ok() as f64).collect()
    }

    pub fn told(&self) -> LoadSummary {
        self.summary.to_event(&Limits::default())
    }
}

/// A journey of a world, by its name.
pub fn journey(world: &World, name: &str) -> Result<Journey, Error> {
    let none = || Error::Failed(format!("the world `{}` has no journeys", world.name));
    let folder = world.journeys.as_ref().ok_or_else(none)?;
    let journeys = Journeys::load(folder, &shown(folder));
    let journeys = journeys.map_err(|problems| Error::Failed(problem::plain(&problems)))?;
    journeys.get(name).cloned().map_err(Error::Failed)
}

/// Drives a load to its end.
pub async fn drive(backend: &Backend, wanted: &Wanted) -> Result<Done, Error> {
    let (host, base) = backend.load_host(Some(wanted.workers)).await.map_err(Error::Failed)?;
    let plan = LoadPlan {
        length: wanted.lasts,
        timeout: TIMEOUT,
        drain: TIMEOUT,
        ..LoadPlan::new(base, vec![wanted.journey.clone()], wanted.mode)
    };
    let mut running = Load::start(&plan, wanted.workers, host.as_ref()).await.map_err(Error::of)?;
    let mut spent = Spent::default();
    while let Some(event) = running.next().await {
        if let LoadEvent::Second(_) = event {
            spent.look(running.pids());
        }
    }
    let summary = running.finish().await;
    match summary.deaths.first() {
        Some(death) => Err(Error::Failed(format!("load worker {} was lost: {}", death.worker, death.why))),
        None => Ok(Done { summary, lasts: wanted.lasts, worker: spent.share() }),
    }
}

/// The processor time of processes, from the first look to the last at which all of them were there.
#[derive(Default)]
struct Spent {
    first: Option<(Instant, f64)>,
    last: Option<(Instant, f64)>,
}

impl Spent {
    fn look(&mut self, pids: &[u32]) {
        let times = pids.iter().map(|pid| census::time(*pid)).collect::<Option<Vec<_>>>();
        if let Some(times) = times.filter(|times| !times.is_empty()) {
            let now = (Instant::now(), times.iter().sum());
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
    }

    fn share(&self) -> Option<f64> {
        let ((from, before), (to, after)) = self.first.zip(self.last)?;
        (to > from).then(|| (after - before) / (to - from).as_secs_f64())
    }
}
