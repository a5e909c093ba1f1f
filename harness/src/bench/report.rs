//! A report as a file: every figure with its raw samples, the machine, and what took part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::figure::{Figure, Judgement};
use super::machine::{self, AtRest, Machine};

/// Raised whenever a reader of older files would misread newer ones.
pub const SCHEMA: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no report {}; `meshquake bench` writes one", .path.display())]
    Absent { path: PathBuf },
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is no report of a bench: {source}", .path.display())]
    Shape { path: PathBuf, source: serde_json::Error },
    #[error("{} was written with schema {found}, this meshquake reads {SCHEMA}", .path.display())]
    Schema { path: PathBuf, found: u32 },
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Report {
    pub schema: u32,
    pub backend: String,
    /// The command that measures it again.
    pub again: String,
    pub began: String,
    pub ended: String,
    pub machine: Machine,
    /// Of everything that took part: name, version.
    pub versions: Vec<(String, String)>,
    pub before: AtRest,
    pub after: AtRest,
    pub figures: Vec<Figure>,
}

impl Report {
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::Absent { path: path.to_owned() },
            _ => Error::Read { path: path.to_owned(), source },
        })?;
        let shape = |source| Error::Shape { path: path.to_owned(), source };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(shape)?;
        let schema = value["schema"].as_u64().and_then(|schema| u32::try_from(schema).ok());
        match schema {
            Some(found) if found != SCHEMA => Err(Error::Schema { path: path.to_owned(), found }),
            _ => serde_json::from_value(value).map_err(shape),
        }
    }

    /// Lists of numbers stand on one line: a figure may have a hundred samples.
    pub fn to_json(&self) -> String {
        static NUMBERS: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\[\s+([-+.\deE,\s]+?)\s+\]").expect("it is written here"));
        static GAPS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+").expect("it is written here"));
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let joined = NUMBERS.replace_all(&text, |found: &regex::Captures<'_>| {
            format!("[{}]", GAPS.replace_all(&found[1], " "))
        });
        joined.into_owned() + "\n"
    }

    /// What a reader must know of the machine before the figures.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .before
            .warning("before the first figure")
            .into_iter()
            .chain(self.after.warning("after the last figure"))
            .collect();
        if self.backend != "local" {
            // Its own work cannot be told from that of strangers.
            warnings
                .iter_mut()
                .for_each(|warning| warning.push_str("; a cluster that is there counts as well"));
        }
        let mut stolen: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for figure in &self.figures {
            if let Some(share) = figure.stolen.filter(|share| machine::is_much_stolen(*share)) {
                stolen.entry(format!("{:2.0} %", share * 100.0)).or_default().push(&figure.name);
            }
        }
        if !stolen.is_empty() {
            let shares =
                stolen.iter().map(|(share, names)| format!("{} of {}", share.trim(), names.join(", ")));
            let shares = shares.collect::<Vec<_>>().join("; ");
            warnings
                .push(format!("the machine's host gave time to others while this was measured: {shares}"));
        }
        warnings
    }

    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// Every figure was measured and keeps what it promises.
    pub fn is_good(&self) -> bool {
        self.figures.iter().all(|figure| figure.judge().is_good())
    }

    /// `8 of 9 figures with a limit keep it; missed: down`
    pub fn sentence(&self) -> String {
        let named = |wanted: Judgement| {
            let names = self.figures.iter().filter(|figure| figure.judge() == wanted);
            names.map(|figure| figure.name.as_str()).collect::<Vec<_>>()
        };
        let (met, missed, unmeasured) =
            (named(Judgement::Met), named(Judgement::Missed), named(Judgement::Unmeasured));
        let mut text = format!("{} of {} figures with a limit keep it", met.len(), met.len() + missed.len());
        if !missed.is_empty() {
            text += &format!("; missed: {}", missed.join(", "));
        }
        if !unmeasured.is_empty() {
            text += &format!("; not measured: {}", unmeasured.join(", "));
        }
        text
    }
}

/// Writes text for people beside what machines read.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/bench.json");
        let report = fixture::report();
        write(&path, &report.to_json()).expect("written");
        assert_eq!(Report::read(&path).expect("read"), report);
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.contains("\"samples\": [0.81, 0.79, 0.84]"), "{text}");
    }

    #[test]
    fn what_is_no_report_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bench.json");
        let error = Report::read(&path).expect_err("absent").to_string();
        assert!(error.starts_with("there is no report ") && error.contains("meshquake bench"), "{error}");
        std::fs::write(&path, "{\"schema\": 99}").expect("written");
        let error = Report::read(&path).expect_err("newer").to_string();
        assert!(error.ends_with("was written with schema 99, this meshquake reads 1"), "{error}");
        std::fs::write(&path, "{}").expect("written");
        let error = Report::read(&path).expect_err("other").to_string();
        assert!(error.contains("is no report of a bench: missing field"), "{error}");
    }

    #[test]
    fn the_sentence_names_what_is_missed_and_what_was_not_measured() {
        let report = fixture::report();
        assert_eq!(report.sentence(), "1 of 2 figures with a limit keep it; missed: down; not measured: run");
        assert!(!report.is_good());
    }
}
