//! Every file in `scenarios/` is a test of its own, on each backend: it must go as it says itself in `expect:`.
//!
//! `MESHQUAKE_BACKENDS=local,kind` says on which; `local` alone where it is not set. A cluster that is made stays for the
//! next run. A tier that cannot run is reported as ignored, with the reason in its name; `MESHQUAKE_REQUIRE=envoy,kind`
//! makes that a failure. `MESHQUAKE_REPEAT=20` runs each scenario twenty times.

#[path = "support/scenario.rs"]
mod scenario;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tiers.rs"]
mod tiers;

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    // One world under load at a time.
    arguments.test_threads = Some(1);
    let files = scenario::all();
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

fn repeat(backend: &str, file: &Path) -> Result<(), Failed> {
    let times = std::env::var("MESHQUAKE_REPEAT").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    (1..=times).try_for_each(|time| {
        scenario::run(backend, file)
            .map(drop)
            .map_err(|why| Failed::from(format!("time {time} of {times}: {why}")))
    })
}
