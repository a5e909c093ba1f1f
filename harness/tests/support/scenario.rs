//! The scenarios of the repository, and how a suite runs one: a try in which the load generator was starved by others on
//! this machine says nothing about the system, and is made again.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support;

const TRIES: usize = 3;

/// What the program answered, and whether the run went as its scenario expects. An error holds all that was said.
pub fn run(backend: &str, file: &Path) -> Result<Value, String> {
    let _alone = support::under_load();
    let mut last = String::new();
    for _ in 0..TRIES {
        let reports = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = file.to_string_lossy();
        let folder = reports.path().to_string_lossy();
        let words = ["run", &file, "--backend", backend, "--as-expected", "--json", "--reports", &folder];
        let output = support::meshquake(&words).output().map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() {
            return Ok(answer);
        }
        // What tells why goes with the failure: the folder stays.
        last = format!("{}\n{}", support::said(&output), reports.path().display());
        let _kept = reports.keep();
        if !was_starved(&answer) {
            break;
        }
    }
    Err(last)
}

/// Whether the machine was too busy for the load generator; what was measured beside it may come from that as well.
/// A fault that was not taken back, or anything else that is no measurement, never does.
fn was_starved(answer: &Value) -> bool {
    let causes = answer["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let measured =
        |cause: &Value| ["inconclusive", "failed", "not-steady"].iter().any(|kind| cause["kind"] == *kind);
    causes.iter().any(is_starved) && causes.iter().all(measured)
}

/// How a run says that the machine was too busy for the load generator.
pub const STARVED: &str = "the load generator was the bottleneck";

/// Whether that is what a cause of a verdict says.
pub fn is_starved(cause: &Value) -> bool {
    cause["text"].as_str().is_some_and(|text| text.starts_with(STARVED))
}

/// Every scenario of the repository.
pub fn all() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&support::root().join("scenarios"), &mut files);
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the scenarios can be listed");
    let mut paths = entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}
