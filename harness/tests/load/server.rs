//! The server that the worker meets: it notes what it is asked, and answers as the path says.

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    pub path: String,
    pub traceparent: String,
    pub id: String,
    pub cookies: String,
    pub body: String,
}

#[derive(Default)]
pub struct Seen {
    pub requests: Mutex<Vec<Request>>,
    /// Answers are held until this time.
    pub stalled_until: Mutex<Option<Instant>>,
    pub most_at_once: AtomicU64,
    pub at_once: AtomicU64,
}

pub struct Server {
    pub base: String,
    pub seen: Arc<Seen>,
    pub serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let app = Router::new()
            .route(
                "/login/{user}",
                post(|Path(user): Path<u64>| async move {
                    (
                        [("set-cookie", format!("session={user}; Path=/"))],
                        format!("{{\"token\": \"t{user}\"}}"),
                    )
                }),
            )
            .route("/redirect", get(|| async { (StatusCode::FOUND, [("location", "/elsewhere")]) }))
            .route("/broken", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "no luck today") }))
            .route("/never", get(std::future::pending::<()>))
            .fallback(any(|| async { "hello\n" }))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&seen), note))
            .with_state(());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { base, seen, serving }
    }

    pub fn plan(&self, mode: Mode, journeys: Vec<Journey>) -> LoadPlan {
        LoadPlan { seed: 7, length: SECOND, ..LoadPlan::new(&self.base, journeys, mode) }
    }

    pub fn requests(&self) -> Vec<Request> {
        let mut requests = self.seen.requests.lock().expect("not poisoned").clone();
        requests.sort();
        requests
    }
}

pub async fn note(
    State(seen): State<Arc<Seen>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a small body");
    let header = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    seen.requests.lock().expect("not poisoned").push(Request {
        path: parts.uri.path().to_owned(),
        traceparent: header(&parts.headers, "traceparent"),
        id: header(&parts.headers, "x-request-id"),
        cookies: header(&parts.headers, "cookie"),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let now = seen.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most_at_once.fetch_max(now, Ordering::SeqCst);
    let stall = *seen.stalled_until.lock().expect("not poisoned");
    if let Some(until) = stall {
        tokio::time::sleep_until(until.into()).await;
    }
    let answer = next.run(axum::extract::Request::from_parts(parts, body.into())).await;
    seen.at_once.fetch_sub(1, Ordering::SeqCst);
    answer
}
