//! Starts processes so that none of them outlives the one that started them, and says how each has ended.
//!
//! PDEATHSIG fires on the death of the spawning *thread*, so one thread spawns everything and never ends. Each
//! child has its own session (a terminal's Ctrl-C must not reach it before the undo), a clean environment with
//! the run's mark, no descriptors but its own, and a log that is appended to directly, so that it is whole even
//! when the supervisor is not. When the child ends, whatever it has left behind ends too, before `wait` returns.
//! What escapes all of that is the business of [`super::warden`].
//!
//! ```ignore
//! let spawner = Spawner::start()?;
//! let app = spawner.spawn(Spec::new(program, log, Mark::new("k3x9", "web-1", "app")).arg("web")).await?;
//! tokio::select! { exit = app.wait() => warn!(%exit, "ended"), () = stop => {} }
//! let exit = app.terminate(Duration::from_secs(30)).await;
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal, setsid};
use tokio::sync::oneshot;

use super::journal::{self, Journal};
use super::proc::{self, Identity, PART_VARIABLE, POD_VARIABLE, RUN_VARIABLE};

mod child;
mod orphans;
#[cfg(test)]
mod tests;

pub use child::{Exit, Process};
pub use orphans::adopt as adopt_orphans;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start the thread that starts processes")]
    Thread(#[source] io::Error),
    #[error("cannot start {}: the folder to start it in, {}, is none", .program.display(), .folder.display())]
    Folder { program: PathBuf, folder: PathBuf },
    #[error("cannot open the log {}: {source}", .path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("cannot start {}: {source}", .program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{program} has not been noted in the journal and was ended")]
    Journal { program: String, source: journal::Error },
}

/// Whose a process is: run, pod, and which part of the pod (`app`, `sidecar`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub run: String,
    pub pod: String,
    pub part: String,
}

impl Mark {
    pub fn new(run: impl Into<String>, pod: impl Into<String>, part: impl Into<String>) -> Self {
        Self { run: run.into(), pod: pod.into(), part: part.into() }
    }
}

/// The user that a child changes to before anything else; only root can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A process to start. Nothing is inherited: what it needs of the environment is given here.
#[derive(Debug, Clone)]
pub struct Spec {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: BTreeMap<OsString, OsString>,
    /// `/` unless said otherwise.
    pub folder: PathBuf,
    /// Standard output and standard error are appended to this file.
    pub log: PathBuf,
    pub mark: Mark,
    pub user: Option<User>,
    /// Where the child is noted, so that its session is found again when this process is no more.
    pub journal: Option<Arc<Journal>>,
}

impl Spec {
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>, mark: Mark) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            folder: PathBuf::from("/"),
            log: log.into(),
            mark,
            user: None,
            journal: None,
        }
    }

    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..self }
    }

    pub fn user(self, user: Option<User>) -> Self {
        Self { user, ..self }
    }

    pub fn journal(self, journal: Arc<Journal>) -> Self {
        Self { journal: Some(journal), ..self }
    }
}

/// What becomes of a child when this process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bond {
    DiesWithUs,
    OutlivesUs,
}

/// A child that runs, on its way to somebody who will watch it. If it is dropped on that way (a future that was
/// given up half-way), the child ends: nobody else would ever end it.
#[derive(Debug)]
pub(super) struct Started {
    identity: Identity,
    handle: Option<OwnedFd>,
}

impl Started {
    /// The child, with the duty to watch it.
    pub(super) fn take(mut self) -> Option<(Identity, OwnedFd)> {
        self.handle.take().map(|handle| (self.identity, handle))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            child::abandon(self.identity, &handle);
        }
    }
}

struct Job {
    command: Command,
    bond: Bond,
    reply: oneshot::Sender<io::Result<Started>>,
}

/// The way to the one thread of this process that starts processes.
#[derive(Debug, Clone)]
pub struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    /// The same thread for all callers, started by the first of them.
    pub fn start() -> Result<Self, Error> {
        static JOBS: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);
        let mut jobs = JOBS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            return Ok(Self { jobs: jobs.clone() });
        }
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new().name("spawner".into()).spawn(|| work(receiver)).map_err(Error::Thread)?;
        // This copy is never dropped, hence the thread never runs out of a channel to listen on.
        *jobs = Some(sender.clone());
        Ok(Self { jobs: sender })
    }

    /// Starts a process; it runs when this returns. Needs a tokio runtime, which also notices its end.
    pub async fn spawn(&self, spec: Spec) -> Result<Process, Error> {
        static STARTS: AtomicU64 = AtomicU64::new(1);
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        // A number of its own for each start: what a part leaves behind is never mistaken for its successor.
        let part = format!("{}.{start}", spec.mark.part);
        let log = open_log(&spec.log)?;
        if !spec.folder.is_dir() {
            return Err(Error::Folder { program: spec.program, folder: spec.folder });
        }
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .env_clear()
            .envs(&spec.env)
            .env(RUN_VARIABLE, &spec.mark.run)
            .env(POD_VARIABLE, &spec.mark.pod)
            .env(PART_VARIABLE, &part)
            .current_dir(&spec.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|source| Error::Log { path: spec.log.clone(), source })?)
            .stderr(log);
        if let Some(user) = spec.user {
            command.uid(user.uid).gid(user.gid);
        }
        let (identity, handle) = self.launch(command, Bond::DiesWithUs).await?;
        let process = Process::watch(identity, handle, spec.mark, part);
        if let Some(journal) = &spec.journal
            && let Err(source) = journal.process(process.identity())
        {
            process.kill().await;
            return Err(Error::Journal { program: spec.program.display().to_string(), source });
        }
        Ok(process)
    }

    /// Runs a prepared command on the spawning thread, in a session of its own.
    pub(super) async fn launch(&self, command: Command, bond: Bond) -> Result<(Identity, OwnedFd), Error> {
        let program = PathBuf::from(command.get_program());
        let (reply, started) = oneshot::channel();
        let failed = |source| Error::Start { program: program.clone(), source };
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.jobs.send(Job { command, bond, reply }).map_err(|_job| failed(gone()))?;
        let started = started.await.map_err(|_closed| failed(gone()))?.map_err(failed)?;
        started.take().ok_or_else(|| failed(gone()))
    }
}

fn open_log(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| Error::Log { path: path.to_owned(), source })
}

/// The spawning thread. Its end would be the end of all children, so not even a panic may end it.
fn work(jobs: mpsc::Receiver<Job>) {
    for Job { command, bond, reply } in jobs {
        let started = catch_unwind(AssertUnwindSafe(|| start(command, bond)));
        let started = started.unwrap_or_else(|_panic| Err(io::Error::other("panicked while starting")));
        // Where nobody waits for it any more it is dropped, and so ended.
        drop(reply.send(started));
    }
}

fn start(mut command: Command, bond: Bond) -> io::Result<Started> {
    close_on_exec()?;
    let parent = getpid();
    let before_exec = move || {
        setsid()?;
        if bond == Bond::DiesWithUs {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before that call; then nobody will ever send the signal.
            if getppid() != Some(parent) {
                return Err(io::Error::other("the parent is gone"));
            }
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "a session and PDEATHSIG are set between fork and exec; only system calls run there"
    )]
    // SAFETY: the closure calls nothing but setsid, prctl and getppid; the error it builds on the way out is
    // allocated in a child that then ends.
    unsafe {
        command.pre_exec(before_exec);
    }
    // Held until the child is known, or whoever reaps orphans would take a child that ends at once for one.
    let mut own = orphans::own_children();
    let pid = command.spawn()?.id();
    own.insert(pid);
    // Nobody has reaped it, so the pid is still its own, even if it has ended already.
    let identity = Identity::of(pid);
    let handle = proc::raw(pid)
        .ok_or_else(|| io::Error::other(format!("{pid} is no pid")))
        .and_then(|pid| Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?));
    match (identity, handle) {
        (Some(identity), Ok(handle)) => Ok(Started { identity, handle: Some(handle) }),
        (identity, handle) => {
            if let Some(pid) = proc::raw(pid) {
                // It cannot be watched, so it must not run. It is our unreaped child: the pid is right.
                rustix::process::kill_process(pid, Signal::KILL)?;
                rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            }
            own.remove(&pid);
            Err(handle
                .err()
                .unwrap_or_else(|| io::Error::other(format!("no /proc/{pid}/stat: {identity:?}"))))
        }
    }
}

/// Descriptors that this process itself inherited without close-on-exec must not travel on: a child that holds
/// the writing end of somebody's pipe keeps that somebody waiting.
fn close_on_exec() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()).filter(|number| *number > 2)
        else {
            continue;
        };
        #[expect(
            unsafe_code,
            reason = "descriptors that nobody here has opened have no owner to borrow them from"
        )]
        // SAFETY: used for two fcntl calls only; if the number was closed meanwhile they fail with EBADF, and
        // if it was reused, its new owner wants close-on-exec as well.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if let Ok(flags) = fcntl_getfd(descriptor)
            && !flags.contains(FdFlags::CLOEXEC)
        {
            match fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC) {
                Ok(()) | Err(rustix::io::Errno::BADF) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
