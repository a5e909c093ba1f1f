//! Watch: the history from a version on, then every change as it comes, one JSON document a line.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::path::Target;
use super::status::Failure;
use super::{Api, Query, present};
use crate::backend::local::store::selector::Selector;
use crate::backend::local::store::{Change, Entry, Store};

/// As long as a watch lasts that names no limit.
const LONG: Duration = Duration::from_secs(24 * 3600);

struct Watcher {
    store: Store,
    target: Target,
    selector: Selector,
    seen: u64,
    versions: tokio::sync::watch::Receiver<u64>,
    over: bool,
}

pub fn watch(api: &Api, target: &Target, query: &Query) -> Result<Response, Failure> {
    let mut selector = query.selector()?;
    if let Some(name) = &target.name {
        selector = Selector::parse(&query.label_selector, &format!("metadata.name={name}"))
            .map_err(|e| Failure::bad(e.to_string()))?;
    }
    let versions = api.store.versions();
    let asked = query.resource_version.as_deref().filter(|v| !v.is_empty() && *v != "0");
    let target = target.clone();
    // Without a version a watch begins with everything there is, as if it had just been added.
    let (first, seen) = match asked {
        Some(text) => {
            let seen = text.parse().map_err(|_| Failure::bad(format!("`{text}` is no resourceVersion")))?;
            (Bytes::new(), seen)
        }
        None => {
            let (entries, version) = api.store.list(target.kind, target.namespace.as_deref(), &selector);
            (entries.iter().flat_map(|e| line("ADDED", present(e, &target))).collect(), version)
        }
    };
    let watcher = Watcher { store: api.store.clone(), target, selector, seen, versions, over: false };
    let changes =
        stream::unfold(watcher, |mut watcher| async { watcher.next().await.map(|lines| (lines, watcher)) });
    let limit = query.timeout_seconds.map_or(LONG, Duration::from_secs);
    let over = tokio::time::sleep(limit); // the limit itself
    let lines = stream::once(async { first }).chain(changes).take_until(over);
    let body = Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>));
    Ok(([(http::header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl Watcher {
    /// The next lines, when there are any.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            self.versions.mark_unchanged();
            match self.store.since(self.seen) {
                Err(expired) => {
                    self.over = true;
                    return Some(line("ERROR", Failure::from(expired).body()).into());
                }
                Ok(changes) => {
                    self.seen = changes.last().map_or(self.seen, |change| change.version);
                    let lines: Vec<u8> = changes.iter().filter_map(|c| self.event(c)).flatten().collect();
                    if !lines.is_empty() {
                        return Some(lines.into());
                    }
                }
            }
            self.versions.changed().await.ok()?;
        }
    }

    /// A change as this watcher sees it: an object that leaves the selection is deleted for it.
    fn event(&self, change: &Change) -> Option<Vec<u8>> {
        let inside = self.target.namespace.as_ref().is_none_or(|n| *n == change.key.namespace);
        if change.key.kind != self.target.kind || !inside {
            return None;
        }
        let selected = |entry: &&Arc<Entry>| self.selector.matches(entry.value());
        let show = |entry: &Entry| present(entry, &self.target);
        match (change.before.as_ref().filter(selected), change.after.as_ref().filter(selected)) {
            (None, Some(after)) => Some(line("ADDED", show(after))),
            (Some(_), Some(after)) => Some(line("MODIFIED", show(after))),
            (Some(before), None) => {
                let mut gone = show(before);
                gone["metadata"]["resourceVersion"] = change.version.to_string().into();
                Some(line("DELETED", gone))
            }
            (None, None) => None,
        }
    }
}

fn line(what: &str, object: Value) -> Vec<u8> {
    let mut line = json!({"type": what, "object": object}).to_string().into_bytes();
    line.push(b'\n');
    line
}
