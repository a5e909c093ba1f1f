//! The chaos switch: makes the service itself fail, which a fault in the mesh cannot (a mesh fault is answered before the
//! router, so it is neither retried nor counted by outlier detection).
//!
//! `GET /chaos` tells the fault in force (`{}` when there is none), `PUT /chaos` sets one, `DELETE /chaos` takes it back;
//! what GET tells can be PUT again. Every answer carries `x-chaos-affected`: how many requests the fault in force, or the
//! one just taken back, has met. Health, readiness and metrics are never touched. The switch is reached over a socket of
//! its own, which only this user (`unix:/path`, mode 0600) or this machine (a loopback address) can open.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::random;

/// What a fault does to the requests that it meets: waits, then answers with a status of its own, or never answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hang: bool,
}

impl Fault {
    /// Reads a fault; nothing when it names none. The error says what was found.
    fn parse(body: &[u8]) -> Result<Option<Self>, String> {
        let fault: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if let Some(status) = fault.status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("status is {status}"));
        }
        if let Some(delay) = fault.delay_ms.filter(|delay| *delay > 600_000) {
            return Err(format!("delay_ms is {delay}"));
        }
        if let Some(share) = fault.share.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(format!("share is {share}"));
        }
        if fault.hang && (fault.status.is_some() || fault.delay_ms.is_some()) {
            return Err("hang never answers, so it goes with neither status nor delay_ms".to_owned());
        }
        if fault.status.is_some() || fault.delay_ms.is_some() || fault.hang {
            return Ok(Some(fault));
        }
        match fault.share {
            Some(share) => {
                Err(format!("share is {share}, of no fault: there is no status, delay_ms or hang"))
            }
            None => Ok(None),
        }
    }

    fn meets(&self) -> bool {
        self.share.is_none_or(|share| random::fraction() < share)
    }
}

/// What happened to a request that a fault met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was held for a while, then answered as ever.
    Delayed,
    /// It is answered with this status instead.
    Answered(StatusCode),
    /// It was held until the fault was taken back.
    Hung,
}

impl Effect {
    pub fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delay",
            Self::Answered(_) => "status",
            Self::Hung => "hang",
        }
    }
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    affected: AtomicU64,
}

/// The switch, shared by the service's requests and the socket that sets it.
#[derive(Clone, Debug)]
pub struct Chaos(Arc<watch::Sender<Option<Arc<Active>>>>);

impl Default for Chaos {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Chaos {
    /// Lets the fault in force, if any, act on a request. A request that is held is let go when the fault changes.
    pub async fn act(&self) -> Option<Effect> {
        let active = self.0.borrow().clone()?;
        if !active.fault.meets() {
            return None;
        }
        active.affected.fetch_add(1, Ordering::Relaxed);
        if active.fault.hang {
            self.hold(&active).await;
            return Some(Effect::Hung);
        }
        if let Some(delay) = active.fault.delay_ms {
            // Whichever comes first: both mean that the request goes on.
            let _ = tokio::time::timeout(Duration::from_millis(delay), self.hold(&active)).await;
        }
        match active.fault.status.map(StatusCode::from_u16) {
            Some(Ok(status)) => Some(Effect::Answered(status)),
            _ => Some(Effect::Delayed),
        }
    }

    /// Waits until another fault, or none, is in force.
    async fn hold(&self, active: &Arc<Active>) {
        let same = |current: &Option<Arc<Active>>| current.as_ref().is_some_and(|c| Arc::ptr_eq(c, active));
        // An error would mean that the switch is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|current| !same(current)).await;
    }

    fn set(&self, fault: Option<Fault>) -> Option<Arc<Active>> {
        let active = fault.map(|fault| Arc::new(Active { fault, affected: AtomicU64::new(0) }));
        self.0.send_replace(active)
    }

    /// The switch's own routes.
    pub fn routes(&self) -> Router {
        let switch = get(show).put(put).delete(take_back);
        Router::new().route("/chaos", switch).with_state(self.clone())
    }
}

async fn show(State(chaos): State<Chaos>) -> Response {
    let active = chaos.0.borrow().clone();
    tell(active.as_ref().map(|a| &a.fault), active.as_ref())
}

async fn put(State(chaos): State<Chaos>, body: Bytes) -> Response {
    match Fault::parse(&body) {
        Ok(fault) => {
            let before = chaos.set(fault.clone());
            // A fault that has just begun has met nobody; where there is none now, the one before has the last word.
            tell(fault.as_ref(), if fault.is_some() { None } else { before.as_ref() })
        }
        Err(found) => {
            let allowed = json!({
                "status": "200 to 599",
                "delay_ms": "0 to 600000",
                "share": "0 to 1, of all requests; 1 when left out",
                "hang": "true or false; without status and delay_ms",
            });
            (StatusCode::BAD_REQUEST, Json(json!({"error": found, "allowed": allowed}))).into_response()
        }
    }
}

async fn take_back(State(chaos): State<Chaos>) -> Response {
    tell(None, chaos.set(None).as_ref())
}

fn tell(fault: Option<&Fault>, counted: Option<&Arc<Active>>) -> Response {
    let affected = counted.map_or(0, |active| active.affected.load(Ordering::Relaxed));
    let none = Fault::default();
    ([("x-chaos-affected", affected.to_string())], Json(fault.unwrap_or(&none))).into_response()
}

/// Where the switch listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Loopback(SocketAddr),
}

impl Address {
    pub const ALLOWED: &str =
        "`unix:/path`, at most 107 bytes of path, or a loopback address and port, `127.0.0.1:9900`";

    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => (path.starts_with('/') && path.len() <= 107).then(|| Self::Unix(path.into())),
            None => text
                .parse()
                .ok()
                .filter(|address: &SocketAddr| address.ip().is_loopback())
                .map(Self::Loopback),
        }
    }

    /// Opens the socket for the switch and whatever else is as private. What is returned serves it for as long as it is
    /// kept.
    pub async fn open(&self, routes: Router) -> io::Result<Open> {
        match self {
            Self::Loopback(address) => {
                let listener = TcpListener::bind(address).await?;
                let task = tokio::spawn(async move { axum::serve(listener, routes).await });
                Ok(Open { task, socket: None })
            }
            Self::Unix(path) => {
                let listener = bind_private(path).await?;
                let task = tokio::spawn(async move { axum::serve(listener, routes).await });
                Ok(Open { task, socket: Some(path.clone()) })
            }
        }
    }
}

/// Binds a socket that nobody else can open, not even between its creation and a change of its mode.
async fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        // Left behind by a process that was killed: nobody answers.
        std::fs::remove_file(path)?;
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    listener
}

/// The switch while it listens.
#[derive(Debug)]
#[must_use = "the switch closes when this is dropped"]
pub struct Open {
    task: tokio::task::JoinHandle<io::Result<()>>,
    socket: Option<PathBuf>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(path) = &self.socket {
            // It may be gone already, together with its folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_checked_field_by_field() {
        let fault = |body: &str| Fault::parse(body.as_bytes());
        assert_eq!(fault("{}"), Ok(None));
        assert_eq!(fault(r#"{"hang": false}"#), Ok(None));
        let all = Fault { status: Some(503), delay_ms: Some(20), share: Some(0.5), hang: false };
        assert_eq!(fault(r#"{"status": 503, "delay_ms": 20, "share": 0.5}"#), Ok(Some(all)));
        for (wrong, says) in [
            (
                r#"{"stauts": 503}"#,
                "unknown field `stauts`, expected one of `status`, `delay_ms`, `share`, `hang`",
            ),
            (r#"{"status": 700}"#, "status is 700"),
            (r#"{"status": "503"}"#, "invalid type: string \"503\", expected u16"),
            (r#"{"delay_ms": 600001}"#, "delay_ms is 600001"),
            (r#"{"delay_ms": -1}"#, "invalid value: integer `-1`, expected u64"),
            (r#"{"status": 500, "share": 1.1}"#, "share is 1.1"),
            (r#"{"share": 0.5}"#, "share is 0.5, of no fault"),
            (r#"{"hang": true, "status": 500}"#, "hang never answers"),
            ("", "EOF while parsing"),
        ] {
            let error = fault(wrong).expect_err(wrong);
            assert!(error.starts_with(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_address_is_private_to_the_machine() {
        assert_eq!(Address::parse("unix:/run/x/chaos.sock"), Some(Address::Unix("/run/x/chaos.sock".into())));
        assert!(matches!(Address::parse("127.64.0.9:9900"), Some(Address::Loopback(_))));
        let long = format!("unix:/{}", "x".repeat(107));
        for wrong in ["0.0.0.0:9900", "10.0.0.1:9900", "127.0.0.1", "unix:chaos.sock", "unix:", "9900", &long]
        {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn share_is_a_share_of_requests() {
        let chaos = Chaos::default();
        chaos.set(Some(Fault { status: Some(503), share: Some(0.25), ..Fault::default() }));
        let mut met = 0;
        for _ in 0..10_000 {
            met += u32::from(chaos.act().await == Some(Effect::Answered(StatusCode::SERVICE_UNAVAILABLE)));
        }
        assert!((2150..2850).contains(&met), "{met} of 10000 met by a quarter");
        let counted = chaos.set(None).expect("a fault was in force").affected.load(Ordering::Relaxed);
        assert_eq!(counted, u64::from(met), "all that were met are counted, and no more");
        assert_eq!(chaos.act().await, None);
    }
}
