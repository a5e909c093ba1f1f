//! A test's own place on the machine: folders, the program in them, what it has started, and proof that nothing is left.

mod process;
mod run;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use meshquake::backend::local::journal::{Journal, Reading};
use meshquake::problem::Place;
use meshquake::world::build;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support;
use crate::until::until;
pub use process::Process;
pub use run::Run;
pub use world::World;

/// How long anything ordinary may take on a busy machine: a world up, a run's next phase.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long anything of a run may outlive its supervisor or client.
pub const AFTERLIFE: Duration = Duration::from_secs(2);

/// Whether worlds cannot run on this machine; says so past the capture of the test harness.
pub fn cannot_run() -> bool {
    let missing = support::no_envoy();
    if let Some(why) = &missing {
        skipped(why);
    }
    missing.is_some()
}

/// Says past the capture of the test harness why a test is not run.
pub fn skipped(why: &str) {
    let _unread = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Held while a world is there of which nothing is measured: others like it may be there as well, those of
/// [`support::under_load`] may not.
pub fn beside_others() -> fs::File {
    let file = support::lock_of_worlds();
    file.lock_shared().expect("the lock of the suites can be shared");
    file
}

/// The folder of the built shop, for worlds that are copies outside of the workspace.
pub fn shop_folder() -> PathBuf {
    let world = meshquake::world::World::load("pinning", None, &support::root(), &Place::new("here", 1))
        .expect("a good world");
    let images = build::build(&world, &mut |_| {}).expect("the shop builds");
    let program = PathBuf::from(&images["meshquake/shop:dev"].command[0]);
    program.parent().expect("a folder").to_owned()
}

/// Folders of one test. When it ends, whatever it has left running is killed.
pub struct Bed {
    folder: TempDir,
}

impl Bed {
    pub fn new() -> Self {
        // Short: the paths of sockets are limited to 107 bytes.
        let folder = tempfile::Builder::new().prefix("mq").tempdir().expect("a temporary folder");
        // A runtime folder must be there and private, or it does not count.
        fs::DirBuilder::new().mode(0o700).create(folder.path().join("r")).expect("a runtime folder");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("s/meshquake")
    }

    /// `meshquake` at home in these folders.
    pub fn meshquake(&self, arguments: &[&str]) -> Command {
        let mut command = support::meshquake(arguments);
        command.env("XDG_STATE_HOME", self.path("s")).env("XDG_RUNTIME_DIR", self.path("r"));
        command
    }

    /// The same to its end, which must be with this exit code.
    pub fn ends(&self, arguments: &[&str], exit: i32) -> Output {
        let output = self.meshquake(arguments).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {}", support::said(&output));
        output
    }

    /// A file of this test.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(&path, text).expect("the file is written");
        path
    }

    /// A run of a scenario with this text, under way.
    pub fn run(&self, name: &str, scenario: &str, more: &[&str]) -> Run {
        self.run_with(name, scenario, more, |_| {})
    }

    /// The same, started a little differently.
    pub fn run_with(
        &self,
        name: &str,
        scenario: &str,
        more: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Run {
        let world = support::root().join("services/deploy/pinning");
        let text = scenario.replace("WORLD", &world.display().to_string());
        let file = self.write(&format!("{name}.yaml"), &text);
        let reports = self.path(name);
        let said = fs::File::create(self.path(&format!("{name}.log"))).expect("a file for what it says");
        let mut command = self.meshquake(&["run"]);
        command.arg(file).arg("--reports").arg(&reports).args(more);
        command.stdout(said.try_clone().expect("one more handle")).stderr(said);
        change(&mut command);
        Run {
            child: command.spawn().expect("the program starts"),
            reports,
            log: self.path(&format!("{name}.log")),
        }
    }

    /// Brings the pinning world up, to stay.
    pub fn up(&self) -> World {
        let output = self.ends(&["up", "pinning", "--json"], 0);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let url = told["urls"].as_array().and_then(|urls| urls.last()?.as_str());
        World {
            id: told["run"].as_str().expect("an id").to_owned(),
            address: url.and_then(|url| url.strip_prefix("http://")).expect("a URL").to_owned(),
            socket: self.path("r/meshquake").join(told["run"].as_str().expect("an id")).join("api.sock"),
        }
    }

    /// The journals that are there, by run.
    pub fn journals(&self) -> BTreeMap<String, Reading> {
        let (readings, _) = Journal::open_all(&self.state().join("runs")).expect("the journals can be read");
        readings.into_iter().map(|reading| (reading.header.run.clone(), reading)).collect()
    }

    /// The one journal beside those of the worlds that are known.
    pub fn journal_beside(&self, known: &[&World]) -> Result<Reading, String> {
        let mut journals = self.journals();
        journals.retain(|run, _| known.iter().all(|world| world.id != *run));
        journals.into_values().next().ok_or_else(|| "there is no journal yet".into())
    }

    /// Every run that was ever begun here: its logs stay.
    fn runs(&self) -> BTreeSet<String> {
        names(&self.state().join("logs"))
    }

    /// The runs that still have a folder for their sockets.
    pub fn with_runtime(&self) -> BTreeSet<String> {
        names(&self.path("r/meshquake"))
    }

    /// What runs here: bears the mark of one of our runs, or knows our folders.
    pub fn processes(&self) -> Vec<Process> {
        let runs = self.runs();
        let ours = self.folder.path().to_string_lossy().into_owned();
        let bears = |process: &Process| {
            let mark = process.run.as_ref().is_some_and(|run| runs.contains(run));
            mark || process.environment.contains(&ours) || process.command.contains(&ours)
        };
        Process::all().filter(bears).collect()
    }

    /// What still runs of this run.
    pub fn processes_of(&self, run: &str) -> Vec<Process> {
        let of_run = |process: &Process| {
            process.run.as_deref() == Some(run) || process.command.contains(&format!("--run {run}"))
        };
        self.processes().into_iter().filter(of_run).collect()
    }

    /// No process, no journal, no sockets of anything but these worlds.
    pub fn only_left(&self, worlds: &[&World], limit: Duration) {
        until("all gone", limit, || {
            let is_known = |run: &String| worlds.iter().any(|world| world.id == *run);
            let mut left: Vec<String> = Vec::new();
            if worlds.is_empty() {
                left.extend(self.processes().iter().map(ToString::to_string));
            } else {
                let others = self.runs().into_iter().filter(|run| !is_known(run));
                left.extend(
                    others.flat_map(|run| self.processes_of(&run)).map(|process| process.to_string()),
                );
            }
            left.extend(
                self.journals()
                    .into_keys()
                    .filter(|run| !is_known(run))
                    .map(|run| format!("journal of {run}")),
            );
            left.extend(
                self.with_runtime()
                    .into_iter()
                    .filter(|run| !is_known(run))
                    .map(|run| format!("sockets of {run}")),
            );
            if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
        });
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // A failed test must not be in the way of the next one. Killing the supervisor first hides nothing: the
        // test has judged already.
        for process in self.processes() {
            process.kill();
        }
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Kills with SIGKILL whoever wrote this journal.
pub fn kill_supervisor(journal: &Reading) {
    let pid = i32::try_from(journal.header.supervisor.pid).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::KILL).expect("the supervisor can be killed");
}
