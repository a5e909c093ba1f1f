//! Finds and ends what a run has started, also when nobody is left who remembers starting it.
//!
//! A process belongs to a run by the mark in its environment, or by the session that one of the run's own
//! children opened: programs such as PostgreSQL write their title over their environment, and the mark is gone.
//! Everything is ended through a pidfd checked by pid and start time, so a reused pid never hits a stranger.
//!
//! ```ignore
//! let target = Target::run("k3x9").with_sessions(reading.processes);
//! for ended in target.end_all(Duration::from_secs(2)).await? {
//!     tracing::info!(%ended, "ended");
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::proc::{self, Identity, PART_VARIABLE, POD_VARIABLE, RUN_VARIABLE, Stat};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("still running after {limit:?}: {}", list(.left))]
    StillRunning { limit: Duration, left: Vec<Found> },
    #[error("not permitted to end {found}; it runs as another user")]
    NotPermitted { found: Found },
    #[error("interrupted by the end of the runtime")]
    Interrupted(#[source] tokio::task::JoinError),
    #[error("cannot end {found}: {source}")]
    Signal { found: Found, source: io::Error },
}

fn list(found: &[Found]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is to be found: a run, a pod of it, or one start of one part of that pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    run: String,
    pod: Option<String>,
    part: Option<String>,
    /// Nothing older can belong to it.
    born_since: u64,
    sessions: Vec<Identity>,
}

impl Target {
    /// Everything of a run.
    pub fn run(run: impl Into<String>) -> Self {
        Self { run: run.into(), pod: None, part: None, born_since: 0, sessions: Vec::new() }
    }

    /// Only what belongs to this pod.
    pub fn pod(self, pod: impl Into<String>) -> Self {
        Self { pod: Some(pod.into()), ..self }
    }

    /// Only what this process has left behind, whose part has a name that nothing before it had.
    pub(super) fn part(self, part: impl Into<String>, first: Identity) -> Self {
        Self { part: Some(part.into()), born_since: first.start, ..self }
    }

    /// Also whoever lives in a session that one of these processes has opened.
    pub fn with_sessions(self, sessions: impl IntoIterator<Item = Identity>) -> Self {
        Self { sessions: sessions.into_iter().collect(), ..self }
    }

    /// Who is there now. This process itself is never among them.
    pub fn find(&self) -> Vec<Found> {
        let own = std::process::id();
        proc::all()
            .into_iter()
            .filter(|stat| stat.pid != own && !stat.has_ended() && stat.start >= self.born_since)
            .filter_map(|stat| self.claim(&stat))
            .collect()
    }

    fn claim(&self, stat: &Stat) -> Option<Found> {
        let found = |pod| Found { identity: stat.identity(), pod, command: proc::command_line(stat.pid) };
        let environment = std::fs::read(format!("/proc/{}/environ", stat.pid)).unwrap_or_default();
        let value = |name| proc::variable_in(&environment, name);
        let wanted = |wanted: &Option<String>, name| wanted.is_none() || *wanted == value(name);
        if value(RUN_VARIABLE).as_ref() == Some(&self.run)
            && wanted(&self.pod, POD_VARIABLE)
            && wanted(&self.part, PART_VARIABLE)
        {
            return Some(found(value(POD_VARIABLE)));
        }
        self.sessions.iter().any(|leader| is_in_session_of(stat, leader)).then(|| found(self.pod.clone()))
    }

    /// Ends everything that is found, and what that has started meanwhile, and waits until it is gone.
    /// Says what was ended.
    pub async fn end_all(&self, limit: Duration) -> Result<Vec<Found>, Error> {
        let deadline = Instant::now() + limit;
        let mut ended = BTreeMap::new();
        loop {
            let target = self.clone();
            // Reading all of /proc takes milliseconds, during which nothing else would go on here.
            let found =
                tokio::task::spawn_blocking(move || target.find()).await.map_err(Error::Interrupted)?;
            if found.is_empty() {
                return Ok(ended.into_values().collect());
            }
            if Instant::now() >= deadline {
                return Err(Error::StillRunning { limit, left: found });
            }
            let mut handles = Vec::new();
            // All are hit before any is waited for: fewer chances for one to start another.
            for found in found {
                if let Some(handle) = kill(&found)? {
                    handles.push(handle);
                }
                ended.insert(found.identity, found);
            }
            for handle in handles {
                // Running into the deadline is noticed at the top, where the names are known.
                let _gone_or_late = timeout_at(deadline, gone(handle.as_fd())).await;
            }
        }
    }
}

/// A session keeps the pid of its leader reserved as long as it has members; if somebody else has that pid,
/// the leader's session has ended and this one is a stranger's.
fn is_in_session_of(stat: &Stat, leader: &Identity) -> bool {
    stat.session == leader.pid
        && stat.start >= leader.start
        && Identity::of(leader.pid).is_none_or(|now| now == *leader)
}

fn kill(found: &Found) -> Result<Option<OwnedFd>, Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => Error::NotPermitted { found: found.clone() },
        _ => Error::Signal { found: found.clone(), source },
    };
    let Some(handle) = found.identity.open().map_err(failed)? else { return Ok(None) };
    match pidfd_send_signal(&handle, Signal::KILL) {
        Ok(()) => Ok(Some(handle)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

/// Until the process behind a pidfd has ended, reaped or not.
pub(super) async fn gone(handle: BorrowedFd<'_>) -> io::Result<()> {
    #[expect(unsafe_code, reason = "tokio has no safe way to watch a descriptor that it did not open")]
    // SAFETY: a borrowed descriptor stays open, and the same, until this future is dropped.
    let watched = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE)? };
    watched.readable().await.map(drop)
}

/// A process that belongs to the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub identity: Identity,
    pub pod: Option<String>,
    pub command: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.identity.pid, self.command)?;
        self.pod.as_ref().map_or(Ok(()), |pod| write!(f, " of pod {pod}"))
    }
}
