//! A call on demand: the service makes one request, by its own resolver and from its own pod, and tells what came back.
//!
//! `POST /call {"method": "GET", "url": "http://microservice-b:8080/", "headers": {"host": "b"}, "within_ms": 5000}`, on
//! the socket of the [chaos switch](crate::chaos) and as private as that one. So whoever wants to know how the mesh treats
//! a call of this workload need not guess from outside. Nothing is kept between two calls: each opens a connection of its
//! own, so none tells what an earlier one has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{HttpClient, chain};
use crate::environment::Environment;

/// What is told of a body; the rest is read and forgotten.
const MAX_TOLD: usize = 64 << 10;
const DEFAULT_LIMIT: Duration = Duration::from_secs(5);
const LONGEST_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    within_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

/// How there was no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Failed {
    /// The name has no address, or nobody takes connections there.
    Unreachable,
    /// There was a connection, and it ended before the whole answer.
    Broken,
    Timeout,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told {
    Answer { status: u16, headers: BTreeMap<String, String>, body: String },
    Failure { error: Failed, detail: String },
}

/// Makes calls.
#[derive(Clone)]
pub struct Caller(HttpClient);

impl Caller {
    pub fn of(environment: &Environment) -> Self {
        Self(crate::client::http(environment, 0))
    }

    /// The route of the verb.
    pub fn routes(&self) -> Router {
        Router::new().route("/call", post(call)).with_state(self.clone())
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>) -> Told {
        let response = match self.0.request(request).await {
            Ok(response) => response,
            Err(error) => {
                let kind = if error.is_connect() { Failed::Unreachable } else { Failed::Broken };
                return Told::Failure { error: kind, detail: chain(&error) };
            }
        };
        let (parts, mut rest) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => {
                    let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
                    body.extend_from_slice(&data[..data.len().min(MAX_TOLD - body.len())]);
                }
                Err(error) => return Told::Failure { error: Failed::Broken, detail: chain(&error) },
            }
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Told::Answer {
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// What was asked for as a request with its limit, or what is wrong with it.
fn request(body: &[u8]) -> Result<(Request<Empty<Bytes>>, Duration), String> {
    let asked: Asked = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let url: Uri = asked.url.parse().map_err(|error| format!("url is `{}`: {error}", asked.url))?;
    if url.scheme_str() != Some("http") {
        return Err(format!("url is `{}`: allowed is `http://host:port/path`", asked.url));
    }
    let limit = asked.within_ms.map_or(DEFAULT_LIMIT, Duration::from_millis);
    if limit > LONGEST_LIMIT {
        return Err(format!(
            "within_ms is {}: allowed is 0 to {}",
            limit.as_millis(),
            LONGEST_LIMIT.as_millis()
        ));
    }
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::from_bytes(asked.method.as_bytes())
        .map_err(|error| format!("method is `{}`: {error}", asked.method))?;
    *request.uri_mut() = url;
    for (name, value) in &asked.headers {
        let wrong = |error: &dyn std::fmt::Display| format!("header `{name}: {value}`: {error}");
        let name = HeaderName::try_from(name).map_err(|error| wrong(&error))?;
        request.headers_mut().append(name, HeaderValue::try_from(value).map_err(|error| wrong(&error))?);
    }
    Ok((request, limit))
}

async fn call(State(caller): State<Caller>, body: Bytes) -> Response {
    let (request, limit) = match request(&body) {
        Ok(request) => request,
        Err(found) => return (StatusCode::BAD_REQUEST, Json(json!({"error": found}))).into_response(),
    };
    let told = tokio::time::timeout(limit, caller.exchange(request)).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} ms", limit.as_millis());
        Told::Failure { error: Failed::Timeout, detail }
    });
    Json(told).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_called_is_refused_by_name() {
        for (wrong, says) in [
            ("", "EOF while parsing"),
            (r#"{"method": "GET"}"#, "missing field `url`"),
            (r#"{"url": "https://b/"}"#, "url is `https://b/`: allowed is"),
            (r#"{"url": "/path"}"#, "url is `/path`: allowed is"),
            (r#"{"url": "http://b/", "verb": "GET"}"#, "unknown field `verb`"),
            (r#"{"url": "http://b/", "method": "G T"}"#, "method is `G T`: "),
            (r#"{"url": "http://b/", "headers": {"a b": "c"}}"#, "header `a b: c`: "),
            (r#"{"url": "http://b/", "within_ms": 60001}"#, "within_ms is 60001: allowed is"),
        ] {
            let error = request(wrong.as_bytes()).expect_err(wrong);
            assert!(error.starts_with(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_call_says_what_it_needs_and_no_more() {
        let body = br#"{"url": "http://b:8080/x", "headers": {"host": "c"}, "within_ms": 20}"#;
        let (request, limit) = request(body).expect("a call");
        assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/x"));
        assert_eq!(request.headers()["host"], "c");
        assert_eq!(limit, Duration::from_millis(20));
    }
}
