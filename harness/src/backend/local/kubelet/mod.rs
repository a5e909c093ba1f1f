//! The kubelet in small: a pod is one process and its sidecar.
//!
//! ```text
//! control ── a task for each Pod object ── pod::live ─┬─ app::run      start, probe, restart
//!                                                     ├─ sidecar::run  the Envoy beside it
//!                                                     └─ follow        deletion, services, end of the world
//! ```

mod app;
pub mod env;
pub mod hosts;
mod listen;
mod pace;
pub mod pod;
pub mod probe;
mod sidecar;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinHandle;

pub use sidecar::NAME as SIDECAR;
pub use state::ASTRAY;

use super::site::Site;
use super::store::Key;
use super::store::kind::POD;

/// Runs every pod of the store, until the world ends and all of them are gone.
pub async fn control(site: Arc<Site>) {
    let mut versions = site.store.versions();
    let mut running: BTreeMap<Key, JoinHandle<()>> = BTreeMap::new();
    loop {
        running.retain(|_, task| !task.is_finished());
        for entry in site.store.all(&POD) {
            let key = Key::new(&POD, entry.object.namespace(), entry.object.name());
            running.entry(key.clone()).or_insert_with(|| tokio::spawn(pod::live(site.clone(), key)));
        }
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { break },
            () = site.stop.cancelled() => break,
        }
    }
    for (key, task) in running {
        if let Err(error) = task.await {
            tracing::error!(pod = %key, %error, "a pod's task has failed");
        }
    }
}
