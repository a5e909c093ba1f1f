//! Every file in `scenarios/` is a test of its own, on each backend: it must go as it says itself in `expect:`.
//!
//! `MESHQUAKE_BACKENDS=local,kind` says on which; `local` alone where it is not set. A cluster that is made stays for the
//! next run. A tier that cannot run is reported as ignored, with the reason in its name; `MESHQUAKE_REQUIRE=envoy,kind`
//! makes that a failure. `MESHQUAKE_REPEAT=20` runs each scenario twenty times.

#[path = "support/mod.rs"]
mod support;
#[path = "support/tiers.rs"]
mod tiers;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    // One world under load at a time.
    arguments.test_threads = Some(1);
    let mut files = Vec::new();
    collect(&support::root().join("scenarios"), &mut files);
    let asked = tiers::backends();
    let trials = tiers::BACKENDS.into_iter().flat_map(|backend| {
        if !asked.contains(&backend) {
            let name = format!("{backend} (skipped: MESHQUAKE_BACKENDS does not name it)");
            return vec![Trial::test(name, || Ok(())).with_ignored_flag(true)];
        }
        let missing = if arguments.list { None } else { tiers::missing(backend) };
        files.iter().map(|file| trial(backend, file, missing.as_deref())).collect()
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn trial(backend: &'static str, file: &Path, missing: Option<&str>) -> Trial {
    let name = format!("{backend}::{}", file.file_stem().unwrap_or_default().to_string_lossy());
    match missing {
        None => {
            let file = file.to_owned();
            Trial::test(name, move || repeat(backend, &file))
        }
        Some(why) => Trial::test(format!("{name} (skipped: {why})"), || Ok(())).with_ignored_flag(true),
    }
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

fn repeat(backend: &str, file: &Path) -> Result<(), Failed> {
    let times = std::env::var("MESHQUAKE_REPEAT").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    (1..=times).try_for_each(|time| {
        as_expected(backend, file).map_err(|why| Failed::from(format!("time {time} of {times}: {why}")))
    })
}

/// A generator that was starved by others on this machine says nothing about the system: such a run is tried again.
const TRIES: usize = 3;

fn as_expected(backend: &str, file: &Path) -> Result<(), String> {
    let _alone = support::under_load();
    let mut last = String::new();
    for _ in 0..TRIES {
        let reports = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = file.to_string_lossy();
        let folder = reports.path().to_string_lossy();
        let words = ["run", &file, "--backend", backend, "--as-expected", "--json", "--reports", &folder];
        let output = support::meshquake(&words).output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        // What tells why goes with the failure: the folder stays.
        last = format!("{}\n{}", support::said(&output), reports.path().display());
        let starved = was_starved(&output.stdout);
        let _kept = reports.keep();
        if !starved {
            break;
        }
    }
    Err(last)
}

/// Whether the machine was too busy for the load generator; what was measured beside it may come from that as well.
/// A fault that was not taken back, or anything else that is no measurement, never does.
fn was_starved(answer: &[u8]) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let causes = answer["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let starved = |cause: &serde_json::Value| {
        cause["text"].as_str().is_some_and(|text| text.starts_with("the load generator was the bottleneck"))
    };
    let measured = |cause: &serde_json::Value| {
        ["inconclusive", "failed", "not-steady"].iter().any(|kind| cause["kind"] == *kind)
    };
    causes.iter().any(starved) && causes.iter().all(measured)
}
