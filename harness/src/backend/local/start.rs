//! The client's side of a world's beginning: finds the program, starts the supervisor, waits until all is ready.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use meshquake_xds::object::Object;
use meshquake_xds::source::Problems;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::config::{Answer, Config, KEEP, problems};
use super::deployment::letters;
use super::dirs::{self, Dirs};
use super::kubelet::env::Image;
use super::own::status::Status;
use super::site::Settings;
use super::store::{draft, pack};
use super::supervisor::SUPERVISE;
use super::verbs::{self, Verbs};
use crate::wait::{self, Seen};

/// Names the program that becomes the supervisor.
pub const PROGRAM_VARIABLE: &str = "MESHQUAKE_BIN";
const PROGRAM: &str = "meshquake";
/// Of so many pods it is told what they lack; the others mostly lack the same.
const TOLD: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the program `{PROGRAM}` {}, which brings worlds up, is not found; tried: {}; {}, or name it by {PROGRAM_VARIABLE}",
        env!("CARGO_PKG_VERSION"), .tried.join(", "), how_to_install()
    )]
    NoProgram { tried: Vec<String> },
    #[error("cannot start {} as supervisor", .program.display())]
    Start { program: PathBuf, source: std::io::Error },
    #[error("the supervisor ended before it answered; {said}")]
    NoAnswer { said: String },
    #[error("{} problem(s) in the objects of the world; nothing was started", .0.0.len())]
    Refused(Problems),
    #[error(
        "{} is {PROGRAM} {own}, and this is {}: the two must be the same; {}, or name another by {PROGRAM_VARIABLE}",
        .program.display(), env!("CARGO_PKG_VERSION"), how_to_install()
    )]
    OtherVersion { program: PathBuf, own: String },
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Dirs(#[from] dirs::Error),
    #[error(transparent)]
    Verbs(#[from] verbs::Error),
    #[error("{0}")]
    NotReady(wait::NotReached),
}

/// A world to bring up.
#[derive(Clone, Debug)]
pub struct Up {
    /// As the person named it.
    pub world: String,
    pub objects: Vec<Object>,
    /// With whole paths: the supervisor does not build.
    pub images: BTreeMap<String, Image>,
    /// Port of the gateway to port on this machine.
    pub publish: BTreeMap<u16, u16>,
    /// Also listen on 127.0.0.1, if nobody else does.
    pub on_localhost: bool,
    /// None for a world without sidecars.
    pub envoy: Option<PathBuf>,
    pub settings: Settings,
}

/// Of so many worlds that are over the logs are kept, as many as runs are.
const KEPT_LOGS: usize = 20;

/// A supervisor that this process has started.
#[derive(Debug)]
pub struct Started {
    pub run: String,
    pub socket: PathBuf,
    pub child: Child,
    /// While this is open and was not told otherwise, the world ends with us.
    pub input: Option<ChildStdin>,
    pub urls: BTreeMap<u16, Vec<String>>,
    pub remarks: Vec<String>,
}

/// A short name that no other run has.
pub fn run_id() -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(draft::uid());
    letters(&digest, 5)
}

/// Starts a supervisor. When this returns it serves its API, and the pods are on their way.
pub async fn start(up: Up) -> Result<Started, Error> {
    let program = program()?;
    let run = run_id();
    let dirs = Dirs::from_env()?;
    let log = dirs.logs(&run)?.join("supervisor.log");
    dirs.prune_logs(KEPT_LOGS);
    let failed = |source| Error::Start { program: program.clone(), source };
    let errors = std::fs::File::create(&log).map_err(failed)?;
    let mut child = Command::new(&program)
        .arg(SUPERVISE)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    let config = Config {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.clone(),
        world: up.world,
        objects: up.objects.iter().map(pack).collect(),
        images: up.images,
        publish: up.publish,
        on_localhost: up.on_localhost,
        envoy: up.envoy,
        settings: up.settings,
        warden: true,
    };
    let line = serde_json::to_string(&config).map_err(|e| Error::Failed(e.to_string()))? + "\n";
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::Failed("the supervisor has no standard input and output".to_owned()));
    };
    // A supervisor that ends at once closes its input; why is what it answers.
    let _unread = input.write_all(line.as_bytes()).await;
    let answer = BufReader::new(output).lines().next_line().await.ok().flatten();
    let answer = answer.and_then(|line| serde_json::from_str::<Answer>(&line).ok());
    match answer {
        Some(Answer::Serving { socket, urls, remarks, .. }) => {
            Ok(Started { run, socket, child, input: Some(input), urls, remarks })
        }
        Some(Answer::Refused { problems: told }) => Err(Error::Refused(problems(told))),
        Some(Answer::Failed { message }) => Err(Error::Failed(message)),
        Some(Answer::OtherVersion { own }) => Err(Error::OtherVersion { program, own }),
        None => {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rev().take(5).collect::<Vec<_>>();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
            let said =
                if last.is_empty() { "it said nothing".to_owned() } else { format!("it said:\n{last}") };
            Err(Error::NoAnswer { said })
        }
    }
}

impl Started {
    /// From here on the world goes on without us.
    pub async fn keep(&mut self) -> Result<(), Error> {
        if let Some(mut input) = self.input.take() {
            let told = input.write_all(format!("{KEEP}\n").as_bytes()).await;
            told.map_err(|e| Error::Failed(format!("the supervisor is gone: {e}")))?;
        }
        Ok(())
    }

    /// Ends what was begun and waits for its end, within limits: what is left after them is the warden's.
    pub async fn give_up(&mut self, limit: Duration) {
        drop(self.input.take());
        let _ended_or_late = tokio::time::timeout(limit, self.child.wait()).await;
    }
}

/// Waits until every Deployment is available, the gateway is there and every sidecar has its configuration. Gives up
/// early on an app that dies at start.
pub async fn ready(verbs: &Verbs, limit: Duration, mut progress: impl FnMut(&Status)) -> Result<(), Error> {
    let begun = std::time::Instant::now();
    let waited = wait::until("a ready world", limit, async || {
        let status = match verbs.status().await {
            Ok(status) => status,
            Err(error) => return Seen::Never(format!("{error}; its log is beside those of the pods")),
        };
        progress(&status);
        let last = describe(&status);
        if let Some(pod) = status.pods.iter().find(|pod| pod.hopeless) {
            return Seen::Never(format!("pod {}: {}", pod.name, pod.why));
        }
        let all = status.deployments.iter().all(|d| d.complete && d.ready == d.wanted)
            && status.pods.iter().all(|pod| pod.ready || pod.ending);
        if all { Seen::Done(()) } else { Seen::NotYet(last) }
    });
    waited.await.map_err(Error::NotReady)?;
    Ok(verbs.converged(limit.saturating_sub(begun.elapsed())).await?)
}

/// The state of a world in a few lines: what is missing, and why.
pub fn describe(status: &Status) -> String {
    let available = status.deployments.iter().filter(|d| d.complete && d.ready == d.wanted).count();
    let mut text = format!("{available} of {} Deployments available", status.deployments.len());
    let missing: Vec<_> = status.pods.iter().filter(|pod| !pod.ready && !pod.ending).collect();
    for pod in missing.iter().take(TOLD) {
        text.push_str(&format!("\n  pod {}: {}", pod.name, pod.why));
    }
    if missing.len() > TOLD {
        text.push_str(&format!("\n  and {} pods more", missing.len() - TOLD));
    }
    for refused in &status.refused {
        text.push_str(&format!("\n  {refused}"));
    }
    text
}

/// How the right one gets here: from the source of this library, where that is still there.
fn how_to_install() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from =
        if source.join("Cargo.toml").is_file() { source.display().to_string() } else { "harness".into() };
    format!("install it by `cargo install --path {from}`")
}

/// By the variable, this very program, one built beside it, or one on PATH.
pub fn program() -> Result<PathBuf, Error> {
    let mut tried = Vec::new();
    let mut look = |path: PathBuf| {
        if path.is_file() {
            return Some(path);
        }
        tried.push(path.display().to_string());
        None
    };
    if let Some(path) = std::env::var_os(PROGRAM_VARIABLE) {
        return look(path.into()).ok_or(Error::NoProgram { tried });
    }
    let own = std::env::current_exe().unwrap_or_default();
    if own.file_name().is_some_and(|name| name == PROGRAM) {
        return Ok(own);
    }
    // Tests and examples lie in a folder below that of the programs.
    let mut built = own.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM));
    if let Some(found) = built.find_map(&mut look) {
        return Ok(found);
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&on_path).map(|folder| folder.join(PROGRAM)).find(|path| path.is_file());
    found.ok_or_else(|| {
        tried.push("PATH".into());
        Error::NoProgram { tried }
    })
}

/// The folder of a run's socket, for those that were started by somebody else.
pub fn socket_of(folder: &Path) -> PathBuf {
    folder.join(super::supervisor::SOCKET)
}
