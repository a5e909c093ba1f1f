//! Waits for a world by watching it: every Deployment complete, every pod ready. What cannot come about (an image that
//! does not exist, a crash loop, a quota, a webhook that refuses) is found when it shows, not when the limit has passed.

mod view;

use std::time::Duration;

use futures::stream::{SelectAll, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use tokio::time::Instant;

use self::view::{Change, Look, View};
use super::world::RUN;

/// How many of its events are told of a pod in trouble.
const TOLD: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Hopeless(String),
    #[error("not ready within {} s; last seen: {last}", .limit.as_secs())]
    Late { limit: Duration, last: String },
}

/// Waits until everything of the run in these namespaces is ready; `tell` hears of each step.
pub async fn ready(
    client: &kube::Client,
    namespaces: &[String],
    run: &str,
    limit: Duration,
    tell: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    let ours = watcher::Config::default().labels(&format!("{RUN}={run}"));
    let mut changes = SelectAll::new();
    for namespace in namespaces {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let broken = |error: watcher::Error| Change::Broken(crate::error::chain(&error));
        let name = namespace.clone();
        let of = move |change| (name.clone(), change);
        let deployments = watcher(deployments, ours.clone())
            .default_backoff()
            .map(move |event| event.map_or_else(broken, Change::Deployment))
            .map(of.clone());
        let pods = watcher(pods, ours.clone())
            .default_backoff()
            .map(move |event| event.map_or_else(broken, Change::Pod))
            .map(of.clone());
        for (kind, resource) in [
            ("StatefulSet", ApiResource::erase::<StatefulSet>(&())),
            ("DaemonSet", ApiResource::erase::<DaemonSet>(&())),
        ] {
            let sets: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let sets = watcher(sets, ours.clone())
                .default_backoff()
                .map(move |event| event.map_or_else(broken, |event| Change::Set(kind, event)))
                .map(of.clone());
            changes.push(sets.boxed());
        }
        changes.push(deployments.boxed());
        changes.push(pods.boxed());
    }
    let mut view = View::default();
    let mut last = "nothing yet".to_owned();
    let mut told = 0;
    let until = Instant::now() + limit;
    while let Ok(Some((namespace, change))) = tokio::time::timeout_at(until, changes.next()).await {
        view.take(&namespace, change, &mut last);
        if !view.is_whole(namespaces.len()) {
            continue;
        }
        match view.look() {
            Look::Ready => return Ok(()),
            Look::NotYet(seen) => last = seen,
            Look::Never(why, object) => {
                let events = events_of(client, &namespace, &object).await;
                return Err(Error::Hopeless(format!("{why}{events}")));
            }
        }
        let (complete, all) = view.complete();
        if complete > told {
            told = complete;
            tell(format!("{complete} of {all} Deployments available"));
        }
    }
    Err(Error::Late { limit, last })
}

/// The last warnings about an object, each on a line of its own.
pub async fn events_of(client: &kube::Client, namespace: &str, object: &str) -> String {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let about = ListParams::default().fields(&format!("involvedObject.name={object},type=Warning"));
    // They only explain; what they explain is said in any case.
    let Ok(found) = events.list(&about).await else { return String::new() };
    let mut events = found.items;
    events.sort_by_key(|event| event.last_timestamp.as_ref().map(|at| at.0));
    let last = events.iter().rev().take(TOLD).rev();
    last.map(|event| {
        let reason = event.reason.as_deref().unwrap_or("Warning");
        format!("\n  event {reason}: {}", event.message.as_deref().unwrap_or_default().trim())
    })
    .collect()
}
