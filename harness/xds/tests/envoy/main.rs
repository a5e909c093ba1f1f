//! The translation in front of real Envoys: what they accept, and what they do with it.
//!
//! Each case brings up a mesh of its own on loopback: an ADS server, a CA, an Envoy for each pod, small apps. Without
//! an Envoy all cases are skipped and say why.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "times measured, and logs with a failure")]

mod app;
mod ca;
mod cases;
mod mesh;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use libtest_mimic::{Arguments, Trial};

/// `MESHQUAKE_ENVOY`, else on PATH, else what the product keeps in its cache.
fn find_envoy() -> Option<PathBuf> {
    let env = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let on_path = || {
        let path = env("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file())
    };
    let in_cache = || {
        let cache = match env("XDG_CACHE_HOME") {
            Some(cache) => PathBuf::from(cache),
            None => PathBuf::from(env("HOME")?).join(".cache"),
        };
        let parts = std::fs::read_dir(cache.join("meshquake/parts")).ok()?;
        parts.flatten().map(|part| part.path().join("envoy")).find(|file| file.is_file())
    };
    env("MESHQUAKE_ENVOY").map(PathBuf::from).or_else(on_path).or_else(in_cache)
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each case has several Envoys; more at once only wait for each other.
    arguments.test_threads.get_or_insert(2);
    let envoy = find_envoy();
    let trials = cases::ALL.iter().map(|(name, case)| {
        let Some(envoy) = envoy.clone() else {
            let why = "skipped: no Envoy; set MESHQUAKE_ENVOY";
            return Trial::test(*name, || Ok(())).with_kind(why).with_ignored_flag(true);
        };
        Trial::test(*name, move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(case(envoy));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
