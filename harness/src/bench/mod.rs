//! Figures: how long things take and what they cost, measured on this machine and kept in a report.
//!
//! ```text
//! look at rest ─► measure, one after the other ─► look at rest ─► Report ─┬─► table (console)
//!                  └─ each gives its Figures: raw samples, limits, parts   ├─► .md and .json, committed
//!                                                                          └─► Check: against an earlier one
//! ```
//! A limit that is missed and a figure that could not be measured are in the report like all others. Nothing here
//! judges a world: what must hold whatever the time is tested elsewhere.

mod bed;
mod census;
pub mod check;
mod command;
mod crowd;
pub mod figure;
#[cfg(test)]
mod fixture;
mod load;
pub mod machine;
pub mod markdown;
pub mod measure;
pub mod report;
pub mod statistics;
pub mod table;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::backend::Choice;
use crate::backend::cluster::provision;
use crate::backend::cluster::settings::Settings;
use crate::backend::local::start;
use crate::error::chain;
use crate::parts::{self, Part};
use crate::run::stop::Stop;
pub use check::Check;
pub use figure::Figure;
use machine::{AtRest, Machine, Ticks};
pub use measure::Measure;
pub use report::Report;

/// Whom progress is told.
type Tell<'t> = &'t (dyn Fn(String) + Sync);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody asked for the end; everything that was begun has been taken down.
    #[error("ended before it was measured")]
    Stopped,
    #[error("`{command}` ended with {status}: {said}")]
    Command { command: String, status: String, said: String },
    #[error("`{command}` cannot be started: {source}")]
    Start { command: String, source: std::io::Error },
    #[error("{0}")]
    Failed(String),
}

impl Error {
    fn of(error: impl std::error::Error) -> Self {
        Error::Failed(chain(&error))
    }
}

/// What is measured, and how.
pub struct Plan {
    pub choice: Choice,
    pub settings: Settings,
    pub measures: Vec<Measure>,
    /// In place of each measure's own number of rounds.
    pub rounds: Option<usize>,
    /// Take the cluster away even though a world is up on it.
    pub yes_really: bool,
    /// The command that measures the same again.
    pub again: String,
}

/// What every measure is given.
struct Bench<'b> {
    plan: &'b Plan,
    /// `meshquake`, for what is measured as a person calls it.
    program: PathBuf,
    /// For files that nobody wants afterwards.
    folder: &'b Path,
    stop: &'b Stop,
    tell: Tell<'b>,
}

impl Bench<'_> {
    fn rounds(&self, own: usize) -> usize {
        self.plan.rounds.unwrap_or(own)
    }

    fn on_cluster(&self) -> bool {
        self.plan.choice != Choice::Local
    }

    /// Does something, unless somebody asks for the end. What it has begun is taken down by the caller.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.stop.unless(work).await.unwrap_or(Err(Error::Stopped))
    }
}

/// Measures. `None` where somebody asked for the end: half a report is none.
pub async fn run(plan: &Plan, stop: &Stop, tell: Tell<'_>) -> Result<Option<Report>, Error> {
    let folder = tempfile::Builder::new().prefix("meshquake-bench").tempdir().map_err(Error::of)?;
    let program = start::program().map_err(Error::of)?;
    let bench = Bench { plan, program, folder: folder.path(), stop, tell };
    let began = Timestamp::now();
    let before = AtRest::look().await;
    if let Some(warning) = before.warning("before the first figure") {
        tell(format!("warning: {warning}"));
    }
    let mut figures = Vec::new();
    for measure in &plan.measures {
        if stop.is_asked() {
            return Ok(None);
        }
        figures.extend(take(*measure, &bench).await);
    }
    if stop.is_asked() {
        return Ok(None);
    }
    let after = AtRest::look().await;
    Ok(Some(Report {
        schema: report::SCHEMA,
        backend: plan.choice.name().to_owned(),
        again: plan.again.clone(),
        began: seconds(began),
        ended: seconds(Timestamp::now()),
        machine: Machine::here(),
        versions: versions(plan).await,
        before,
        after,
        figures,
    }))
}

/// One measure's figures, whatever became of it.
async fn take(measure: Measure, bench: &Bench<'_>) -> Vec<Figure> {
    (bench.tell)(format!("{}: {}", measure.name(), measure.about()));
    let before = Ticks::read();
    let mut figures: Vec<Figure> = match measure.take(bench).await {
        Ok(figures) => figures.into_iter().map(Figure::explained).collect(),
        Err(error) => {
            (bench.tell)(format!("{}: not measured: {error}", measure.name()));
            let declared = measure.figures(&bench.plan.choice).into_iter();
            declared.map(|figure| figure.missing(error.to_string())).collect()
        }
    };
    let stolen = before.zip(Ticks::read()).map(|(before, after)| after.since(&before).stolen());
    figures.iter_mut().for_each(|figure| figure.stolen = stolen.map(|share| (share * 1e4).round() / 1e4));
    figures
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Of everything that took part.
async fn versions(plan: &Plan) -> Vec<(String, String)> {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let mut versions =
        vec![("meshquake".to_owned(), format!("{}, profile {profile}", env!("CARGO_PKG_VERSION")))];
    match plan.choice {
        Choice::Local => {
            let envoy = parts::look(Part::Envoy).ok().flatten();
            versions.extend(envoy.map(|found| ("envoy".to_owned(), found.version)));
        }
        Choice::Kind | Choice::K3d | Choice::Context { .. } => {
            // Only where the cluster is still there: nothing is made for the sake of a version.
            if provision::is_there(&plan.choice, &plan.settings).await
                && let Ok(reached) = provision::reach(&plan.choice, &plan.settings, &|_| {}).await
            {
                versions.extend(reached.versions);
            }
        }
    }
    versions
}
