//! What ends a run early: a signal, a closed pipe, a guard, the time limit. The first reason counts.
//!
//! Stopping never skips an undo: whoever waits looks here, takes back what it did and goes home.

use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::verdict::{Cause, CauseKind};

/// Shared by everything that waits during a run.
#[derive(Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<Cause>>,
}

impl Stop {
    pub fn now(&self, cause: Cause) {
        let _ = self.reason.set(cause);
        self.token.cancel();
    }

    pub async fn asked(&self) {
        self.token.cancelled().await;
    }

    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    pub fn reason(&self) -> Option<&Cause> {
        self.reason.get()
    }

    /// `Some` when the future ended first.
    pub async fn unless<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            value = future => Some(value),
        }
    }

    /// From here on SIGINT, SIGTERM and SIGHUP ask for the end instead of ending the process.
    ///
    /// A second one changes nothing about what is taken back; it only stops the waiting that is left.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let signals = [
            (SignalKind::interrupt(), CauseKind::Interrupted, "Ctrl-C (SIGINT)"),
            (SignalKind::terminate(), CauseKind::Terminated, "SIGTERM"),
            (SignalKind::hangup(), CauseKind::Interrupted, "SIGHUP: the terminal is gone"),
        ];
        for (kind, cause, name) in signals {
            let mut stream = signal(kind)?;
            let stop = self.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    stop.now(Cause::new(cause, format!("ended by {name}")));
                }
            });
        }
        Ok(())
    }

    /// From here on the run ends as by a signal once nobody reads its progress any more.
    pub fn on_unread(&self) {
        let stop = self.clone();
        // It waits for nothing but the end of a reader, which a file and a device never see, and ends with the process.
        std::thread::spawn(move || {
            let progress = std::io::stderr();
            let mut end = [PollFd::new(&progress, PollFlags::empty())];
            loop {
                match poll(&mut end, None) {
                    Err(Errno::INTR) => {}
                    Ok(_) if end[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                        return stop.unread();
                    }
                    Ok(_) | Err(_) => return,
                }
            }
        });
    }

    pub fn unread(&self) {
        self.now(Cause::new(CauseKind::Interrupted, "ended because nobody reads its output any more"));
    }
}
