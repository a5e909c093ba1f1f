//! Serving a service, and ceasing to without losing a request.
//!
//! ```text
//! serving ──SIGTERM──► lingering: not ready, still takes calls ──► finishing: takes no new ones ──► gone
//! ```
//!
//! Lingering is for callers that have not yet heard that this endpoint is going; no condition tells that the last of them
//! has. Finishing ends with the last request in hand, or when its time is over.

use std::io;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::App;
use crate::environment::{self, Environment};

/// How long each part of the drain may take.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    pub linger: Duration,
    pub timeout: Duration,
}

impl Drain {
    pub fn of(environment: &Environment) -> Result<Self, environment::Error> {
        Ok(Self {
            linger: environment.millis("DRAIN_LINGER_MS", Duration::from_millis(250))?,
            timeout: environment.millis("DRAIN_TIMEOUT_MS", Duration::from_secs(4))?,
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("serving failed")]
    Serve(#[source] io::Error),
    #[error("{in_flight} requests were not finished within {} ms and are cut off", timeout.as_millis())]
    Unfinished { in_flight: i64, timeout: Duration },
}

/// Serves until `shutdown` is done, then drains.
pub async fn serve(
    listener: TcpListener,
    app: App,
    drain: Drain,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    // Answers are small: waiting to fill a packet would only cost time.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (finish, finishing) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app.router()).with_graceful_shutdown(async {
        let _ = finishing.await;
    });
    let mut server = std::pin::pin!(server.into_future());

    tokio::select! {
        ended = &mut server => return ended.map_err(Error::Serve),
        () = shutdown => {}
    }
    app.drain();
    app.tell("draining", "asked to stop");
    if let Ok(ended) = tokio::time::timeout(drain.linger, &mut server).await {
        return ended.map_err(Error::Serve);
    }
    // The server waits for this; it cannot have gone before it ended.
    let _ = finish.send(());
    match tokio::time::timeout(drain.timeout, &mut server).await {
        Ok(ended) => ended.map_err(Error::Serve),
        Err(_) => Err(Error::Unfinished { in_flight: app.metrics.in_flight.get(), timeout: drain.timeout }),
    }
}
