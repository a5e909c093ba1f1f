//! `meshquake bench`: the figures of this machine, kept as a report or held against an earlier one.

use std::path::{Path, PathBuf};

use clap::Args;

use super::cluster::Where;
use super::on_cluster;
use super::print::{answer, answer_look, fail, tell};
use crate::backend::Choice;
use crate::backend::cluster::provision;
use crate::bench::{self, Check, Measure, Plan, Report, markdown, report, table};
use crate::error::chain;
use crate::run::facts::quoted;
use crate::run::folder;
use crate::run::stop::Stop;
use crate::verdict::Exit;
use crate::world::shown;

#[derive(Args)]
pub struct Bench {
    /// Figures, or measures that give several; all where none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// Write the report here, as .md and .json [default: reports/bench-BACKEND, when all figures are measured]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Compare with an earlier report instead of writing one [default: reports/bench-BACKEND.json]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    check: Option<String>,
    /// Repeat each measure so often, in place of its own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: Option<u16>,
    /// List what can be measured, and measure nothing
    #[arg(long)]
    list: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub async fn execute(self) -> Exit {
        let (choice, settings) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        if let Choice::Context { .. } = choice {
            let text = "figures are of clusters that meshquake makes, and of `local`";
            return fail(Exit::NOT_POSSIBLE_HERE, text);
        }
        let measures = match Measure::chosen(&self.names, &choice) {
            Ok(measures) => measures,
            Err(why) => return fail(Exit::USAGE, &why),
        };
        if self.list {
            answer(&listed(&measures, &choice));
            return Exit::HELD;
        }
        // Read before anything is measured, since that takes minutes.
        let earlier = match self.earlier(&choice) {
            Ok(earlier) => earlier,
            Err(exit) => return exit,
        };
        let stop = Stop::default();
        if let Err(error) = stop.on_signals() {
            return fail(Exit::INTERNAL, &format!("signals cannot be handled: {error}"));
        }
        stop.on_unread();
        let again = self.again(&choice);
        let rounds = self.rounds.map(usize::from);
        let yes_really = self.place.yes_really();
        let plan = Plan { choice, settings, measures, rounds, yes_really, again };
        let measured = bench::run(&plan, &stop, &|text| tell(&text)).await;
        if plan.choice != Choice::Local && provision::is_there(&plan.choice, &plan.settings).await {
            on_cluster::stays(&plan.choice, &plan.settings);
        }
        match measured {
            Ok(Some(report)) => self.conclude(&plan, &report, earlier.as_ref()),
            Ok(None) => match stop.reason() {
                Some(cause) => fail(cause.kind.exit(), &format!("{}; no report was written", cause.text)),
                None => Exit::INTERNAL,
            },
            Err(error) => fail(Exit::INTERNAL, &chain(&error)),
        }
    }

    /// The command that measures the same again.
    fn again(&self, choice: &Choice) -> String {
        let mut words = vec!["meshquake bench".to_owned()];
        words.extend(self.names.iter().cloned());
        words.extend(["--backend".to_owned(), choice.name().to_owned()]);
        if let Choice::Context { name, .. } = choice {
            words.extend(["--context".to_owned(), quoted(name)]);
        }
        words.extend(self.rounds.map(|rounds| format!("--rounds {rounds}")));
        words.join(" ")
    }

    fn earlier(&self, choice: &Choice) -> Result<Option<Report>, Exit> {
        let Some(file) = &self.check else { return Ok(None) };
        let path = match file.as_str() {
            "" => home(choice).with_extension("json"),
            name if Measure::chosen(&[name.to_owned()], choice).is_ok() && !Path::new(name).exists() => {
                let text = format!(
                    "`--check {name}`: {name} is a figure, and the name of a report is wanted; write it first"
                );
                return Err(fail(Exit::USAGE, &text));
            }
            file => PathBuf::from(file),
        };
        let earlier = Report::read(&path).map_err(|error| fail(Exit::USAGE, &chain(&error)))?;
        if earlier.backend != choice.name() {
            let text =
                format!("{} is of backend `{}`, not of `{}`", shown(&path), earlier.backend, choice.name());
            return Err(fail(Exit::USAGE, &text));
        }
        Ok(Some(earlier))
    }

    fn conclude(&self, plan: &Plan, report: &Report, earlier: Option<&Report>) -> Exit {
        if self.json {
            answer(report.to_json().trim_end());
        } else {
            answer(table::table(report, answer_look()).trim_end());
        }
        let mut good = report.is_good();
        if let Some(earlier) = earlier {
            let measured: Vec<String> = plan
                .measures
                .iter()
                .flat_map(|measure| measure.figures(&plan.choice))
                .map(|figure| figure.name)
                .collect();
            let wanted = |name: &str| self.names.is_empty() || measured.iter().any(|known| known == name);
            let check = Check::of(report, earlier, &wanted);
            let words = check.words();
            if self.json {
                tell(words.trim_end())
            } else {
                answer(&format!("\n{}", words.trim_end()))
            }
            good = check.is_good();
        }
        match self.write(plan, report) {
            Ok(()) if good => Exit::HELD,
            Ok(()) => Exit::FAILED,
            Err(error) => fail(Exit::INTERNAL, &chain(&error)),
        }
    }

    /// A part of the figures never takes the place of all of them, unless somebody says where it is to go.
    fn write(&self, plan: &Plan, report: &Report) -> Result<(), report::Error> {
        let path = match &self.out {
            Some(path) => path.clone(),
            None if self.check.is_some() => return Ok(()),
            None if !self.names.is_empty() || self.rounds.is_some() => {
                tell(
                    "not all figures were measured in full, so no report is written; `--out FILE` writes one",
                );
                return Ok(());
            }
            None => home(&plan.choice),
        };
        let (text, json) = (path.with_extension("md"), path.with_extension("json"));
        let name = json.file_name().unwrap_or_default().to_string_lossy().into_owned();
        report::write(&json, &report.to_json())?;
        report::write(&text, &markdown::render(report, &name))?;
        tell(&format!("written: {} and {name}", shown(&text)));
        Ok(())
    }
}

/// Where the report of a backend is kept.
fn home(choice: &Choice) -> PathBuf {
    folder::home().join(format!("bench-{}.md", choice.name()))
}

fn listed(measures: &[Measure], choice: &Choice) -> String {
    let mut lines = Vec::new();
    for measure in measures {
        lines.push(format!("{}: {}", measure.name(), measure.about()));
        for figure in measure.figures(choice) {
            lines.push(format!("  {:<20} {}", figure.name, figure.limits_shown()));
        }
    }
    lines.join("\n")
}
