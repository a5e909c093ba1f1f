//! The pods of this moment as the mesh sees them, and how long it goes on seeing those that are gone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use meshquake_xds::model::{ContainerPort, State, Workload};
use serde_json::Value;
use tokio::time::Instant;

use super::gateway::is_gateway;
use crate::backend::local::deployment::{is_ending, is_ready};
use crate::backend::local::store::Entry;

/// Who was ready a moment ago, so that endpoints linger as long as a real control plane takes to remove them.
#[derive(Debug, Default)]
pub struct Members {
    ready: BTreeMap<String, Ready>,
}

#[derive(Debug)]
struct Ready {
    workload: Workload,
    /// Set once it is ready no more.
    until: Option<Instant>,
}

/// What there is to see, and when it will look different by itself.
#[derive(Debug, Default)]
pub struct Seen {
    pub workloads: Vec<Workload>,
    pub wake: Option<Instant>,
}

impl Members {
    pub fn look(&mut self, pods: &[Arc<Entry>], lag: Duration) -> Seen {
        self.look_at(pods, lag, Instant::now())
    }

    fn look_at(&mut self, pods: &[Arc<Entry>], lag: Duration, now: Instant) -> Seen {
        let mut found: BTreeMap<String, Workload> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| !is_gateway(pod)) {
            if let Some(workload) = workload(pod) {
                found.insert(format!("{}/{}", workload.namespace, workload.pod), workload);
            }
        }
        for (name, workload) in &found {
            if workload.state == State::Ready {
                self.ready.insert(name.clone(), Ready { workload: workload.clone(), until: None });
            }
        }
        let mut wake: Option<Instant> = None;
        self.ready.retain(|name, ready| {
            if found.get(name).is_some_and(|w| w.state == State::Ready) {
                return true;
            }
            let until = *ready.until.get_or_insert(now + lag);
            if until <= now {
                return false;
            }
            wake = Some(wake.map_or(until, |at| at.min(until)));
            found.insert(name.clone(), Workload { state: State::Ready, ..ready.workload.clone() });
            true
        });
        Seen { workloads: found.into_values().collect(), wake }
    }
}

/// A pod with addresses; before that the mesh does not know it.
fn workload(pod: &Entry) -> Option<Workload> {
    let value = pod.value();
    let address: IpAddr = value["status"]["podIP"].as_str()?.parse().ok()?;
    let app_address: IpAddr = value["metadata"]["annotations"][APP_ADDRESS].as_str()?.parse().ok()?;
    let owner = &value["metadata"]["ownerReferences"][0]["name"];
    let containers = value["spec"]["containers"].as_array().into_iter().flatten();
    let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let port = |port: &Value| {
        let number = u16::try_from(port["containerPort"].as_u64()?).ok()?;
        Some(ContainerPort { name: port["name"].as_str().map(str::to_owned), port: number })
    };
    let state = match (is_ending(pod), is_ready(value)) {
        (true, _) => State::Draining,
        (false, true) => State::Ready,
        (false, false) => State::NotReady,
    };
    Some(Workload {
        pod: pod.object.name().to_owned(),
        namespace: pod.object.namespace().to_owned(),
        labels: labels(value),
        service_account: service_account(pod),
        workload: owner.as_str().unwrap_or(pod.object.name()).to_owned(),
        address,
        app_address,
        ports: ports.filter_map(port).collect(),
        state,
    })
}

/// The annotation with a pod's app address, which Kubernetes does not know.
pub const APP_ADDRESS: &str = "meshquake.dev/app-address";

pub fn labels(pod: &Value) -> BTreeMap<String, String> {
    let labels = pod["metadata"]["labels"].as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

pub fn service_account(pod: &Entry) -> String {
    pod.value()["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::local::store::kind::POD;
    use crate::backend::local::store::{Key, Store, unpack};

    fn pod(name: &str, ready: bool, ending: bool) -> Arc<Entry> {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop",
            "annotations": {APP_ADDRESS: "127.64.33.1"}}, "spec": {"containers": [{"ports": [{"containerPort": 80}]}]},
            "status": {"podIP": "127.64.1.1", "conditions": [{"type": "Ready", "status": if ready {"True"} else {"False"}}]}});
        if ending {
            pod["metadata"]["deletionTimestamp"] = "now".into();
        }
        let key = Key::new(&POD, "shop", name);
        Store::new(|_| Ok(None)).transact(|draft| draft.create(key, unpack(pod, "t"), "t")).unwrap().0
    }

    #[test]
    fn endpoints_linger_after_their_pods() {
        let lag = Duration::from_millis(100);
        let start = Instant::now();
        let mut members = Members::default();
        let mut look = |pods: &[Arc<Entry>], ms: u64| {
            let seen = members.look_at(pods, lag, start + Duration::from_millis(ms));
            let shown = seen.workloads.iter().map(|w| format!("{} {:?}", w.pod, w.state)).collect::<Vec<_>>();
            (shown.join(", "), seen.wake.map(|at| (at - start).as_millis()))
        };
        assert_eq!(
            look(&[pod("a", false, false)], 0),
            ("a NotReady".into(), None),
            "never ready, so never lingers"
        );
        assert_eq!(look(&[pod("a", true, false)], 10), ("a Ready".into(), None));
        assert_eq!(look(&[pod("a", true, true)], 20), ("a Ready".into(), Some(120)), "told to end");
        assert_eq!(look(&[], 50), ("a Ready".into(), Some(120)), "gone, but callers do not know yet");
        assert_eq!(look(&[], 120), (String::new(), None));
    }

    #[test]
    fn a_pod_that_recovers_in_time_never_left() {
        let mut members = Members::default();
        let start = Instant::now();
        let mut look = |ready, ms| {
            let at = start + Duration::from_millis(ms);
            members.look_at(&[pod("a", ready, false)], Duration::from_millis(100), at).wake.is_some()
        };
        assert!(!look(true, 0));
        assert!(look(false, 10));
        assert!(!look(true, 20));
    }
}
