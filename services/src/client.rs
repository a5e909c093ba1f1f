//! Calls from one service to the next: a deadline, the request's identity passed on, and failures that name the hop.

use std::error::Error as StdError;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde_json::Value;

use crate::environment::{Environment, Error};
use crate::resolve::Names;
use crate::trace::Trace;
use crate::{Service, Stack};

/// The longest answer that a caller takes.
const MAX_ANSWER: usize = 1 << 20;

/// What all calls of a service leave by.
pub(crate) type HttpClient = Client<HttpConnector<Names>, Empty<Bytes>>;

/// A client that looks names up where this service does, and keeps at most so many idle connections to a host.
pub(crate) fn http(environment: &Environment, idle: usize) -> HttpClient {
    let mut connector = HttpConnector::new_with_resolver(Names::of(environment));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(idle)
        .build(connector)
}

/// The service that this one calls next.
#[derive(Clone)]
pub struct Upstream {
    http: HttpClient,
    caller: Service,
    stack: Stack,
    base: Uri,
    deadline: Duration,
}

impl Upstream {
    /// Where to call, from `NEXT_URL` and `NEXT_TIMEOUT_MS`.
    pub fn next(caller: Service, stack: Stack, environment: &Environment) -> Result<Self, Error> {
        Ok(Self {
            // As many idle connections as were ever in use at once stay open: at a thousand requests a second, opening
            // one costs more than keeping it.
            http: http(environment, usize::MAX),
            caller,
            stack,
            base: environment.base_url("NEXT_URL")?,
            deadline: environment.millis("NEXT_TIMEOUT_MS", Duration::from_secs(2))?,
        })
    }

    /// GETs a path; any answer other than 2xx is a failure.
    pub async fn get(&self, path: &str, trace: &Trace) -> Result<String, Failure> {
        match tokio::time::timeout(self.deadline, self.exchange(path, trace)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let detail = format!("no answer to GET {path} within {} ms", self.deadline.as_millis());
                Err(self.failure(Kind::Timeout, detail))
            }
        }
    }

    async fn exchange(&self, path: &str, trace: &Trace) -> Result<String, Failure> {
        let unreachable = |error: &dyn StdError| {
            self.failure(Kind::Unreachable, format!("GET {path} got no answer: {}", chain(error)))
        };
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.url(path).map_err(|error| unreachable(&error))?;
        trace.copy_to(request.headers_mut());

        let response = self.http.request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/json");
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| unreachable(error.as_ref()))?.to_bytes();
        if status.is_success() {
            return String::from_utf8(body.into()).map_err(|error| unreachable(&error));
        }
        let mut failure = self.failure(Kind::Status, format!("GET {path} was answered with {status}"));
        failure.status = Some(status.as_u16());
        failure.cause = if is_json { serde_json::from_slice(&body).ok() } else { None };
        Err(failure)
    }

    fn url(&self, path: &str) -> Result<Uri, http::Error> {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(path.parse()?);
        Ok(Uri::from_parts(parts)?)
    }

    fn failure(&self, error: Kind, detail: String) -> Failure {
        Failure {
            error,
            service: self.caller.name(),
            version: self.stack.name(),
            upstream: self.base.host().unwrap_or_default().to_owned(),
            status: None,
            detail,
            cause: None,
        }
    }
}

/// How a call to the next service failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// It answered, but not with 2xx.
    #[serde(rename = "upstream-status")]
    Status,
    /// There was no whole answer: no address, no connection, or the connection broke.
    #[serde(rename = "upstream-unreachable")]
    Unreachable,
    /// The deadline passed.
    #[serde(rename = "upstream-timeout")]
    Timeout,
}

/// The answer to a request that failed further on: which hop failed, and how. `cause` is the next service's own such answer.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub error: Kind,
    pub service: &'static str,
    pub version: &'static str,
    pub upstream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Value>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.error {
            Kind::Status | Kind::Unreachable => StatusCode::BAD_GATEWAY,
            Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        };
        (status, Json(self)).into_response()
    }
}

/// An error with all its causes on one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
