//! The command-line tools that clusters are made with: found, asked for their version, run, and quoted when they fail.
//!
//! Whatever a tool is told to change is run with our lock as its standard input: should we be killed, the lock stays
//! held until the tool has ended, so that nobody meets a cluster that is still being made.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

/// As much of a tool's words as a failure repeats.
const WORDS: usize = 25;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{name}` is not here: {}; {how}", sought(.variable, .found.as_deref()))]
    Missing { name: &'static str, variable: &'static str, found: Option<PathBuf>, how: String },
    #[error("`{command}` cannot be started: {source}")]
    Start { command: String, source: std::io::Error },
    #[error("`{command}` failed ({status}){}", quoted(.words))]
    Failed { command: String, status: String, words: Vec<String> },
}

impl Error {
    /// The tool is not on this machine.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::Missing { .. })
    }
}

fn sought(variable: &str, found: Option<&Path>) -> String {
    match found {
        Some(path) => format!("{variable} names {}, which is no program", path.display()),
        None => format!("it is not on PATH, and {variable} names no other place"),
    }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|line| format!("\n  {line}")).collect()
}

/// The closed set of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    Kind,
    K3d,
    Istioctl,
    Kubectl,
    Docker,
}

impl Which {
    pub fn name(self) -> &'static str {
        match self {
            Which::Kind => "kind",
            Which::K3d => "k3d",
            Which::Istioctl => "istioctl",
            Which::Kubectl => "kubectl",
            Which::Docker => "docker",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Which::Kind => "MESHQUAKE_KIND",
            Which::K3d => "MESHQUAKE_K3D",
            Which::Istioctl => "MESHQUAKE_ISTIOCTL",
            Which::Kubectl => "MESHQUAKE_KUBECTL",
            Which::Docker => "MESHQUAKE_DOCKER",
        }
    }

    /// What to do where it is missing.
    pub fn how(self, version: &str) -> String {
        match self {
            Which::Kind => format!(
                "get it with `go install sigs.k8s.io/kind@v{version}` or from https://kind.sigs.k8s.io"
            ),
            Which::K3d => format!("get {version} from https://k3d.io"),
            Which::Istioctl => {
                format!(
                    "get {version} from https://istio.io/latest/docs/setup/additional-setup/download-istio-release"
                )
            }
            Which::Kubectl => "get it from https://kubernetes.io/docs/tasks/tools".to_owned(),
            Which::Docker => "install Docker's engine and its client".to_owned(),
        }
    }
}

/// A tool that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub which: Which,
    pub program: PathBuf,
    /// In place of the person's own, which no tool shall change.
    pub kubeconfig: Option<PathBuf>,
}

impl Tool {
    /// By its variable, else on PATH; `version` is the one to get where there is none.
    pub fn find(which: Which, version: &str) -> Result<Self, Error> {
        Self::find_by(which, version, |name| std::env::var_os(name))
    }

    fn find_by(
        which: Which,
        version: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let named = variable(which.variable()).filter(|path| !path.is_empty()).map(PathBuf::from);
        let path = variable("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> =
            std::env::split_paths(&path).map(|folder| folder.join(which.name())).collect();
        if let Some(named) = &named {
            places = vec![named.clone()];
        }
        match places.into_iter().find(|path| is_program(path)) {
            Some(program) => Ok(Self { which, program, kubeconfig: None }),
            None => Err(Error::Missing {
                name: which.name(),
                variable: which.variable(),
                found: named,
                how: which.how(version),
            }),
        }
    }

    /// Asks something: what it writes to standard output.
    pub async fn ask<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<String, Error> {
        self.run(arguments, Stdio::null(), &|_| {}).await
    }

    /// Changes something under a lock, telling each line of its progress.
    pub async fn act<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        lock: Option<&File>,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<String, Error> {
        let held = lock.and_then(|lock| lock.try_clone().ok()).map_or_else(Stdio::null, Stdio::from);
        self.run(arguments, held, tell).await
    }

    async fn run<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Stdio,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<String, Error> {
        let command = self.shown(arguments);
        let start = |source| Error::Start { command: command.clone(), source };
        tracing::debug!(%command, "running");
        let mut child = Command::new(&self.program)
            .args(arguments)
            .envs(self.kubeconfig.iter().map(|file| ("KUBECONFIG", file)))
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is ours to answer: the tool would leave half a cluster.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        // What it has started itself shall not go on with half of the work either.
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (answer, words) = tokio::join!(lines(out, &|_| {}), lines(err, tell));
        let status = child.wait().await.map_err(start)?;
        group.ended();
        if status.success() {
            return Ok(answer.join("\n"));
        }
        // Some tools write their errors to standard output.
        let mut said: Vec<String> = if words.is_empty() { answer } else { words };
        said.drain(..said.len().saturating_sub(WORDS));
        Err(Error::Failed { command, status: status.to_string(), words: said })
    }

    /// What a person would type.
    fn shown<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let words = arguments.iter().map(|word| word.as_ref().to_string_lossy());
        std::iter::once(self.which.name().into()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// The processes of a call that has not ended yet.
struct Group(Option<Pid>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended in this moment.
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

async fn lines(pipe: Option<impl AsyncRead + Unpin>, tell: &(dyn Fn(String) + Sync)) -> Vec<String> {
    let mut all = Vec::new();
    let Some(pipe) = pipe else { return all };
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = plain(&String::from_utf8_lossy(&line));
        if !line.trim().is_empty() {
            tell(line.clone());
            all.push(line);
        }
    }
    all
}

/// Without colours, and without what a spinner overwrote.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut out = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // Up to the letter that ends the sequence.
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::cluster::provision::fake;
    use crate::wait::{self, Seen};

    #[tokio::test]
    async fn a_failure_repeats_the_end_of_what_the_tool_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let tool = fake::tool(folder.path(), Which::Kind, "echo ignored; echo 'no room' >&2; exit 3");
        let error = tool.ask(&["create", "cluster"]).await.expect_err("it fails").to_string();
        assert_eq!(error, "`kind create cluster` failed (exit status: 3)\n  no room");
    }

    #[tokio::test]
    async fn the_lock_outlives_us_in_the_tool() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = tempfile::tempfile().expect("a file");
        let tool = fake::tool(folder.path(), Which::Kind, "readlink /proc/self/fd/0");
        let held = tool.act(&["x"], Some(&lock), &|_| {}).await.expect("run");
        let own = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&lock)));
        assert_eq!(Path::new(&held), own.expect("open"), "its standard input is the lock's file");
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_ends_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "sleep 600 & echo $! >child; wait";
        let tool = fake::tool(folder.path(), Which::Kind, script);
        let child = folder.path().join("child");
        let started = wait::until("the child", Duration::from_secs(60), async || {
            match std::fs::read_to_string(&child).ok().and_then(|text| text.trim().parse::<i32>().ok()) {
                Some(pid) => Seen::Done(pid),
                None => Seen::NotYet("not started".into()),
            }
        });
        let pid = tokio::select! {
            _ = tool.ask(&["x"]) => panic!("it waits for its child"),
            pid = started => pid.expect("started"),
        };
        wait::until("its end", Duration::from_secs(60), async || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z") { Seen::Done(()) } else { Seen::NotYet(stat) }
        })
        .await
        .expect("the child ends too");
    }

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let error = Tool::find_by(Which::Kind, "0.33.0", |_| None).expect_err("nothing is on PATH");
        assert_eq!(
            error.to_string(),
            "`kind` is not here: it is not on PATH, and MESHQUAKE_KIND names no other place; get it with \
             `go install sigs.k8s.io/kind@v0.33.0` or from https://kind.sigs.k8s.io"
        );
        let named = |name: &str| (name == "MESHQUAKE_KIND").then(|| "/nowhere/kind".into());
        let error = Tool::find_by(Which::Kind, "0.33.0", named).expect_err("no such file").to_string();
        assert!(error.contains("MESHQUAKE_KIND names /nowhere/kind, which is no program"), "{error}");
    }

    #[test]
    fn spinners_and_colours_are_left_out() {
        assert_eq!(plain("\u{1b}[32m✓\u{1b}[0m Ready\r"), "✓ Ready");
        assert_eq!(plain("one\rtwo"), "two");
    }
}
