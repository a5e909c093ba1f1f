//! One service of the shop, ready to be served: its routes inside what all services share.
//!
//! ```text
//! request ─► observe (identity, counts, log line) ─► chaos ─► the service's own routes
//!        └─► /health  /ready  /metrics               never observed, never faulted
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::chaos::{Chaos, Effect};
use crate::environment::{Environment, Error};
use crate::log::{Event, Line, Log, now};
use crate::metrics::Metrics;
use crate::trace::{REQUEST_ID, Trace};
use crate::{Service, Stack};

/// A service in one version. Clones share everything.
#[derive(Clone)]
pub struct App {
    pub service: Service,
    pub stack: Stack,
    pub chaos: Chaos,
    pub metrics: Metrics,
    log: Log,
    draining: Arc<AtomicBool>,
    routes: Router,
}

impl App {
    /// Reads what the service needs from the environment: `STACK`, and what its own routes ask for.
    pub fn new(
        service: Service,
        environment: &Environment,
        metrics: Metrics,
        log: Log,
    ) -> Result<Self, Error> {
        let stack = environment.required("STACK", Stack::ALLOWED, |text| text.parse().ok())?;
        let routes = service.routes(stack, environment)?;
        Ok(Self { service, stack, chaos: Chaos::default(), metrics, log, draining: Arc::default(), routes })
    }

    /// From now on the service is not ready, and each answer asks the caller to come back on another connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn tell(&self, event: &str, detail: &str) {
        let (service, version) = (self.service.name(), self.stack.name());
        self.log.write(&Event { ts: now(), service, version, event, detail });
    }

    pub fn router(&self) -> Router {
        let probes = Router::new()
            .route("/health", get(async || "ok"))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self.clone());
        let unknown = async |request: Request| {
            let found = format!("no route for {} {}", request.method(), request.uri().path());
            (StatusCode::NOT_FOUND, Json(json!({"error": "unknown-route", "detail": found})))
        };
        self.routes.clone().fallback(unknown).layer(from_fn_with_state(self.clone(), observe)).merge(probes)
    }
}

async fn ready(State(app): State<App>) -> Response {
    if app.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining").into_response()
    } else {
        "ready".into_response()
    }
}

async fn metrics(State(app): State<App>) -> Response {
    match app.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Wraps each request of the service: takes up its identity, lets chaos act, counts it and logs it.
async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let trace = Trace::of(request.headers());
    let mut observation = Observation::begin(&app, &request, trace.clone());
    let request_id = trace.request_id_header();
    request.extensions_mut().insert(trace);

    let effect = app.chaos.act().await;
    observation.effect = effect;
    let mut response = match effect {
        Some(Effect::Answered(status)) => (
            status,
            Json(json!({"error": "chaos", "service": app.service.name(), "version": app.stack.name()})),
        )
            .into_response(),
        Some(Effect::Delayed | Effect::Hung) | None => next.run(request).await,
    };
    observation.status = response.status();
    response.headers_mut().insert(REQUEST_ID, request_id);
    if app.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request from its arrival to its answer. It is counted and logged when this is dropped, so a caller that goes away
/// does not escape.
struct Observation<'a> {
    app: &'a App,
    began: Instant,
    method: Method,
    path: String,
    route: Option<MatchedPath>,
    trace: Trace,
    effect: Option<Effect>,
    status: StatusCode,
}

impl<'a> Observation<'a> {
    fn begin(app: &'a App, request: &Request, trace: Trace) -> Self {
        app.metrics.in_flight.inc();
        Self {
            app,
            began: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: request.extensions().get().cloned(),
            trace,
            effect: None,
            status: went_away(),
        }
    }
}

impl Drop for Observation<'_> {
    fn drop(&mut self) {
        let Self { app, began, method, path, route, trace, effect, status } = self;
        let took = began.elapsed();
        app.metrics.in_flight.dec();
        // Labels are a closed set: what a stranger sends must not become a series of its own.
        let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
        let verb = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
                method.as_str()
            }
            _ => "other",
        };
        app.metrics.requests.with_label_values(&[verb, route, status.as_str()]).inc();
        app.metrics.durations.with_label_values(&[verb, route]).observe(took.as_secs_f64());
        if let Some(effect) = effect {
            app.metrics.chaos.with_label_values(&[effect.name()]).inc();
        }
        app.log.write(&Line {
            ts: now(),
            service: app.service.name(),
            version: app.stack.name(),
            method: method.as_str(),
            path,
            status: status.as_u16(),
            duration_ms: took.as_micros() as f64 / 1000.0,
            request_id: trace.request_id(),
            trace_id: trace.trace_id(),
            chaos: effect.map(Effect::name),
        });
    }
}

/// The status of a request whose caller did not wait for the answer; never sent.
fn went_away() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}
