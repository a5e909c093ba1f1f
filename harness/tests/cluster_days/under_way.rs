//! A run under way: begun from the text of a scenario, followed by the events that it writes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::scenario;
use crate::site::{Begun, PATIENCE, Site};
use crate::support;
use crate::until::until;

pub struct UnderWay {
    pub begun: Begun,
    reports: PathBuf,
}

impl UnderWay {
    /// `WORLD` in the text is where the pinning world lies. Each run of a test has a name of its own.
    pub fn begin(site: &Site, folder: &Path, name: &str, scenario: &str, more: &[&str]) -> Self {
        Self::begin_as(folder, name, scenario, |words| site.begin(&[words, more].concat()))
    }

    /// The same, begun from its words in a way of one's own.
    pub fn begin_as(folder: &Path, name: &str, scenario: &str, begin: impl FnOnce(&[&str]) -> Begun) -> Self {
        let world = support::root().join("services/deploy/pinning");
        let (file, reports) = (folder.join(format!("{name}.yaml")), folder.join(name));
        fs::write(&file, scenario.replace("WORLD", &world.display().to_string())).expect("written");
        let words = ["run", &file.display().to_string(), "--reports", &reports.display().to_string()]
            .map(str::to_owned);
        let begun = begin(&words.each_ref().map(String::as_str));
        Self { begun, reports }
    }

    /// What it has told so far, a record a line.
    pub fn events(&self) -> String {
        self.file("events.jsonl")
    }

    /// The events of a kind.
    pub fn told(&self, kind: &str) -> Vec<Value> {
        let records = self.events();
        let records = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter_map(|mut record| Some(record["event"].get_mut(kind)?.take())).collect()
    }

    /// A file of its folder, once it has ended.
    pub fn file(&self, name: &str) -> String {
        let runs = fs::read_dir(&self.reports).into_iter().flatten().flatten();
        runs.filter_map(|run| fs::read_to_string(run.path().join(name)).ok()).collect()
    }

    /// Returns once the load is under way.
    pub fn under_load(&mut self) {
        self.comes_to("load", |run| !run.told("load-second").is_empty());
    }

    /// Returns once the warm-up has begun.
    pub fn in_warm_up(&mut self) {
        self.comes_to("warm-up", |run| {
            run.told("phase-started").iter().any(|started| started["phase"] == "warm-up")
        });
    }

    /// Returns once a fault is proved.
    pub fn in_a_fault(&mut self) {
        self.comes_to("a fault", |run| run.events().contains("\"proved\""));
    }

    fn comes_to(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        until(what, PATIENCE, || {
            assert!(self.begun.runs(), "it ended before: {}", self.events());
            if so(self) { Ok(()) } else { Err(self.events()) }
        });
    }

    /// To its end, which must be that it held. Where others kept this machine's processors from the load generator,
    /// nobody can say that it did; then everything else must have held.
    pub fn held(&mut self) {
        let exit = self.begun.end();
        let ended = self.told("ended");
        let causes = ended.iter().flat_map(|ended| ended["outcome"]["causes"].as_array()).flatten();
        assert!(
            exit == Some(0) || causes.clone().all(scenario::is_starved) && causes.count() > 0,
            "{exit:?}: {}",
            self.events()
        );
    }
}
