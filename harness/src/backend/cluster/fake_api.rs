//! An API server as a test wants it: it answers by method and path, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use kube::client::Body;
use serde_json::{Value, json};

/// What was asked, as `GET /api/v1/namespaces/shop`.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test has failed meanwhile").clone()
    }

    /// What would change something.
    pub fn changes(&self) -> Vec<String> {
        self.all().into_iter().filter(|line| !line.starts_with("GET ")).collect()
    }
}

/// A client of a server that answers with what `answer` makes of a line such as `GET /api/v1/namespaces/shop`; `None` is
/// a 404.
pub fn client(
    answer: impl Fn(&str) -> Option<(u16, Value)> + Send + Sync + 'static,
) -> (kube::Client, Asked) {
    let asked = Asked::default();
    let (answer, lines) = (Arc::new(answer), asked.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let line = format!("{} {}", request.method(), request.uri().path());
        lines.0.lock().expect("no test has failed meanwhile").push(line.clone());
        let (code, body) =
            answer(&line).unwrap_or_else(|| refusal(404, "NotFound", "there is no such thing"));
        let response = Response::builder().status(code).body(Full::new(Bytes::from(body.to_string())));
        async move { response }
    });
    (kube::Client::new(service, "default"), asked)
}

/// A refusal as API servers word it.
pub fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
        "message": message, "reason": reason, "code": code});
    (code, status)
}
