//! Cleans up after a supervisor that was killed: ends what PDEATHSIG does not reach, and removes the sockets.
//!
//! PDEATHSIG is not inherited, so a grandchild (an app that forked, a daemon) outlives `kill -9` of the
//! supervisor. The warden is a process of its own, in a session of its own, that reads a pipe whose writing end
//! only the supervisor holds. At the end of that pipe it sweeps by mark and by noted sessions, removes the run's
//! runtime folder and ends. It also holds the lock on the run's slice, so that nobody gets these addresses while
//! somebody still listens on them. The journal stays: what else is to be undone is for `heal`.
//!
//! ```ignore
//! let task = Task { run, journal: journal.path().into(), runtime_dir };
//! let warden = warden::start(&spawner, &meshquake, &["warden"], &task, Some(&slice)).await?; // before any child
//! // … in `meshquake warden --run … --journal … --runtime-dir …` (clap: `Warden(warden::Task)`):
//! warden::main(&task)
//! ```

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use super::journal::Reading;
use super::net::Slice;
use super::proc::Identity;
use super::spawn::{self, Bond, Spawner};
use super::sweep::{self, Found, Target};

/// How long killed processes may take to go.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot give the warden its pipe")]
    Pipe(#[source] io::Error),
    #[error("the warden does not start")]
    Start(#[from] spawn::Error),
    #[error("cannot remove {}: {source}", .path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Sweep(#[from] sweep::Error),
    #[error("no runtime to wait with")]
    Runtime(#[source] io::Error),
}

/// What is to be cleaned up.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Task {
    /// The run whose processes end
    #[arg(long)]
    pub run: String,
    /// Its journal, where its children are noted
    #[arg(long)]
    pub journal: PathBuf,
    /// The folder with its sockets, removed at the end
    #[arg(long)]
    pub runtime_dir: PathBuf,
}

impl Task {
    /// What the journal says of itself.
    pub fn of(reading: &Reading) -> Self {
        Self {
            run: reading.header.run.clone(),
            journal: reading.path.clone(),
            runtime_dir: reading.header.runtime_dir.clone(),
        }
    }

    fn args(&self) -> [OsString; 6] {
        [
            "--run".into(),
            self.run.clone().into(),
            "--journal".into(),
            self.journal.clone().into(),
            "--runtime-dir".into(),
            self.runtime_dir.clone().into(),
        ]
    }
}

/// The supervisor's end. Dropping it lets the warden do its work, which after an orderly end finds nothing to do.
#[derive(Debug)]
pub struct Warden {
    identity: Identity,
    handle: OwnedFd,
    _open_while_we_live: io::PipeWriter,
}

impl Warden {
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Until the warden has ended, which while it is held means that somebody has killed it.
    pub async fn wait(&self) -> io::Result<()> {
        // A copy, as one descriptor can be watched only once at a time.
        let handle = self.handle.try_clone()?;
        sweep::gone(handle.as_fd()).await
    }
}

/// Starts the warden: `program` with `args` (the hidden subcommand) and the task as flags.
pub async fn start(
    spawner: &Spawner,
    program: &Path,
    args: &[&str],
    task: &Task,
    slice: Option<&Slice>,
) -> Result<Warden, Error> {
    let (reader, writer) = io::pipe().map_err(Error::Pipe)?;
    // It never writes; in place of an output it holds the lock on the slice.
    let output = slice.map_or_else(|| Ok(Stdio::null()), |slice| slice.share_lock().map(Stdio::from));
    let mut command = Command::new(program);
    command
        .args(args)
        .args(task.args())
        .env_clear()
        .current_dir("/")
        .stdin(reader)
        .stdout(output.map_err(Error::Pipe)?)
        .stderr(Stdio::null());
    let (identity, handle) = spawner.launch(command, Bond::OutlivesUs).await?;
    Ok(Warden { identity, handle, _open_while_we_live: writer })
}

/// The warden's own life: waits for the end of standard input, then cleans up.
pub fn main(task: &Task) -> ExitCode {
    // An error on the pipe is as good as its end: in either case the supervisor can no longer be waited for.
    let _read = io::copy(&mut io::stdin().lock(), &mut io::sink());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime);
    match runtime.and_then(|runtime| runtime.block_on(clean_up(task))) {
        Ok(_ended) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(run = task.run, %error, "not all was cleaned up");
            ExitCode::FAILURE
        }
    }
}

/// Ends every process of the run and removes its runtime folder; says what was ended. `heal` does the same, also
/// at the same time.
pub async fn clean_up(task: &Task) -> Result<Vec<Found>, Error> {
    // Both are tried, whatever becomes of the other.
    let swept = target(task).end_all(LIMIT).await;
    remove(&task.runtime_dir)?;
    Ok(swept?)
}

/// Everything of the run, by mark and by the sessions that its journal notes.
pub fn target(task: &Task) -> Target {
    let noted = Reading::of(&task.journal).map(|reading| reading.processes().to_vec());
    // No journal: an orderly end has removed it. The mark still finds what bears it.
    Target::run(&task.run).with_sessions(noted.unwrap_or_default())
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Remove { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}
