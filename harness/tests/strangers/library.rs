//! The library in a package outside this workspace: `examples/two-programs`, copied, with tests of our own beside its.
//!
//! What the workspace has compiled is not compiled again: same lock file, same profile, same features, same target
//! folder. New are the packages of the harness themselves, and the tests.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::bed::{AFTERLIFE, Bed, PATIENCE};
use crate::program;
use crate::stranger::{copy, find, lacks};
use crate::support::{self, said};
use crate::tutorial::STARVED;
use crate::until::until;

const TRIES: usize = 3;
/// How the names of variables begin that cargo sets for a test.
const OF_CARGO: [&str; 6] =
    ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_", "CARGO_TARGET_TMPDIR"];
/// What is tested beside the example's own tests.
const OURS: &str = include_str!("library/ours.rs");

#[test]
fn a_package_outside_the_workspace_tests_with_the_library() {
    if lacks(&["node", "python3"]) {
        return;
    }
    let package = Package::new();
    let tests = package.build();
    let _alone = support::under_load();
    package.holds();
    // Nothing of the following depends on how fast anything is, so all of it goes on at once.
    let failing = [(); 2].map(|()| package.start(&tests, "ours::fails_when_it_must", &package.bed));
    let panicking = package.start(&tests, "ours::panics_under_load", &package.bed);
    leaves_nothing_when_it_is_given_up(&tests, &package);
    for test in failing {
        fails(test, &["the run has not held\n", "✖ FAILED  cannot-hold", "nobody calls anybody", "report  "]);
    }
    fails(panicking, &["an assertion beside the run"]);
    package.bed.only_left(&[], AFTERLIFE);
    says_what_is_missing(&tests, &package);
}

#[test]
fn a_supervisor_of_another_version_says_so() {
    let mut child = support::meshquake(&["supervise"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    // Nothing else of that line can be relied on.
    let line = json!({"version": "0.0.1", "objects": "in another form"});
    writeln!(child.stdin.take().expect("a pipe"), "{line}").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
    assert_eq!(answer, json!({"other-version": {"own": env!("CARGO_PKG_VERSION")}}));
}

/// The copied package.
struct Package {
    bed: Bed,
    folder: PathBuf,
}

impl Package {
    fn new() -> Self {
        let bed = Bed::new();
        let folder = bed.path("corner-shop");
        copy(&support::root().join("harness/examples/two-programs"), &folder);
        let tests = folder.join("tests/holds.rs");
        let own = fs::read_to_string(&tests).expect("the example's tests");
        fs::write(&tests, format!("{own}\nmod ours {{\n{OURS}}}\n")).expect("written");
        fs::write(folder.join("Cargo.toml"), manifest(&folder)).expect("written");
        fs::copy(support::root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
        Self { bed, folder }
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What cargo has set for these very tests is none of that package's business.
        for (name, _) in std::env::vars().filter(|(name, _)| OF_CARGO.iter().any(|of| name.starts_with(of))) {
            cargo.env_remove(name);
        }
        let target = Path::new(support::MESHQUAKE).ancestors().nth(2).expect("a target folder");
        cargo
            .current_dir(&self.folder)
            .arg("test")
            .args(["--offline", "--color=never", "--target-dir"])
            .arg(target);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        cargo.args(words);
        at_home(&mut cargo, &self.bed);
        cargo
    }

    /// The program of its tests.
    fn build(&self) -> PathBuf {
        let output = self.cargo(&["--no-run", "--message-format=json"]).output().expect("cargo starts");
        assert!(output.status.success(), "{}", said(&output));
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut ours = messages.filter(|message| message["target"]["name"] == "holds");
        let program = ours.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        program.expect("cargo made a program of the tests")
    }

    /// Its tests as they are in the example, side by side in one process.
    fn holds(&self) {
        let mut told = String::new();
        for _ in 0..TRIES {
            let output = self.cargo(&["--", "--skip", "ours::"]).output().expect("cargo starts");
            told = said(&output);
            if output.status.success() {
                assert!(told.contains("test result: ok. 2 passed"), "{told}");
                return self.bed.only_left(&[], AFTERLIFE);
            }
            if !told.contains(STARVED) {
                break;
            }
        }
        panic!("{told}");
    }

    /// One test in a process of its own.
    fn start(&self, program: &Path, test: &str, bed: &Bed) -> Child {
        let mut command = Command::new(program);
        command.args([test, "--exact", "--nocapture"]).current_dir(&self.folder);
        at_home(&mut command, bed);
        command.spawn().expect("the tests start")
    }
}

/// Whatever is made of worlds is made in these folders.
fn at_home(command: &mut Command, bed: &Bed) {
    command.env("XDG_STATE_HOME", bed.path("s")).env("XDG_RUNTIME_DIR", bed.path("r"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// A test that must fail, and how.
fn fails(test: Child, parts: &[&str]) {
    let output = test.wait_with_output().expect("it ends");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(101), "{told}");
    for part in parts {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

/// A future that is dropped while its process goes on.
fn leaves_nothing_when_it_is_given_up(program: &Path, package: &Package) {
    let bed = Bed::new();
    let mut test = package.start(program, "ours::gives_up_under_load", &bed);
    let mut lines = BufReader::new(test.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let told = lines.by_ref().take_while(|line| !line.contains("given up")).collect::<Vec<_>>();
    let own = i64::from(test.id());
    until("nothing left of what was given up", PATIENCE, || {
        let others = bed.processes().into_iter().filter(|process| i64::from(process.pid) != own);
        match others.map(|process| process.to_string()).collect::<Vec<_>>() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:#?}\n{told:#?}")),
        }
    });
    assert!(test.try_wait().expect("a child").is_none(), "the process itself goes on: {told:#?}");
    drop(test.stdin.take());
    lines.for_each(drop);
    assert!(test.wait().expect("it ends").success());
    bed.only_left(&[], AFTERLIFE);
}

/// The tests where there is no `meshquake`: neither beside them nor on PATH.
fn says_what_is_missing(program: &Path, package: &Package) {
    let elsewhere = package.bed.path("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    for name in ["node", "python3"] {
        symlink(find(name).expect("it was there"), elsewhere.join(name)).expect("a link");
    }
    program::copy(program, &elsewhere.join("holds"));
    let mut command = Command::new(elsewhere.join("holds"));
    command
        .args(["ours::fails_when_it_must", "--exact"])
        .current_dir(&package.folder)
        .env("PATH", &elsewhere);
    at_home(&mut command, &package.bed);
    let output: Output = command.output().expect("the tests start");
    let told = said(&output);
    let version = env!("CARGO_PKG_VERSION");
    for part in [
        &format!("the program `meshquake` {version}, which brings worlds up, is not found; tried: "),
        "install it by `cargo install --path ",
        "or name it by MESHQUAKE_BIN",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

/// The example's manifest for a place outside the repository, with all that decides how shared packages are compiled:
/// what else the workspace's tests use, for the sake of its features, and the profile.
fn manifest(folder: &Path) -> String {
    let read =
        |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let root = support::root();
    let own = read(folder.join("Cargo.toml"));
    let harness = format!("path = \"{}\"", root.join("harness").display());
    let own = own.replace("path = \"../..\"", &harness);
    assert!(own.contains(&harness), "the example names the library by its path: {own}");

    let workspace = read(root.join("Cargo.toml"));
    let mut wanted = BTreeSet::new();
    for member in ["services", "harness", "harness/xds", "harness/promql"] {
        let member = read(root.join(member).join("Cargo.toml"));
        let uses = member.split("[dev-dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
        let names =
            uses.into_iter().flat_map(str::lines).filter_map(|line| line.strip_suffix(".workspace = true"));
        wanted.extend(names.filter(|name| *name != "tokio").map(str::to_owned));
    }
    let is_wanted = |line: &&str| wanted.iter().any(|name| line.starts_with(&format!("{name} = ")));
    let others = workspace.lines().filter(is_wanted).collect::<Vec<_>>();
    assert_eq!(others.len(), wanted.len(), "each is a line of the workspace's manifest");

    let profile = &workspace[workspace.find("[profile.dev]").expect("a profile")..];
    let mut profile = profile.replace("[profile.dev.package.shop]\nopt-level = 1\n", "");
    // As in their own workspace, but without what only a debugger reads.
    for ours in ["meshquake", "meshquake-xds", "meshquake-promql"] {
        profile += &format!("\n[profile.dev.package.{ours}]\nopt-level = 0\ndebug = false\n");
    }
    format!("{own}{}\n\n{profile}", others.join("\n"))
}
