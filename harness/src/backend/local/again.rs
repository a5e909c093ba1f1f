//! Tests that need a process of ours to die run the test binary again: `Helper` starts it, `main` is its life.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::journal::{Header, Journal};
use super::net::Slice;
use super::proc::Stat;
use super::spawn::{Mark, Process, Spawner, Spec, User, adopt_orphans};
use super::{journal, warden};
use crate::wait::{Seen, until};

const ROLE: &str = "MESHQUAKE_TEST_ROLE";
const FOLDER: &str = "MESHQUAKE_TEST_FOLDER";
const READY: &str = "helper: ";

/// More than any machine needs; reached only when something is broken.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const NOBODY: User = User { uid: 65534, gid: 65534 };

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A run id that no other test and no other test process has.
pub fn run_id(name: &str) -> String {
    format!("t{}-{name}", std::process::id())
}

pub fn shell(script: &str, log: &Path, mark: Mark) -> Spec {
    Spec::new("/bin/sh", log, mark).args(["-c", script]).env("PATH", "/usr/bin:/bin")
}

/// Waits until a file has a whole line, and returns the first.
pub async fn line_of(path: &Path) -> String {
    until(format!("a line in {}", path.display()), LIMIT, async || match std::fs::read_to_string(path) {
        Ok(text) if text.contains('\n') => Seen::Done(text.lines().next().unwrap_or_default().to_owned()),
        Ok(text) => Seen::NotYet(format!("{text:?}")),
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await
    .expect("the program writes a line")
}

/// Waits until none of these pids is a running process.
pub async fn all_gone(pids: &[u32], limit: Duration) {
    until("the end of all processes", limit, async || {
        let left: Vec<_> =
            pids.iter().filter_map(|pid| Stat::of(*pid)).filter(|stat| !stat.has_ended()).collect();
        if left.is_empty() { Seen::Done(()) } else { Seen::NotYet(format!("{left:?}")) }
    })
    .await
    .expect("nothing is left");
}

/// Waits until something can be had again. A child that another test is starting right now has copies of all our
/// descriptors between fork and exec, so what was let go is free only a moment later.
pub async fn again<T, E: std::fmt::Display>(what: &str, mut try_it: impl FnMut() -> Result<T, E>) -> T {
    until(what, LIMIT, async || match try_it() {
        Ok(value) => Seen::Done(value),
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await
    .expect("free again")
}

/// This test binary, started once more in a role.
pub struct Helper {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Helper {
    pub fn start(role: &str, run: &str, folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the path of this test binary"));
        command.args(["--exact", "backend::local::again::main", "--nocapture"]);
        Self::start_by(command, role, run, folder)
    }

    /// The same behind a shell that first does something to itself, such as lowering a limit.
    pub fn start_after(preparation: &str, role: &str, run: &str, folder: &Path) -> Self {
        let mut command = Command::new("/bin/sh");
        let exe = std::env::current_exe().expect("the path of this test binary");
        command
            .args([
                "-c",
                &format!("{preparation}; exec \"$0\" --exact backend::local::again::main --nocapture"),
            ])
            .arg(exe);
        Self::start_by(command, role, run, folder)
    }

    fn start_by(mut command: Command, role: &str, run: &str, folder: &Path) -> Self {
        let mut child = command
            .env(ROLE, role)
            .env("MESHQUAKE_TEST_RUN", run)
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says next; blocks until then, and fails if it ends instead.
    pub fn says(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.output.read_line(&mut line).expect("its output can be read");
            assert!(read > 0, "the helper ended without a word");
            // The test harness writes its own lines, also in front of ours.
            if let Some((_, said)) = line.trim_end().split_once(READY) {
                return said.to_owned();
            }
        }
    }

    pub fn kill_9(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Its last lines go somewhere, or it would fail on a closed pipe instead of ending.
        let _rest = std::io::copy(&mut self.output, &mut std::io::sink());
        let _status = self.child.wait();
    }
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{READY}{what}").and_then(|()| out.flush()).expect("the test listens");
}

/// Until the test lets go of standard input.
fn stay() {
    let _read = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}

/// Does nothing as a test; as a helper it is the whole program.
#[test]
fn main() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
    let run = std::env::var("MESHQUAKE_TEST_RUN").expect("a run");
    match role.to_str().expect("a role") {
        "spawner" => runtime().block_on(spawner(&run, &folder)),
        "supervisor" => runtime().block_on(supervisor(&run, &folder)),
        "reaper" => runtime().block_on(reaper(&run, &folder)),
        "slice" => {
            let slice = Slice::take_from_for_tests(&run);
            say(&slice.number().to_string());
            stay();
        }
        "warden" => {
            let task = warden::Task {
                runtime_dir: folder.join("run"),
                journal: folder.join(format!("{run}.journal")),
                run,
            };
            assert_eq!(
                format!("{:?}", warden::main(&task)),
                format!("{:?}", std::process::ExitCode::SUCCESS)
            );
        }
        "full disk" => full_disk(&run, &folder),
        other => panic!("no such role: {other}"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Starts a child as itself and, when root, one as nobody, and says their pids.
async fn spawner(run: &str, folder: &Path) {
    let spawner = Spawner::start().expect("a thread");
    let mut children = Vec::new();
    for user in [None, is_root().then_some(NOBODY)] {
        let spec = Spec::new("/bin/sleep", folder.join("spawner.log"), Mark::new(run, "pod", "app"));
        children.push(spawner.spawn(spec.arg("600").user(user)).await.expect("a child"));
    }
    say(&pids(&children));
    stay();
}

fn pids(children: &[Process]) -> String {
    children.iter().map(|child| child.pid().to_string()).collect::<Vec<_>>().join(" ")
}

/// What a supervisor does, with children that leave grandchildren in the ways that PDEATHSIG does not see.
async fn supervisor(run: &str, folder: &Path) {
    let spawner = Spawner::start().expect("a thread");
    adopt_orphans().expect("a subreaper");
    let slice = Slice::take_from_for_tests(run);
    let runtime_dir = folder.join("run");
    std::fs::create_dir(&runtime_dir).expect("a runtime folder");
    let header = Header::of_self(run, "world", slice.number(), &runtime_dir).expect("a header");
    let journal = Arc::new(Journal::create(folder, header).expect("a journal"));
    journal.intent(&serde_json::json!({"what": "survives"})).expect("an intent");

    // The test binary takes no flags of ours and the warden gets no environment, so a shell is in between. The
    // output is the lock on the slice, and the test harness would write to it.
    let script = format!(
        "export {ROLE}=warden MESHQUAKE_TEST_RUN=\"$2\" {FOLDER}='{}'; \
         exec \"$0\" --exact backend::local::again::main --nocapture 3>&1 >/dev/null",
        folder.display()
    );
    let exe = std::env::current_exe().expect("the path of this test binary");
    let exe = exe.to_str().expect("a plain path");
    let task =
        warden::Task { run: run.into(), journal: journal.path().into(), runtime_dir: runtime_dir.clone() };
    let warden = warden::start(&spawner, Path::new("/bin/sh"), &["-c", &script, exe], &task, Some(&slice))
        .await
        .expect("a warden");

    let pid_file = runtime_dir.join("pids");
    let script = format!(
        "sleep 601 & echo $! > '{0}'.a; setsid sleep 602 & echo $! > '{0}'.b; \
         env -i sleep 603 & echo $! > '{0}'.c; exec sleep 600",
        pid_file.display()
    );
    let spec = shell(&script, &folder.join("app.log"), Mark::new(run, "pod", "app"));
    let app = spawner.spawn(spec.journal(Arc::clone(&journal))).await.expect("a child");
    let mut all = vec![warden.identity().pid, app.pid()];
    for which in ["a", "b", "c"] {
        all.push(line_of(&pid_file.with_extension(which)).await.parse().expect("a pid"));
    }
    say(&all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    stay();
}

/// A child leaves an orphan behind; says when that is not even a zombie any more.
async fn reaper(run: &str, folder: &Path) {
    let spawner = Spawner::start().expect("a thread");
    adopt_orphans().expect("a subreaper");
    let pid_file = folder.join("orphan");
    let script = format!("sleep 600 & echo $! > '{}'; exit 4", pid_file.display());
    let spec = shell(&script, &folder.join("reaper.log"), Mark::new(run, "pod", "app"));
    let exit = spawner.spawn(spec).await.expect("a child").wait().await;
    let orphan: u32 = line_of(&pid_file).await.parse().expect("a pid");
    until("the orphan is reaped", LIMIT, async || match Stat::of(orphan) {
        None => Seen::Done(()),
        Some(stat) => Seen::NotYet(format!("{stat:?}")),
    })
    .await
    .expect("no zombie stays");
    say(&exit.to_string());
}

/// Fills the little room it has with intents and says what it was told.
fn full_disk(run: &str, folder: &Path) {
    let header = Header::of_self(run, "world", 64, folder).expect("a header");
    let journal = match Journal::create(folder, header) {
        Ok(journal) => journal,
        Err(error) => return say(&error.to_string()),
    };
    let mut written = 0;
    let error: journal::Error = loop {
        match journal.intent(&serde_json::json!({"number": written})) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    say(&format!("{written} {error}"));
}
