//! One call of cargo: its environment, its words on the way, the programs it made.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::{Builder, Error, Progress};
use crate::leash::{self, Leash};
use crate::world::Build;

/// What cargo sets for the programs and tests that it runs. Were it handed on, build scripts would see another
/// environment than under the user's own cargo, and everything would be compiled again at every other call.
const OF_CARGO: &[&str] = &[
    "CARGO",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "RUST_RECURSION_COUNT",
];
const OF_CARGO_BY_PREFIX: &[&str] = &["CARGO_BIN_EXE_", "CARGO_PKG_"];

/// The most of cargo's words that a failure repeats.
const WORDS: usize = 60;

pub(super) fn is_of_cargo(name: &str) -> bool {
    OF_CARGO.contains(&name) || OF_CARGO_BY_PREFIX.iter().any(|prefix| name.starts_with(prefix))
}

pub(super) fn build(
    builder: &Builder,
    workspace: &Path,
    build: &Build,
    wanted: &BTreeSet<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let package = build.package.clone();
    let no_cargo =
        |source| Error::NoCargo { program: builder.cargo.clone(), package: package.clone(), source };
    let mut child = command(builder, workspace, build, wanted).spawn().map_err(no_cargo)?;
    let _leash = Leash::of(&mut child);
    let stdout = child.stdout.take();
    // Both pipes are read at once, or cargo would wait for us while we wait for it.
    let artifacts = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.map(|mut pipe| pipe.read_to_end(&mut text)).transpose().map(|_| text)
    });
    let mut words = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some(step) = step(&line) {
                progress(step);
            } else {
                words.push(line);
            }
        }
    }
    let status = child.wait().map_err(no_cargo)?;
    let artifacts = artifacts.join().ok().and_then(Result::ok).unwrap_or_default();
    if leash::not_started(status) {
        return Err(no_cargo(std::io::Error::other(words.join(" "))));
    }
    if !status.success() {
        let words = told(&words);
        return Err(Error::Failed { package, words });
    }
    Ok(programs(&String::from_utf8_lossy(&artifacts)))
}

fn command(builder: &Builder, workspace: &Path, build: &Build, wanted: &BTreeSet<String>) -> Command {
    let mut command = leash::command(&builder.cargo);
    // The programs alone are built, but with the features that the whole workspace gives to what they depend on:
    // else the same dependencies would be compiled twice, once for the harness and once for the shop.
    command.current_dir(workspace).args(["build", "--workspace", "--no-default-features"]);
    let mut features: Vec<String> =
        build.features.iter().map(|feature| format!("{}/{feature}", build.package)).collect();
    if let Some(target) = &builder.static_for {
        command.args(["--target", target]);
        link_statically(&mut command);
        if has_feature(builder, workspace, &build.package, STATIC) {
            features.push(format!("{}/{STATIC}", build.package));
        }
    }
    command.args(["--features", &features.join(",")]);
    for program in wanted {
        command.args(["--bin", program]);
    }
    command.args(["--message-format=json-render-diagnostics", "--color=never"]);
    if builder.release {
        command.arg("--release");
    }
    if let Some(target) = &builder.target {
        command.arg("--target-dir").arg(target);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_cargo) {
            command.env_remove(name);
        }
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The feature of a package for what a static program needs.
const STATIC: &str = "static";

/// Adds to the flags that the person has set, in the form in which cargo heeds them.
fn link_statically(command: &mut Command) {
    // What is loaded into clusters is small: nobody debugs it there.
    let ours = ["-Ctarget-feature=+crt-static", "-Cstrip=debuginfo"];
    let (name, separator) = match std::env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        Some(_) => ("CARGO_ENCODED_RUSTFLAGS", "\x1f"),
        None => ("RUSTFLAGS", " "),
    };
    let theirs = std::env::var(name).unwrap_or_default();
    let flags = std::iter::once(theirs.as_str()).filter(|flags| !flags.is_empty()).chain(ours);
    command.env(name, flags.collect::<Vec<_>>().join(separator));
}

fn has_feature(builder: &Builder, workspace: &Path, package: &str, feature: &str) -> bool {
    let mut command = Command::new(&builder.cargo);
    command.current_dir(workspace).args(["metadata", "--no-deps", "--format-version=1"]);
    // Should cargo fail here, it fails again at the build, and is heard there.
    let answer = command.stderr(Stdio::null()).output().map(|output| output.stdout).unwrap_or_default();
    let metadata: Json = serde_json::from_slice(&answer).unwrap_or_default();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter(|one| one["name"] == package).any(|one| one["features"].get(feature).is_some())
}

/// What a line of cargo's tells of the way, if that is all it tells.
fn step(line: &str) -> Option<Progress> {
    let words = line.trim_start();
    if words.starts_with("Blocking waiting for file lock") {
        return Some(Progress::Waiting);
    }
    let what = words.strip_prefix("Compiling ")?;
    // `Compiling shop v0.1.0 (path)`: the path is of no interest.
    Some(Progress::Compiling { what: what.split(" (").next().unwrap_or(what).to_owned() })
}

/// The end of what cargo said, which is where the errors are summed up, and the first error before it.
fn told(words: &[String]) -> String {
    let first = words.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    let words = &words[first..];
    let shown = &words[..words.len().min(WORDS)];
    let mut text = shown.join("\n");
    if words.len() > shown.len() {
        text.push_str(&format!("\n… and {} lines more", words.len() - shown.len()));
    }
    text
}

/// The programs among the artifacts, by name.
fn programs(artifacts: &str) -> BTreeMap<String, PathBuf> {
    let mut programs = BTreeMap::new();
    for message in artifacts.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()) {
        let name = message.pointer("/target/name").and_then(Json::as_str);
        if let (Some(name), Some(path)) = (name, message["executable"].as_str()) {
            programs.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_words_are_understood() {
        assert_eq!(step("    Blocking waiting for file lock on build directory"), Some(Progress::Waiting));
        let compiling = Progress::Compiling { what: "shop v0.1.0".to_owned() };
        assert_eq!(step("   Compiling shop v0.1.0 (/somewhere/shop)"), Some(compiling));
        assert_eq!(step("error[E0308]: mismatched types"), None);
    }

    #[test]
    fn what_cargo_set_for_us_is_not_handed_on() {
        for name in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_BIN_EXE_meshquake", "OUT_DIR"] {
            assert!(is_of_cargo(name), "{name}");
        }
        for name in
            ["CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN", "PATH", "HOME", "https_proxy", "RUSTFLAGS"]
        {
            assert!(!is_of_cargo(name), "{name}");
        }
    }

    #[test]
    fn a_failure_tells_its_first_errors() {
        let mut words = vec!["warning: unused".to_owned(), "error: first".to_owned()];
        words.extend((0..100).map(|n| format!("line {n}")));
        let text = told(&words);
        assert!(text.starts_with("error: first\nline 0\n"), "{text}");
        assert!(text.ends_with("… and 41 lines more"), "{text}");
    }
}
