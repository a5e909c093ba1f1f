//! The supervisor is a subreaper: what its children leave behind when they end becomes its child, and is reaped.
//!
//! Only orphans are reaped here. Children that the spawner has started are reaped by their own task, and those
//! that anything else in this process has started live in this process's session, which no orphan can.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{WaitOptions, getpid, set_child_subreaper, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use crate::backend::local::proc::{self, Stat};

static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The children that the spawner has started and that are not reaped yet.
pub(super) fn own_children() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on orphans of this process's children come to it, and are reaped as long as the runtime lives.
pub fn adopt() -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let mut child_ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        while child_ended.recv().await.is_some() {
            // Reading /proc blocks, and the lock may be held while a child is being started.
            if tokio::task::spawn_blocking(reap).await.is_err() {
                tracing::warn!("reaping orphans failed");
            }
        }
    });
    Ok(())
}

fn reap() {
    let own_pid = std::process::id();
    let Some(own_session) = Stat::of(own_pid).map(|stat| stat.session) else { return };
    let own = own_children();
    let orphans = proc::all().into_iter().filter(|stat| {
        stat.parent == own_pid && stat.has_ended() && stat.session != own_session && !own.contains(&stat.pid)
    });
    for orphan in orphans {
        if let Some(pid) = proc::raw(orphan.pid) {
            // Its status interests nobody, and an error only says that it is gone already.
            let _status = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}
