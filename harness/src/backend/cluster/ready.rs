//! Waits for a world by watching it: every Deployment complete, every pod ready. What cannot come about (an image that
//! does not exist, a crash loop, a quota, a webhook that refuses) is found when it shows, not when the limit has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{SelectAll, StreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{Api, ListParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use tokio::time::Instant;

use super::world::RUN;

/// Reasons for which a container waits in vain.
const HOPELESS: [&str; 6] = [
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];
/// How often a container may be started again until nobody believes in it any more.
const CRASHES: i32 = 2;
/// How many of its events are told of a pod in trouble.
const TOLD: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Hopeless(String),
    #[error("not ready within {} s; last seen: {last}", .limit.as_secs())]
    Late { limit: Duration, last: String },
}

enum Change {
    Deployment(watcher::Event<Deployment>),
    Pod(watcher::Event<Pod>),
    Broken(String),
}

/// What is known of a world on its way up.
#[derive(Default)]
struct View {
    deployments: BTreeMap<String, Deployment>,
    pods: BTreeMap<String, Pod>,
    /// Namespaces whose Deployments, and whose pods, have been seen as a whole.
    listed: BTreeSet<(&'static str, String)>,
}

/// How a view looks.
#[derive(Debug, PartialEq)]
enum Look {
    Ready,
    NotYet(String),
    /// What will not come about, and the object that its events are about.
    Never(String, String),
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
        let broken = |error: watcher::Error| Change::Broken(crate::run::chain(&error));
        let name = namespace.clone();
        let of = move |change| (name.clone(), change);
        let deployments = watcher(deployments, ours.clone())
            .default_backoff()
            .map(move |event| event.map_or_else(broken, Change::Deployment))
            .map(of.clone());
        let pods = watcher(pods, ours.clone())
            .default_backoff()
            .map(move |event| event.map_or_else(broken, Change::Pod))
            .map(of);
        changes.push(deployments.boxed());
        changes.push(pods.boxed());
    }
    let mut view = View::default();
    let mut last = "nothing yet".to_owned();
    let mut told = 0;
    let until = Instant::now() + limit;
    while let Ok(Some((namespace, change))) = tokio::time::timeout_at(until, changes.next()).await {
        view.take(&namespace, change, &mut last);
        if view.listed.len() < 2 * namespaces.len() {
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

impl View {
    fn take(&mut self, namespace: &str, change: Change, last: &mut String) {
        let key = |name: &Option<String>| format!("{namespace}/{}", name.as_deref().unwrap_or_default());
        match change {
            Change::Deployment(event) => {
                let listed = ("Deployment", namespace.to_owned());
                match event {
                    watcher::Event::Apply(found) | watcher::Event::InitApply(found) => {
                        self.deployments.insert(key(&found.metadata.name), found);
                    }
                    watcher::Event::Delete(found) => {
                        drop(self.deployments.remove(&key(&found.metadata.name)))
                    }
                    watcher::Event::Init => {
                        self.deployments.retain(|name, _| !name.starts_with(&format!("{namespace}/")));
                    }
                    watcher::Event::InitDone => drop(self.listed.insert(listed)),
                }
            }
            Change::Pod(event) => {
                let listed = ("Pod", namespace.to_owned());
                match event {
                    watcher::Event::Apply(found) | watcher::Event::InitApply(found) => {
                        self.pods.insert(key(&found.metadata.name), found);
                    }
                    watcher::Event::Delete(found) => drop(self.pods.remove(&key(&found.metadata.name))),
                    watcher::Event::Init => {
                        self.pods.retain(|name, _| !name.starts_with(&format!("{namespace}/")));
                    }
                    watcher::Event::InitDone => drop(self.listed.insert(listed)),
                }
            }
            // The watch goes on by itself.
            Change::Broken(why) => *last = why,
        }
    }

    fn complete(&self) -> (usize, usize) {
        (self.deployments.values().filter(|one| is_complete(one)).count(), self.deployments.len())
    }

    fn look(&self) -> Look {
        for (name, deployment) in &self.deployments {
            if let Some(why) = refused(deployment) {
                return Look::Never(format!("Deployment {name} gets no pods: {why}"), bare(name));
            }
        }
        for (name, pod) in &self.pods {
            if let Some(why) = hopeless(pod) {
                return Look::Never(format!("pod {name}: {why}"), bare(name));
            }
        }
        let (complete, all) = self.complete();
        let waiting =
            self.pods.iter().filter_map(|(name, pod)| Some(format!("pod {name}: {}", unready(pod)?)));
        let waiting = waiting.collect::<Vec<_>>();
        if complete == all && waiting.is_empty() {
            return Look::Ready;
        }
        let mut seen = vec![format!("{complete} of {all} Deployments available")];
        seen.extend(waiting);
        Look::NotYet(seen.join("\n  "))
    }
}

fn bare(name: &str) -> String {
    name.split_once('/').map_or(name, |(_, name)| name).to_owned()
}

fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

/// Why a Deployment cannot even make its pods.
fn refused(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
    let message = failure.message.clone().unwrap_or_default();
    // A webhook that does not answer yet may still come; what was refused on purpose stays refused.
    let for_good = ["exceeded quota", "denied the request", "is forbidden", "is invalid"];
    for_good.iter().any(|part| message.contains(part)).then_some(message)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref()).into_iter().flatten();
    init.chain(status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten())
}

fn hopeless(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed") {
        return Some(pod.status.as_ref()?.message.clone().unwrap_or_else(|| "it has failed".to_owned()));
    }
    statuses(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if reason == "CrashLoopBackOff" {
            // One that ended for want of what was still on its way may yet stay up.
            if container.restart_count < CRASHES {
                return None;
            }
            let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let how = ended.map_or(String::new(), |ended| {
                let reason = ended.reason.as_deref().unwrap_or("ended");
                format!("; last: {reason}, exit code {}", ended.exit_code)
            });
            return Some(format!(
                "container {} ends again and again ({} restarts{how})",
                container.name, container.restart_count
            ));
        }
        let message = waiting.message.as_deref().unwrap_or(reason);
        HOPELESS.contains(&reason).then(|| format!("container {} ({reason}): {message}", container.name))
    })
}

/// Why a pod is not ready; `None` where it is, or is on its way out.
fn unready(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let of = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    if of("Ready").is_some_and(|ready| ready.status == "True") {
        return None;
    }
    if let Some(unscheduled) = of("PodScheduled").filter(|condition| condition.status == "False") {
        return Some(format!("not scheduled: {}", unscheduled.message.as_deref().unwrap_or_default()));
    }
    let waiting = statuses(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some(format!("container {}: {}", container.name, waiting.reason.as_deref().unwrap_or("waiting")))
    });
    let message = || of("Ready").and_then(|ready| ready.message.clone());
    Some(waiting.or_else(message).unwrap_or_else(|| "not started yet".to_owned()))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(deployments: serde_json::Value, pods: serde_json::Value) -> View {
        let mut view = View::default();
        let deployments: Vec<Deployment> = serde_json::from_value(deployments).expect("Deployments");
        let pods: Vec<Pod> = serde_json::from_value(pods).expect("pods");
        for one in deployments {
            view.take("shop", Change::Deployment(watcher::Event::Apply(one)), &mut String::new());
        }
        for one in pods {
            view.take("shop", Change::Pod(watcher::Event::Apply(one)), &mut String::new());
        }
        view
    }

    fn web(status: serde_json::Value) -> serde_json::Value {
        json!([{"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": status}])
    }

    fn pod(status: serde_json::Value) -> serde_json::Value {
        json!([{"metadata": {"name": "web-1"}, "status": status}])
    }

    #[test]
    fn ready_is_complete_and_every_pod_ready() {
        let complete =
            json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(view(web(complete.clone()), pod(ready.clone())).look(), Look::Ready);
        let old =
            json!({"observedGeneration": 0, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
        assert!(matches!(view(web(old), pod(ready)).look(), Look::NotYet(_)));
        let waits = json!({"containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}}}]});
        let Look::NotYet(seen) = view(web(complete), pod(waits)).look() else { panic!("it is not ready") };
        assert_eq!(seen, "1 of 1 Deployments available\n  pod shop/web-1: container web: ContainerCreating");
    }

    #[test]
    fn what_will_not_come_about_is_named() {
        let quota = json!({"conditions": [{"type": "ReplicaFailure", "status": "True",
            "message": "pods \"web-1\" is forbidden: exceeded quota: small"}]});
        let Look::Never(why, object) = view(web(quota), json!([])).look() else { panic!("a quota is final") };
        assert!(why.contains("exceeded quota: small"), "{why}");
        assert_eq!(object, "web");
        let slow = json!({"conditions": [{"type": "ReplicaFailure", "status": "True",
            "message": "failed calling webhook: connection refused"}]});
        assert!(matches!(view(web(slow), json!([])).look(), Look::NotYet(_)), "a webhook may still come up");
        let image = json!({"containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]});
        let Look::Never(why, _) = view(web(json!({})), pod(image)).look() else { panic!("no image, no pod") };
        assert_eq!(why, "pod shop/web-1: container web (ImagePullBackOff): no such image");
        let crash = json!({"containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 3}}}]});
        let Look::Never(why, _) = view(web(json!({})), pod(crash)).look() else {
            panic!("a crash loop is final")
        };
        assert_eq!(
            why,
            "pod shop/web-1: container web ends again and again (2 restarts; last: Error, exit code 3)"
        );
    }
}
