//! A small Kubernetes API over the store, served on a Unix socket: enough for `kube::Client` and for people.
//!
//! ```text
//! path ─► target ─┬─ read   get, list, watch, scale, log
//!                 └─ write  create, replace, apply, patch, delete ─► one transaction of the store
//! ```

mod log;
mod path;
mod read;
pub mod status;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub use log::last_lines;
pub use write::terminate;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;

use self::path::Target;
use self::status::Failure;
use super::store::selector::Selector;
use super::store::{Entry, Store};

/// Where the log of a container of a pod is: namespace, pod, container.
pub type LogOf = dyn Fn(&str, &str, Option<&str>) -> Option<PathBuf> + Send + Sync;

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub log_of: Arc<LogOf>,
}

/// The query parameters that are understood; Kubernetes clients send more, which change nothing here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Query {
    label_selector: String,
    field_selector: String,
    watch: Option<String>,
    resource_version: Option<String>,
    timeout_seconds: Option<u64>,
    field_manager: Option<String>,
    force: Option<String>,
    dry_run: Option<String>,
    grace_period_seconds: Option<i64>,
    container: Option<String>,
    follow: Option<String>,
    tail_lines: Option<usize>,
}

impl Query {
    fn selector(&self) -> Result<Selector, Failure> {
        Selector::parse(&self.label_selector, &self.field_selector).map_err(|e| Failure::bad(e.to_string()))
    }

    fn manager(&self) -> &str {
        self.field_manager.as_deref().unwrap_or("unknown")
    }
}

/// `true` and `1`, as Go reads a flag.
fn on(flag: Option<&String>) -> bool {
    flag.is_some_and(|text| text == "true" || text == "1")
}

/// The routes of the API.
pub fn router(api: Api) -> Router {
    let version = || async {
        axum::Json(serde_json::json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0-meshquake",
        "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "local"}))
    };
    Router::new().route("/version", get(version)).fallback(handle).with_state(api)
}

async fn handle(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    query: axum::extract::Query<Query>,
    body: Bytes,
) -> Response {
    let Some(target) = path::parse(uri.path()) else {
        return Failure::not_found(format!("`{}` is not served on local", uri.path())).into_response();
    };
    let query = query.0;
    let outcome = match (&method, target.part.as_deref()) {
        (&Method::GET, Some("log")) => log::log(&api, &target, &query).await,
        (&Method::GET, Some("scale")) => read::scale(&api, &target),
        (&Method::GET, None | Some("status")) if on(query.watch.as_ref()) => {
            watch::watch(&api, &target, &query)
        }
        (&Method::GET, None | Some("status")) => read::read(&api, &target, &query),
        (&Method::POST, None) => write::create(&api, &target, &query, &body),
        (&Method::PUT, None | Some("scale")) => write::replace(&api, &target, &query, &body),
        (&Method::PATCH, None | Some("scale")) => write::patch(&api, &target, &query, &headers, &body),
        (&Method::DELETE, None) => write::delete(&api, &target, &query, &body),
        _ => {
            let said = format!("{method} is not served for `{}`", uri.path());
            Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", said))
        }
    };
    outcome.unwrap_or_else(IntoResponse::into_response)
}

/// An object in the version that was asked for.
fn present(entry: &Entry, target: &Target) -> serde_json::Value {
    let mut value = entry.value().clone();
    value["apiVersion"] = target.kind.api_version(&target.version).into();
    value["kind"] = target.kind.kind.into();
    value
}
