//! A world on its way up, as its watches show it: whether it is ready, what it waits for, and what will never come.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::DynamicObject;
use kube::runtime::watcher;

/// Kinds that are watched.
const KINDS: usize = 4;
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

pub enum Change {
    Deployment(watcher::Event<Deployment>),
    Pod(watcher::Event<Pod>),
    /// A StatefulSet or a DaemonSet.
    Set(&'static str, watcher::Event<DynamicObject>),
    Broken(String),
}

/// What is known of a world on its way up.
#[derive(Default)]
pub struct View {
    deployments: BTreeMap<String, Deployment>,
    pods: BTreeMap<String, Pod>,
    /// With their kind.
    sets: BTreeMap<(&'static str, String), DynamicObject>,
    /// Namespaces of which all of a kind have been seen.
    listed: BTreeSet<(&'static str, String)>,
}

/// How a view looks.
#[derive(Debug, PartialEq)]
pub enum Look {
    Ready,
    NotYet(String),
    /// What will not come about, and the object that its events are about.
    Never(String, String),
}

impl View {
    /// Whether everything in so many namespaces has been seen.
    pub fn is_whole(&self, namespaces: usize) -> bool {
        self.listed.len() >= KINDS * namespaces
    }

    pub fn take(&mut self, namespace: &str, change: Change, last: &mut String) {
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
            Change::Set(kind, event) => match event {
                watcher::Event::Apply(found) | watcher::Event::InitApply(found) => {
                    self.sets.insert((kind, key(&found.metadata.name)), found);
                }
                watcher::Event::Delete(found) => drop(self.sets.remove(&(kind, key(&found.metadata.name)))),
                watcher::Event::Init => {
                    self.sets
                        .retain(|(of, name), _| *of != kind || !name.starts_with(&format!("{namespace}/")));
                }
                watcher::Event::InitDone => drop(self.listed.insert((kind, namespace.to_owned()))),
            },
            // The watch goes on by itself.
            Change::Broken(why) => *last = why,
        }
    }

    pub fn complete(&self) -> (usize, usize) {
        (self.deployments.values().filter(|one| is_complete(one)).count(), self.deployments.len())
    }

    pub fn look(&self) -> Look {
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
        let sets = self.sets.iter().filter_map(|((kind, name), set)| {
            let (ready, wanted) = pods_of(set);
            (ready != Some(wanted))
                .then(|| format!("{kind} {name}: {} of {wanted} pods ready", ready.unwrap_or(0)))
        });
        let waiting = sets.chain(waiting).collect::<Vec<_>>();
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

/// How many of its pods are ready, where the controller has seen it as it is now, and how many there shall be.
fn pods_of(set: &DynamicObject) -> (Option<u64>, u64) {
    let number = |pointer: &str| set.data.pointer(pointer).and_then(serde_json::Value::as_u64);
    let seen = number("/status/observedGeneration");
    let seen = seen.is_some() && seen.map(i64::try_from).and_then(Result::ok) >= set.metadata.generation;
    let ready = number("/status/readyReplicas").or(number("/status/numberReady")).unwrap_or(0);
    let wanted = number("/status/desiredNumberScheduled").or(number("/spec/replicas")).unwrap_or(1);
    (seen.then_some(ready), wanted)
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
    if status.phase.as_deref() == Some("Succeeded") {
        return None;
    }
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

    #[test]
    fn a_set_is_ready_with_all_its_pods() {
        let set = |status: serde_json::Value| {
            let set = json!({"metadata": {"name": "store", "generation": 2}, "spec": {"replicas": 2}, "status": status});
            let set = serde_json::from_value(set).expect("a StatefulSet");
            let mut view = View::default();
            view.take("shop", Change::Set("StatefulSet", watcher::Event::Apply(set)), &mut String::new());
            view.look()
        };
        assert_eq!(set(json!({"observedGeneration": 2, "readyReplicas": 2})), Look::Ready);
        for early in [
            json!({"observedGeneration": 1, "readyReplicas": 2}),
            json!({}),
            json!({"observedGeneration": 2}),
        ] {
            let Look::NotYet(seen) = set(early.clone()) else { panic!("{early} is not ready") };
            assert!(seen.contains("StatefulSet shop/store: 0 of 2 pods ready"), "{seen}");
        }
    }

    #[test]
    fn a_pod_that_has_done_its_work_is_not_waited_for() {
        assert_eq!(view(json!([]), pod(json!({"phase": "Succeeded"}))).look(), Look::Ready);
    }
}
