//! The story of a run, from a checked scenario to its verdict. It reads top to bottom.
//!
//! ```text
//! build ─► up ─► load ─┬─ warm up ─ steady state ─┬─ timeline: ask, prove, undo, verify ─┬─ until recovered
//!                      └─ scrape, guards ─────────┴──────────────────────────────────────┘
//!      ─► judge ─► collect what tells why ─► down ─► report
//! ```
//! Everything that happens is an [`Event`]; nothing here writes to a console.

mod calls;
pub mod facts;
mod finished;
pub mod folder;
mod judging;
mod library;
mod mesh;
mod plan;
mod scraped;
mod shake;
mod still;
pub mod stop;
mod timeline;
mod usage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::backend::cluster::Begun;
use crate::backend::cluster::settings::Settings;
use crate::backend::{self, Backend};
use crate::clock::Steady;
use crate::event::{self, Event, Events, Phase, Record};
use crate::report;
use crate::scenario::{Expectation, Scenario};
use crate::verdict::{Cause, CauseKind, Exit, Outcome};
pub use finished::Finished;
use folder::Folder;
pub use library::Error as LibraryError;
use stop::Stop;

/// How to run, as far as the scenario does not say it.
#[derive(Clone, Debug)]
pub struct Options {
    pub backend: backend::Choice,
    /// What a person wants otherwise about clusters.
    pub settings: Settings,
    /// Where runs are kept.
    pub reports: PathBuf,
    /// How many runs are kept there.
    pub keep_runs: usize,
    /// The world stays up after the run.
    pub keep_world: bool,
    /// Bounds the whole run.
    pub timeout: Option<Duration>,
    /// Another seed than the scenario's.
    pub seed: Option<u64>,
    /// The world that is up already and shall be used: its run's id.
    pub world_up: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self::on(backend::Choice::Local)
    }
}

impl Options {
    /// Everything as usual, on this backend.
    pub fn on(backend: backend::Choice) -> Self {
        Self {
            backend,
            settings: Settings::default(),
            reports: folder::default_root(),
            keep_runs: 20,
            keep_world: false,
            timeout: None,
            seed: None,
            world_up: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Folder(#[from] folder::Error),
    #[error(transparent)]
    Events(#[from] event::log::Error),
    /// The run itself has ended, and everything that it did was taken back as far as `outcome` says.
    #[error(
        "{}no report could be written; kept are the events and samples that there was room for, and with some more room \
         `meshquake report {}` writes the reports from them",
        outcome.causes.iter().map(|cause| format!("{}\n", cause.text)).collect::<String>(), facts::quoted(&folder.display().to_string())
    )]
    Report {
        folder: PathBuf,
        outcome: Outcome,
        #[source]
        source: report::Error,
    },
}

impl Error {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Folder(_) | Self::Events(_) => Exit::INTERNAL,
            // A report that is missing is no better than a run that has held.
            Self::Report { outcome, .. } if outcome.exit() == Exit::HELD => Exit::INTERNAL,
            Self::Report { outcome, .. } => outcome.exit(),
        }
    }
}

/// Runs a scenario to its end. Whatever goes wrong on the way is in the verdict; an error here means that not even
/// a report could be written.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    stop: &Stop,
    listener: Option<mpsc::UnboundedSender<Record>>,
) -> Result<Finished, Error> {
    let _steady = Steady::begin();
    let folder = Folder::create(&options.reports, &scenario.name)?;
    let events = Events::create(&folder.path, listener)?;
    let seed = options.seed.unwrap_or(scenario.seed);
    events.emit(Event::RunStarted(facts::started(scenario, &folder.id, seed, options)));
    scenario.doubts(&options.backend).into_iter().for_each(|doubt| events.warn(doubt));

    let limit = options.timeout.map(|timeout| limit(timeout, stop.clone()));
    let mut causes = story(scenario, seed, options, stop, &folder, &events).await;
    drop(limit);
    if let Some(reason) = stop.reason() {
        causes.push(reason.clone());
    }
    if let Some(failure) = events.failure() {
        causes.push(Cause::new(CauseKind::Internal, failure));
    }
    let outcome = Outcome::of(causes);
    let (verdict, exit) = (outcome.verdict(), outcome.exit().0);
    events.emit(Event::Ended { outcome: outcome.clone(), verdict, exit });
    let written = report::write(&folder.path);
    let story = written.map_err(|source| Error::Report {
        folder: folder.path.clone(),
        outcome: outcome.clone(),
        source,
    })?;
    if let Err(error) = folder::prune(&options.reports, options.keep_runs, Some(&folder.path)) {
        tracing::warn!(%error, "old runs could not be removed");
    }
    let expectation = scenario.expect.clone().unwrap_or_else(Expectation::held);
    Ok(Finished { folder: folder.path, story, outcome, expectation })
}

/// Up, shake, down: every cause that keeps the run from having held.
async fn story(
    scenario: &Scenario,
    seed: u64,
    options: &Options,
    stop: &Stop,
    folder: &Folder,
    events: &Events,
) -> Vec<Cause> {
    let images = match phase(events, Phase::Build, stop.unless(build(scenario, options, events))).await {
        None => return vec![],
        Some(Err(cause)) => return vec![cause],
        Some(Ok(images)) => images,
    };
    let begun = Begun::default();
    let raised = async {
        if let Some(id) = &options.world_up {
            let joined = Backend::join(&options.backend, &options.settings, Some(id)).await;
            return joined.map_err(|why| backend::NotUp { why, collected: vec![] });
        }
        let (world, folder) = (&scenario.world, folder.path.as_path());
        let settings = &options.settings;
        let on_localhost = options.keep_world;
        let workers = scenario.load.workers.is_some();
        let site =
            backend::Site { world, images: &images, folder, on_localhost, settings, workers, begun: &begun };
        Backend::up(&options.backend, site, &|text| events.emit(Event::Progress { phase: Phase::Up, text }))
            .await
    };
    let backend = match phase(events, Phase::Up, stop.unless(raised)).await {
        // Dropping the future gave up the lease: the supervisor takes down what it had begun. A cluster has none.
        None => {
            let left = begun.take_down().await.err();
            let told = |error| format!("what was begun could not be taken down: {error}");
            return left.map(|error| Cause::new(CauseKind::Internal, told(error))).into_iter().collect();
        }
        Some(Err(error)) => {
            events.emit(Event::Collected { files: error.collected.clone() });
            return vec![Cause::new(CauseKind::WorldNotUp, error.to_string())];
        }
        Some(Ok(backend)) => backend,
    };
    events.emit(Event::WorldUp(backend.facts()));
    if backend.world() != scenario.world.name {
        let (up, wanted) = (backend.world(), &scenario.world.name);
        let text = format!("the world that is up is `{up}`, and the scenario is about `{wanted}`");
        return vec![Cause::new(CauseKind::Refused, text)];
    }

    let mut causes = {
        let shaken = shake::shake(scenario, seed, &backend, stop, folder, events);
        tokio::pin!(shaken);
        tokio::select! {
            causes = &mut shaken => causes,
            // Nothing that is still to come can be seen; what was done is told all the same.
            why = backend.lost() => {
                stop.now(Cause::new(CauseKind::Internal, why));
                shaken.await
            }
        }
    };

    if !causes.is_empty() || stop.is_asked() {
        let files = phase(events, Phase::Collect, backend.collect(&folder.path)).await;
        events.emit(Event::Collected { files });
    }
    let stays = options.keep_world || options.world_up.is_some();
    let left = if stays { backend.release().await } else { phase(events, Phase::Down, backend.down()).await };
    if let Err(error) = left {
        causes.push(Cause::new(
            CauseKind::Internal,
            format!("the world could not be left as it should be: {error}"),
        ));
    }
    causes
}

async fn build(scenario: &Scenario, options: &Options, events: &Events) -> Result<backend::Images, Cause> {
    let tell = |text: String| events.emit(Event::Progress { phase: Phase::Build, text });
    backend::build(&options.backend, &scenario.world, tell)
        .await
        .map_err(|why| Cause::new(CauseKind::WorldNotUp, why))
}

/// A part of the run that is timed and told.
async fn phase<T>(events: &Events, phase: Phase, work: impl Future<Output = T>) -> T {
    events.emit(Event::PhaseStarted { phase });
    let began = Instant::now();
    let value = work.await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    events.emit(Event::PhaseEnded { phase, took_ms });
    value
}

fn limit(timeout: Duration, stop: Stop) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(timeout).await; // the limit itself
        let text = format!("the limit of {:.0} s for the whole run has passed", timeout.as_secs_f64());
        stop.now(Cause::new(CauseKind::Aborted, text));
    }))
}
