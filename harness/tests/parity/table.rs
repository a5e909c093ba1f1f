//! The table of one situation: for each call the set of what it came to. Which version a free call reaches is chance, so a
//! call is repeated until it has come to all that is expected of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::outcome::Outcome;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub BTreeMap<String, BTreeSet<Outcome>>);

impl Table {
    pub fn outcomes(&self, call: &str) -> Option<&BTreeSet<Outcome>> {
        self.0.get(call)
    }

    pub fn calls(&self) -> usize {
        self.0.len()
    }

    pub fn kinds(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// What is in only one of the two, call by call.
    pub fn differences(&self, seen: &Table) -> Vec<String> {
        let none = BTreeSet::new();
        let calls: BTreeSet<&String> = self.0.keys().chain(seen.0.keys()).collect();
        let mut told = Vec::new();
        for call in calls {
            let (wanted, found) = (self.0.get(call).unwrap_or(&none), seen.0.get(call).unwrap_or(&none));
            let expected = wanted.difference(found).map(|outcome| format!("\n  - {outcome}"));
            let unexpected = found.difference(wanted).map(|outcome| format!("\n  + {outcome}"));
            let lines = expected.chain(unexpected).collect::<String>();
            if !lines.is_empty() {
                told.push(format!("{call}{lines}"));
            }
        }
        told
    }

    pub fn read(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        let mut table = Self::default();
        let (mut call, mut outcome) = (String::new(), String::new());
        for line in text.lines().chain([""]) {
            if line.starts_with("      ") {
                outcome += &format!("\n{line}");
                continue;
            }
            if !outcome.is_empty() {
                let whole = Outcome::read(&std::mem::take(&mut outcome));
                table.0.entry(call.clone()).or_default().insert(whole);
            }
            match line.strip_prefix("    ") {
                Some(answer) => answer.clone_into(&mut outcome),
                None => line.clone_into(&mut call),
            }
        }
        Some(table)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (call, outcomes) in &self.0 {
            writeln!(f, "{call}")?;
            for outcome in outcomes {
                writeln!(f, "    {outcome}")?;
            }
        }
        Ok(())
    }
}

/// Where what was agreed on is kept.
pub fn folder() -> PathBuf {
    crate::support::root().join("reports/parity")
}

pub fn file(layout: &str, situation: &str) -> PathBuf {
    folder().join(layout).join(format!("{situation}.txt"))
}

pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    std::fs::create_dir_all(file.parent().unwrap_or(file)).map_err(told)?;
    std::fs::write(file, text).map_err(told)
}
