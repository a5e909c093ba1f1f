//! A client's lease on a world that outlives it: a response that goes on as long as the client reads it.
//!
//! When the connection closes and undos of that client are still open, they are taken back by whoever was set as
//! [`TakeBack`]: the binary knows how, this module does not.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, OnceLock, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use super::Own;
use crate::backend::local::journal::Intent;
use crate::backend::local::supervisor::SOCKET;

/// Takes back one undo in the world behind a socket.
pub type TakeBack =
    fn(std::path::PathBuf, Value) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

static TAKE_BACK: OnceLock<TakeBack> = OnceLock::new();

/// Says how undos are taken back; the first call counts.
pub fn take_back_by(how: TakeBack) {
    // Set once at the start of the process.
    let _already_set = TAKE_BACK.set(how);
}

pub fn leases(own: &Own) -> MutexGuard<'_, BTreeMap<u64, BTreeSet<Intent>>> {
    // Sets of numbers are whole at any time.
    own.leases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers with the number of the lease, and never ends.
pub async fn hold(State(own): State<Own>) -> Response {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    leases(&own).insert(number, BTreeSet::new());
    let held = Held { own, number };
    let first = stream::once(async move { Bytes::from(format!("{number}\n")) });
    let for_ever = stream::unfold(held, |held| async move {
        std::future::pending::<()>().await;
        Some((Bytes::new(), held))
    });
    Body::from_stream(first.chain(for_ever).map(Ok::<_, std::convert::Infallible>)).into_response()
}

struct Held {
    own: Own,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let open = leases(&self.own).remove(&self.number).unwrap_or_default();
        if open.is_empty() || self.own.site.stop.is_cancelled() {
            return;
        }
        let own = self.own.clone();
        tokio::spawn(async move { take_back(&own, &open).await });
    }
}

/// Last first, as on every other way.
async fn take_back(own: &Own, open: &BTreeSet<Intent>) {
    let Some(how) = TAKE_BACK.get() else {
        tracing::error!(
            "a client is gone and nobody knows how to take back what it did; `meshquake heal` does"
        );
        return;
    };
    let undos = own.site.journal.open_intents();
    for (intent, undo) in undos.into_iter().filter(|(intent, _)| open.contains(intent)) {
        match how(own.site.folder.join(SOCKET), undo).await {
            Ok(verified) => {
                tracing::info!(verified, "a client is gone; taken back");
                if let Err(error) = own.site.journal.done(intent) {
                    tracing::error!(%error, "taken back, but not crossed off");
                }
            }
            Err(error) => tracing::error!(error, "a client is gone and what it did cannot be taken back"),
        }
    }
}
