//! One child: waiting for its end without races, ending it, and ending what it has left behind.
//!
//! A task per child waits on the pidfd, reaps, sweeps the child's session and mark, and only then publishes how
//! it ended. So `wait` may be called by many, at any time, and means "nothing of it runs any more".

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use tokio::sync::watch;

use super::{Mark, orphans};
use crate::backend::local::proc::Identity;
use crate::backend::local::sweep::{self, Target};

/// How long stragglers of a child that has ended may take to go; they are killed, so only a hung kernel takes longer.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// How a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Nobody here could learn it: the runtime that watched the process was shut down.
    Unknown,
}

impl Exit {
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    fn from_status(status: &rustix::process::WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(number) => match signal_name(number) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {number}"),
            },
            Self::Unknown => f.write_str("ended in an unknown way"),
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    names.into_iter().find(|(signal, _)| signal.as_raw() == number).map(|(_, name)| name)
}

/// A child of this process. Cheap to clone; dropping it does not end the child.
#[derive(Debug, Clone)]
pub struct Process {
    identity: Identity,
    handle: Arc<OwnedFd>,
    mark: Mark,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    pub(super) fn watch(identity: Identity, handle: OwnedFd, mark: Mark, part: String) -> Self {
        let handle = Arc::new(handle);
        let (publish, exit) = watch::channel(None);
        let left_behind =
            Target::run(&mark.run).pod(&mark.pod).part(part, identity).with_sessions([identity]);
        let ending = Arc::clone(&handle);
        tokio::spawn(async move {
            let exit = ended(identity, ending).await;
            if let Err(error) = left_behind.end_all(STRAGGLERS).await {
                tracing::warn!(pid = identity.pid, %error, "left something behind that does not end");
            }
            publish.send_replace(Some(exit));
        });
        Self { identity, handle, mark, exit }
    }

    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// How it has ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Until the process, and everything that it has started, is gone.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        let exit = exit.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Unknown)
    }

    /// Sends a signal; to a process that has ended already, none.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&*self.handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks it to end (SIGTERM), and after `grace` ends it (SIGKILL).
    pub async fn terminate(&self, grace: Duration) -> Exit {
        if let Err(error) = self.signal(Signal::TERM) {
            tracing::warn!(pid = self.pid(), %error, "cannot be asked to end");
        }
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(exit) => exit,
            Err(_grace_is_over) => self.kill().await,
        }
    }

    /// Ends it now, and everything that it has started.
    pub async fn kill(&self) -> Exit {
        if let Err(error) = self.signal(Signal::KILL) {
            tracing::warn!(pid = self.pid(), %error, "cannot be killed");
        }
        self.wait().await
    }
}

/// Ends and reaps a child that no one watches.
pub(super) fn abandon(identity: Identity, handle: &OwnedFd) {
    match pidfd_send_signal(handle, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {
            reap(identity, handle, WaitIdOptions::EXITED);
        }
        // Waiting for it would be waiting for ever.
        Err(error) => tracing::warn!(pid = identity.pid, %error, "abandoned and cannot be killed"),
    }
}

async fn ended(identity: Identity, handle: Arc<OwnedFd>) -> Exit {
    let exit = match sweep::gone(handle.as_fd()).await {
        Ok(()) => reap(identity, &handle, WaitIdOptions::EXITED | WaitIdOptions::NOHANG),
        Err(error) => {
            // Without readiness (no descriptors left for epoll, say) a thread can still block on it.
            tracing::warn!(pid = identity.pid, %error, "watched by a thread");
            let handle = Arc::clone(&handle);
            tokio::task::spawn_blocking(move || reap(identity, &handle, WaitIdOptions::EXITED))
                .await
                .unwrap_or(Exit::Unknown)
        }
    };
    tracing::debug!(pid = identity.pid, %exit, "ended");
    exit
}

fn reap(identity: Identity, handle: &OwnedFd, options: WaitIdOptions) -> Exit {
    let status = loop {
        match waitid(WaitId::PidFd(handle.as_fd()), options) {
            Err(Errno::INTR) => {}
            status => break status,
        }
    };
    orphans::own_children().remove(&identity.pid);
    status.ok().flatten().map_or(Exit::Unknown, |status| Exit::from_status(&status))
}
