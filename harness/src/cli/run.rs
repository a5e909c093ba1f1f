//! `meshquake run`: one scenario, or several one after the other.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use super::cluster::Where;
use super::print::{answer, answer_look, fail, progress_look, tell};
use super::{duration, on_cluster, reports};
use crate::backend::Choice;
use crate::backend::cluster::settings::Settings;
use crate::error::chain;
use crate::event::Record;
use crate::problem;
use crate::report::console::{self, Progress};
use crate::run::stop::Stop;
use crate::run::{self, Finished, Options};
use crate::scenario::{self, Scenario};
use crate::verdict::Exit;

#[derive(Args)]
pub struct Run {
    /// Scenario files, or bare names from `scenarios/`
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// Compare with the scenario's `expect:` instead of exiting by the verdict
    #[arg(long)]
    as_expected: bool,
    /// Another seed than the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Leave the world up afterwards
    #[arg(long)]
    keep: bool,
    /// Use the world that is up already, by its id
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    world_up: Option<String>,
    /// Bound the whole run
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Where runs are written
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
    /// How many old runs to keep there
    #[arg(long, value_name = "N", default_value_t = 20)]
    keep_runs: usize,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

impl Run {
    pub async fn execute(self) -> Exit {
        let (choice, settings) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        let scenarios = match read(&self.scenarios, &choice) {
            Ok(scenarios) => scenarios,
            Err(exit) => return exit,
        };
        let stop = Stop::default();
        if let Err(error) = stop.on_signals() {
            return fail(Exit::INTERNAL, &format!("signals cannot be handled: {error}"));
        }
        stop.on_unread();
        let (mut worst, mut was_up) = (Exit::HELD, false);
        for scenario in &scenarios {
            let (exit, came_up) = self.one(scenario, &choice, &settings, &stop).await;
            was_up |= came_up;
            if worst == Exit::HELD {
                worst = exit;
            }
            if stop.is_asked() {
                break;
            }
        }
        if was_up {
            on_cluster::stays(&choice, &settings);
        }
        worst
    }

    /// Its outcome, and whether a world came up for it.
    async fn one(
        &self,
        scenario: &Scenario,
        choice: &Choice,
        settings: &Settings,
        stop: &Stop,
    ) -> (Exit, bool) {
        let options = Options {
            backend: choice.clone(),
            settings: settings.clone(),
            reports: reports(&self.reports),
            keep_runs: self.keep_runs,
            keep_world: self.keep,
            timeout: self.timeout,
            seed: self.seed,
            world_up: self.world_up.clone(),
        };
        let (listener, records) = mpsc::unbounded_channel();
        let telling = tokio::spawn(follow(records, stop.clone()));
        let finished = run::run(scenario, &options, stop, Some(listener)).await;
        // The sender went with the run, so this ends.
        let _ = telling.await;
        match finished {
            Ok(finished) => (self.conclude(&finished), finished.story.world.is_some()),
            Err(error) => (fail(error.exit(), &chain(&error)), false),
        }
    }

    fn conclude(&self, finished: &Finished) -> Exit {
        let folder = shortened(&finished.folder);
        let deviations = finished.deviations();
        if self.json {
            let value = json!({
                "scenario": finished.story.started.scenario,
                "verdict": finished.verdict(),
                "exit": finished.outcome.exit().0,
                "causes": finished.outcome.causes,
                "objectives": finished.story.judged,
                "asked-of-prometheus": finished.story.second,
                "folder": folder,
                "as-expected": deviations.is_empty(),
                "deviations": deviations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            });
            answer(&serde_json::to_string_pretty(&value).unwrap_or_default());
        } else {
            answer(console::answer(&finished.story, &folder, answer_look()).trim_end());
        }
        if !self.as_expected {
            return finished.outcome.exit();
        }
        for deviation in &deviations {
            tell(&format!("not as expected: {deviation}"));
        }
        match deviations.is_empty() {
            true => {
                tell(&format!("as expected: {}", finished.expectation.verdict));
                Exit::HELD
            }
            // A run that held although it should have failed must not exit with 0.
            false if finished.outcome.exit() == Exit::HELD => Exit::FAILED,
            false => finished.outcome.exit(),
        }
    }
}

/// The scenarios of these names, checked, and whether they are possible there; what is wrong has been told.
pub fn read(names: &[String], choice: &Choice) -> Result<Vec<Scenario>, Exit> {
    let mut scenarios = Vec::new();
    let mut refused = false;
    for name in names {
        let path = match scenario::find(name) {
            Ok(path) => path,
            Err(why) => {
                fail(Exit::REFUSED, &why);
                refused = true;
                continue;
            }
        };
        let checked = Scenario::from_file(&path).map_err(|problems| choice.minds(problems));
        match checked.and_then(|scenario| choice.bears(&scenario.world).map(|()| scenario)) {
            Ok(scenario) => scenarios.push(scenario),
            Err(problems) => {
                let colour = progress_look().colour;
                tell(problem::render(&problems, problem::NOTHING_STARTED, colour).trim_end());
                refused = true;
            }
        }
    }
    if refused { Err(Exit::REFUSED) } else { Ok(scenarios) }
}

/// Tells the events of a run. Where nobody reads any more, the run ends as by a signal.
async fn follow(mut records: mpsc::UnboundedReceiver<Record>, stop: Stop) {
    let mut progress = Progress::new(std::io::stderr(), progress_look());
    while let Some(record) = records.recv().await {
        if progress.tell(&record).is_err() {
            stop.unread();
            break;
        }
    }
    let _ = progress.finish();
}

/// A path from here, where it lies below.
fn shortened(path: &std::path::Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
