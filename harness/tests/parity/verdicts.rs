//! What each scenario comes to, objective by objective.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scenario;
use crate::table::{folder, write};

/// By scenario.
pub type Verdicts = BTreeMap<String, Agreed>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Its verdict and those of its objectives, a line each.
    pub verdicts: Vec<String>,
    /// The backends on which it came to them.
    pub on: BTreeSet<String>,
}

fn file() -> PathBuf {
    folder().join("verdicts.json")
}

pub fn read() -> Verdicts {
    serde_json::from_str(&std::fs::read_to_string(file()).unwrap_or_default()).unwrap_or_default()
}

pub fn keep(verdicts: &Verdicts) -> Result<(), String> {
    write(&file(), &(serde_json::to_string_pretty(verdicts).map_err(|error| error.to_string())? + "\n"))
}

/// Runs it. That it goes as it expects is part of it: a run that does not is no verdict to compare with.
pub fn of(backend: &str, scenario: &Path) -> Result<Vec<String>, String> {
    let answer = scenario::run(backend, scenario)?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![word(&answer["verdict"])];
    let objectives = answer["objectives"].as_array().into_iter().flatten();
    lines.extend(objectives.map(|one| format!("{}: {}", word(&one["name"]), word(&one["verdict"]))));
    Ok(lines)
}

pub fn name(scenario: &Path) -> String {
    scenario.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
