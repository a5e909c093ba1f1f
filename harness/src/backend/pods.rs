//! Follows the pods of some namespaces and tells every change once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::task::JoinHandle;

use super::cluster::load::WORKER;
use super::objects::{Objects, PodFacts};
use crate::event::{Event, Events, Pod};

/// Follows until it is dropped.
pub struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Looks as often as `look` says. A pod that lives shorter than this is seen by the backend's own events.
pub fn watch(objects: Objects, namespaces: BTreeSet<String>, look: Duration, events: Events) -> Watching {
    Watching(tokio::spawn(async move {
        let mut known = BTreeMap::new();
        let mut look = tokio::time::interval(look);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            // A look that fails tells nothing; the next one may.
            let all = BTreeMap::new();
            let looks = namespaces.iter().map(|namespace| objects.pods(namespace, &all));
            if let Ok(pods) = try_join_all(looks).await {
                changes(&mut known, &pods.concat()).into_iter().for_each(|pod| events.emit(Event::Pod(pod)));
            }
        }
    }))
}

/// Namespace and name of a pod.
type Key = (String, String);

/// What is new since the last look; `known` is brought up to date.
fn changes(known: &mut BTreeMap<Key, Pod>, pods: &[PodFacts]) -> Vec<Pod> {
    let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
    // Those that load the world are none of its own.
    let ours = pods.iter().filter(|facts| facts.label(WORKER).is_empty());
    let now = ours.map(told).map(|pod| (key(&pod), pod)).collect::<BTreeMap<_, _>>();
    let gone = known.values().filter(|pod| !now.contains_key(&key(pod)));
    let mut changed = gone.map(|pod| Pod { gone: true, ready: false, ..pod.clone() }).collect::<Vec<_>>();
    changed.extend(now.values().filter(|pod| known.get(&key(pod)) != Some(pod)).cloned());
    *known = now;
    changed
}

fn told(facts: &PodFacts) -> Pod {
    let app = facts.label("app");
    let version = facts.label("version");
    // A pod is named after its Deployment, the template's hash and itself.
    let workload = facts.name.rsplitn(3, '-').last().unwrap_or(app);
    Pod {
        name: facts.name.clone(),
        namespace: facts.namespace.clone(),
        workload: workload.to_owned(),
        version: version.to_owned(),
        phase: if facts.terminating { "Terminating".into() } else { facts.phase.clone() },
        ready: facts.ready && !facts.terminating,
        restarts: facts.restarts,
        // Not being ready yet needs no reason; only what keeps it from getting there does.
        reason: facts.trouble.clone(),
        gone: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ready: bool) -> PodFacts {
        PodFacts { name: name.into(), ready, phase: "Running".into(), ..PodFacts::default() }
    }

    #[test]
    fn every_change_is_told_once() {
        let mut known = BTreeMap::new();
        let mut names = |pods: &[PodFacts]| {
            changes(&mut known, pods)
                .into_iter()
                .map(|pod| (pod.name, pod.ready, pod.gone))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[pod("web-a-b", false)]), [("web-a-b".into(), false, false)]);
        assert_eq!(names(&[pod("web-a-b", true)]), [("web-a-b".into(), true, false)]);
        assert_eq!(names(&[pod("web-a-b", true)]), []);
        assert_eq!(
            names(&[pod("web-a-c", false)]),
            [("web-a-b".into(), false, true), ("web-a-c".into(), false, false)]
        );
    }
}
