//! `local` and Istio agree: the same calls in the same situations come to the same on every backend, and so does every
//! scenario.
//!
//! `MESHQUAKE_BACKENDS=local,kind cargo test -p meshquake --test parity` compares each backend with what was agreed on,
//! which lies in `reports/parity/` and is summed up in `reports/parity.md`. `MESHQUAKE_PARITY=write` writes that anew: the
//! first backend that plays a situation (a cluster, where one is asked for) says what is right, and the others are
//! compared with it. A backend that cannot run is reported as ignored, with the reason in the test's name.

#![expect(clippy::print_stderr, reason = "what is left behind is told to whoever runs the suite")]

#[path = "../support/scenario.rs"]
mod scenario;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tiers.rs"]
mod tiers;

// Which calls are made.
mod calls;

// Labels that differ, and why.
mod labels;

// What the proxies have counted.
mod look;

// What one call came to.
mod outcome;

// One situation from its beginning to its end.
mod play;

// When and with what versions.
mod ran;

// The page for people.
mod report;

// What is done to the world before its calls are made.
mod situation;

// A world that is up.
mod stage;

// What was agreed on, on disk.
mod table;

// What each scenario comes to.
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use meshquake::world::Layout;

use labels::Series;
use ran::Ran;
use situation::Situation;
use stage::Stage;
use table::Table;

fn main() {
    let mut arguments = Arguments::from_args();
    // One world at a time.
    arguments.test_threads = Some(1);
    let asked = tiers::backends();
    let theatre = Arc::new(Mutex::new(Theatre::new(asked == ["local"])));
    let mut trials = Vec::new();
    // A cluster comes first: where it says what is right, `local` is compared with it.
    for backend in ["kind", "k3d", "local"] {
        if !asked.contains(&backend) {
            let name = format!("{backend} (skipped: MESHQUAKE_BACKENDS does not name it)");
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            continue;
        }
        let missing = if arguments.list { None } else { tiers::missing(backend) };
        let alone = asked == ["local"];
        for (name, test) in tests(backend) {
            let missing =
                missing.clone().or_else(|| (alone && !is_worth_it_alone(&name)).then(|| ALONE.to_owned()));
            trials.push(match &missing {
                None => {
                    let theatre = theatre.clone();
                    Trial::test(format!("{backend}::{name}"), move || {
                        let mut theatre = theatre.lock().unwrap_or_else(PoisonError::into_inner);
                        test(&mut theatre).map_err(Failed::from)
                    })
                }
                Some(why) => {
                    let name = format!("{backend}::{name} (skipped: {why})");
                    Trial::test(name, || Ok(())).with_ignored_flag(true)
                }
            });
        }
    }
    let last = theatre.clone();
    trials.push(Trial::test("report", move || {
        let mut theatre = last.lock().unwrap_or_else(PoisonError::into_inner);
        theatre.close().and_then(|()| report::keep_or_compare(theatre.writes)).map_err(Failed::from)
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Where the tests were filtered, the last of them may have left its world up.
    if let Err(why) = theatre.lock().unwrap_or_else(PoisonError::into_inner).close() {
        eprintln!("a world could not be taken down: {why}");
        std::process::exit(1);
    }
    conclusion.exit();
}

const ALONE: &str = "played where a cluster is asked for as well";

/// Without a cluster `local` is compared with what was agreed on in one layout: the other is the same translation, and
/// every scenario's verdict has a test of its own elsewhere.
fn is_worth_it_alone(name: &str) -> bool {
    !name.starts_with("per-service::") && !name.starts_with("scenario::")
}

type Test = Box<dyn FnOnce(&mut Theatre) -> Result<(), String> + Send>;

fn tests(backend: &'static str) -> Vec<(String, Test)> {
    let mut tests: Vec<(String, Test)> = Vec::new();
    for (word, layout) in Layout::WORDS {
        for situation in Situation::ALL {
            let name = format!("{word}::{}", situation.name());
            tests.push((name, Box::new(move |theatre| theatre.play(backend, layout, situation))));
        }
        let labels = move |theatre: &mut Theatre| theatre.labels(backend, layout);
        tests.push((format!("{word}::labels"), Box::new(labels)));
    }
    for scenario in scenario::all() {
        let name = verdicts::name(&scenario);
        let test_name = format!("scenario::{name}");
        tests.push((test_name, Box::new(move |theatre| theatre.scenario(backend, &name, &scenario))));
    }
    tests
}

/// One world is up at a time, for all tests that want it.
struct Theatre {
    runtime: tokio::runtime::Runtime,
    stage: Option<(&'static str, Layout, Stage)>,
    /// Only what may differ from one situation to the next: there is no cluster to compare with.
    brief: bool,
    /// What is agreed on is written anew.
    writes: bool,
    /// What has been written in this run, and so holds for who comes after.
    written: BTreeSet<String>,
    /// Series by backend and layout, of the situations that were played in this run.
    series: BTreeMap<(&'static str, String), (Series, usize)>,
}

impl Theatre {
    fn new(alone: bool) -> Self {
        let writes = std::env::var("MESHQUAKE_PARITY").is_ok_and(|word| word == "write");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a runtime"),
            stage: None,
            brief: alone && !writes,
            writes,
            written: Default::default(),
            series: BTreeMap::new(),
        }
    }

    /// Whether this is the one to say what is right.
    fn says_what_is_right(&mut self, what: String) -> bool {
        self.writes && self.written.insert(what)
    }

    fn close(&mut self) -> Result<(), String> {
        match self.stage.take() {
            Some((.., stage)) => self.runtime.block_on(stage.backend.down()),
            None => Ok(()),
        }
    }

    fn open(&mut self, backend: &'static str, layout: Layout) -> Result<(), String> {
        if self.stage.as_ref().is_some_and(|(one, other, _)| (*one, *other) == (backend, layout)) {
            return Ok(());
        }
        self.close()?;
        let stage = self.runtime.block_on(Stage::up(backend, layout))?;
        if self.writes {
            let mut ran = Ran::read();
            self.runtime.block_on(ran.note(backend, &stage));
            ran.write()?;
        }
        self.stage = Some((backend, layout, stage));
        Ok(())
    }

    fn play(&mut self, backend: &'static str, layout: Layout, situation: Situation) -> Result<(), String> {
        self.open(backend, layout)?;
        let (.., stage) = self.stage.as_ref().ok_or("no world is up")?;
        let word = layout.to_string();
        let file = table::file(&word, situation.name());
        let mut expected = Table::read(&file);
        if let Some(table) = expected.as_mut().filter(|_| self.brief) {
            let asked = situation.calls(&stage.world, true);
            let asked: BTreeSet<String> = asked.iter().map(ToString::to_string).collect();
            table.0.retain(|call, _| asked.contains(call));
        }
        let played = match self.runtime.block_on(play::play(stage, situation, self.brief, expected.as_ref()))
        {
            Ok(played) => played,
            Err(why) => {
                // Nobody knows what is left of it.
                let closed = self.close();
                return Err(format!(
                    "{why}{}",
                    closed.err().map(|why| format!("; {why}")).unwrap_or_default()
                ));
            }
        };
        let (series, situations) = self.series.entry((backend, word.clone())).or_default();
        series.add(&played.series, &played.edges);
        *situations += 1;
        if self.says_what_is_right(format!("{word} {}", situation.name())) {
            if backend != "local" {
                self.keep_series(&word, situation, &played)?;
            }
            return table::write(&file, &played.table.to_string());
        }
        let expected = expected
            .ok_or_else(|| format!("{} is not there; MESHQUAKE_PARITY=write makes it", file.display()))?;
        let differences = expected.differences(&played.table);
        if differences.is_empty() {
            return Ok(());
        }
        let calls = played.table.calls();
        let told = differences.join("\n");
        Err(format!(
            "{} of {calls} calls come to something else (- agreed on, + seen):\n{told}",
            differences.len()
        ))
    }

    /// A cluster's series are kept when its tables are: begun anew with the first situation of a layout.
    fn keep_series(&self, word: &str, situation: Situation, played: &play::Played) -> Result<(), String> {
        let mut kept = match situation == Situation::ALL[0] {
            true => Series::default(),
            false => Series::read(word).unwrap_or_default(),
        };
        kept.add(&played.series, &played.edges);
        table::write(&Series::file(word), &kept.text())
    }

    fn labels(&mut self, backend: &'static str, layout: Layout) -> Result<(), String> {
        let word = layout.to_string();
        let kept =
            Series::read(&word).ok_or("no cluster's series are kept; MESHQUAKE_PARITY=write does it")?;
        let (seen, situations) = self.series.get(&(backend, word)).cloned().unwrap_or_default();
        if self.writes && backend != "local" {
            return Ok(());
        }
        if situations != Situation::ALL.len() {
            let all = Situation::ALL.len();
            return Err(format!(
                "only {situations} of {all} situations were played before, and each adds to it"
            ));
        }
        let told = match backend {
            "local" => labels::surprises(&seen, &kept),
            _ => {
                let changed = labels::differences(&seen, &kept);
                changed
                    .iter()
                    .map(|one| format!("label `{}`: {} {}", one.label, one.how, one.example))
                    .collect()
            }
        };
        if told.is_empty() { Ok(()) } else { Err(told.join("\n")) }
    }

    fn scenario(&mut self, backend: &'static str, name: &str, file: &std::path::Path) -> Result<(), String> {
        self.close()?;
        let seen = verdicts::of(backend, file)?;
        let mut known = verdicts::read();
        let right = self.says_what_is_right(format!("scenario {name}"));
        let agreed = known.entry(name.to_owned()).or_default();
        if agreed.verdicts != seen {
            if !right {
                let (agreed, seen) = (agreed.verdicts.join("\n  "), seen.join("\n  "));
                return Err(format!("agreed on:\n  {agreed}\nseen:\n  {seen}"));
            }
            *agreed = verdicts::Agreed { verdicts: seen, ..Default::default() };
        }
        if self.writes {
            agreed.on.insert(backend.to_owned());
            return verdicts::keep(&known);
        }
        Ok(())
    }
}
