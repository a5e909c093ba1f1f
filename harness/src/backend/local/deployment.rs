//! The Deployment controller: how many pods of which template there should be, and which go first.
//!
//! There are no ReplicaSets: a pod knows its Deployment by owner and its template by the label `pod-template-hash`.
//! [`plan`] is pure; [`reconcile`] carries its steps out and writes the status.

use std::sync::Arc;

use meshquake_xds::object::{Object, Places};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::api::terminate;
use super::store::kind::{DEPLOYMENT, POD};
use super::store::{Draft, Entry, Error, Key, Store, draft};

/// The letters and digits of generated names, as in Kubernetes: no vowels, so no words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const HASH_LABEL: &str = "pod-template-hash";

/// A pod as the controller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    name: String,
    current: bool,
    ready: bool,
}

/// What to do next; the rest follows when its outcome is seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Steps {
    create: usize,
    delete: Vec<String>,
}

/// How far a rolling update may go above and below the wanted number.
#[derive(Clone, Copy, Debug)]
struct Rollout {
    recreate: bool,
    surge: usize,
    unavailable: usize,
}

impl Rollout {
    fn of(spec: &Value, replicas: usize) -> Self {
        let rolling = &spec["strategy"]["rollingUpdate"];
        let share = |value: &Value, up: bool| match value {
            Value::Number(number) => number.as_u64().unwrap_or(0) as usize,
            text => {
                let text = text.as_str().unwrap_or("25%").trim_end_matches('%');
                let part = replicas * text.parse::<usize>().unwrap_or(25);
                if up { part.div_ceil(100) } else { part / 100 }
            }
        };
        let surge = share(&rolling["maxSurge"], true);
        let unavailable = share(&rolling["maxUnavailable"], false);
        let stuck = surge == 0 && unavailable == 0;
        let recreate = spec["strategy"]["type"] == "Recreate";
        Self { recreate, surge, unavailable: if stuck { 1 } else { unavailable } }
    }
}

/// The next steps towards `replicas` pods of the current template. `members` are those not yet ending, oldest first.
fn plan(replicas: usize, rollout: Rollout, members: &[Member]) -> Steps {
    let (new, old): (Vec<&Member>, Vec<&Member>) = members.iter().partition(|m| m.current);
    if new.len() > replicas {
        // Those that serve nobody go first, then the youngest.
        let mut surplus = new.clone();
        surplus.reverse();
        surplus.sort_by_key(|m| m.ready);
        let delete = surplus.iter().take(new.len() - replicas).map(|m| m.name.clone()).collect();
        return Steps { create: 0, delete };
    }
    let missing = replicas - new.len();
    if old.is_empty() {
        return Steps { create: missing, delete: Vec::new() };
    }
    if rollout.recreate {
        return Steps { create: 0, delete: old.iter().map(|m| m.name.clone()).collect() };
    }
    let room = (replicas + rollout.surge).saturating_sub(members.len());
    let ready = members.iter().filter(|m| m.ready).count();
    let mut spare = ready.saturating_sub(replicas.saturating_sub(rollout.unavailable));
    let mut delete = Vec::new();
    for member in &old {
        if !member.ready {
            delete.push(member.name.clone());
        } else if spare > 0 {
            spare -= 1;
            delete.push(member.name.clone());
        }
    }
    Steps { create: missing.min(room), delete }
}

/// Follows the store until its end and keeps every Deployment as it should be.
pub async fn control(store: Store) {
    let mut versions = store.versions();
    let mut seen = None;
    loop {
        let now = [store.all(&POD), store.all(&DEPLOYMENT)].concat();
        // Most changes are none of this controller's business.
        let is_mine = !seen.is_some_and(|seen: Vec<_>| Entry::are_same(&seen, &now));
        if is_mine && let Err(error) = reconcile(&store) {
            tracing::error!(%error, "Deployments cannot be reconciled");
        }
        seen = Some(now);
        if versions.changed().await.is_err() {
            return;
        }
    }
}

/// Takes one step for every Deployment and updates its status. What it does changes the store, so it is called again.
pub fn reconcile(store: &Store) -> Result<(), Error> {
    let pods = store.all(&POD);
    let deployments = store.all(&DEPLOYMENT);
    store.transact(|draft| {
        for deployment in &deployments {
            step(draft, deployment, &pods)?;
        }
        let alive = |uid: &Value| deployments.iter().any(|d| &d.value()["metadata"]["uid"] == uid);
        for pod in pods.iter().filter(|pod| !is_ending(pod)) {
            let owner = &pod.value()["metadata"]["ownerReferences"][0]["uid"];
            if !owner.is_null() && !alive(owner) {
                terminate(draft, &key_of(pod), None)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn step(draft: &mut Draft, deployment: &Arc<Entry>, pods: &[Arc<Entry>]) -> Result<(), Error> {
    let value = deployment.value();
    let hash = template_hash(&value["spec"]["template"]);
    let uid = &value["metadata"]["uid"];
    let mut owned: Vec<&Arc<Entry>> = pods
        .iter()
        .filter(|pod| &pod.value()["metadata"]["ownerReferences"][0]["uid"] == uid && !is_ending(pod))
        .collect();
    owned.sort_by_key(|pod| pod.value()["metadata"]["annotations"][ORDER].as_str().map(str::to_owned));
    let members: Vec<Member> = owned
        .iter()
        .map(|pod| Member {
            name: pod.object.name().to_owned(),
            current: pod.value()["metadata"]["labels"][HASH_LABEL] == hash.as_str(),
            ready: is_ready(pod.value()),
        })
        .collect();
    let replicas = value["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
    let steps = plan(replicas, Rollout::of(&value["spec"], replicas), &members);
    for name in &steps.delete {
        terminate(draft, &Key::new(&POD, deployment.object.namespace(), name), None)?;
    }
    for _ in 0..steps.create {
        let pod = pod_of(deployment, &hash);
        let key = Key::new(&POD, deployment.object.namespace(), pod.name());
        draft.create(key, pod, "deployment-controller")?;
    }
    let key = Key::new(&DEPLOYMENT, deployment.object.namespace(), deployment.object.name());
    let done = steps == Steps::default();
    draft.adjust(&key, |live| {
        let status = status(live, replicas, &members, done);
        live["status"] = status;
    })?;
    Ok(())
}

/// Sorts pods by age: their names are random and their timestamps have whole seconds.
const ORDER: &str = "meshquake.dev/order";

fn pod_of(deployment: &Entry, hash: &str) -> Object {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let value = deployment.value();
    let template = &value["spec"]["template"];
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment.object.name(),
        "uid": value["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]);
    let suffix = letters(&Sha256::digest(format!("{}{count}{}", value["metadata"]["uid"], draft::now())), 5);
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{}-{hash}-{suffix}", deployment.object.name()),
            "namespace": deployment.object.namespace(), "ownerReferences": owner,
            "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"]},
        "spec": template["spec"], "status": {"phase": "Pending"}});
    pod["metadata"]["labels"][HASH_LABEL] = hash.into();
    pod["metadata"]["annotations"][ORDER] = format!("{count:08}").into();
    let root = deployment.object.place("/spec/template").clone();
    let mut places = Places::new(root);
    for (pointer, place) in deployment.object.places.iter() {
        if let Some(inner) = pointer.strip_prefix("/spec/template") {
            places.set(inner, place.clone());
        }
    }
    Object { value: pod, places }
}

fn status(live: &Value, replicas: usize, members: &[Member], done: bool) -> Value {
    let count = |wanted: fn(&Member) -> bool| members.iter().filter(|m| wanted(m)).count();
    let (updated, ready) = (count(|m| m.current), count(|m| m.ready));
    let complete = done && updated == replicas && count(|m| m.current && m.ready) == replicas;
    let old = &live["status"]["conditions"];
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let state = if holds { "True" } else { "False" };
        let before = old.as_array().into_iter().flatten().find(|c| c["type"] == kind);
        let since = before.filter(|c| c["status"] == state).map(|c| c["lastTransitionTime"].clone());
        json!({"type": kind, "status": state, "reason": reason, "message": message,
            "lastTransitionTime": since.unwrap_or_else(|| draft::now().into())})
    };
    let (progress, said) = match complete {
        true => ("NewReplicaSetAvailable", "all pods of the current template are available"),
        false => ("ReplicaSetUpdated", "pods are being started or ended"),
    };
    let available = ready >= replicas;
    let reason = if available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" };
    json!({"observedGeneration": live["metadata"]["generation"], "replicas": members.len(),
    "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready,
    "unavailableReplicas": replicas.saturating_sub(ready),
    "conditions": [
        condition("Available", available, reason, &format!("{ready} of {replicas} pods are ready")),
        condition("Progressing", true, progress, said),
    ]})
}

/// Whether a pod has its condition `Ready`.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Whether a pod has been told to end.
pub fn is_ending(pod: &Entry) -> bool {
    !pod.value()["metadata"]["deletionTimestamp"].is_null()
}

fn key_of(pod: &Entry) -> Key {
    Key::new(&POD, pod.object.namespace(), pod.object.name())
}

fn template_hash(template: &Value) -> String {
    letters(&Sha256::digest(sorted(template).to_string()), 9)
}

/// The order of fields is not part of a template.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect()
        }
        Value::Array(members) => members.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}

/// A name's random-looking part.
pub fn letters(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` new, `o` old; a capital is ready. Oldest first.
    fn members(text: &str) -> Vec<Member> {
        let member = |(at, c): (usize, char)| Member {
            name: format!("{c}{at}"),
            current: c.eq_ignore_ascii_case(&'n'),
            ready: c.is_ascii_uppercase(),
        };
        text.chars().enumerate().map(member).collect()
    }

    #[test]
    fn the_steps_of_a_rollout() {
        let rolling = |replicas| Rollout::of(&json!({}), replicas);
        let none = json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}});
        let recreate = json!({"strategy": {"type": "Recreate"}});
        let cases: [(&str, usize, Rollout, usize, &[&str]); 10] = [
            ("", 3, rolling(3), 3, &[]),
            ("NN", 2, rolling(2), 0, &[]),
            ("NNn", 1, rolling(1), 0, &["n2", "N1"]),
            ("NN", 0, rolling(0), 0, &["N1", "N0"]),
            ("OOOO", 4, rolling(4), 1, &["O0"]),
            ("O", 1, rolling(1), 1, &[]),
            ("On", 1, rolling(1), 0, &[]),
            ("ON", 1, rolling(1), 0, &["O0"]),
            ("O", 1, Rollout::of(&none, 1), 0, &["O0"]),
            ("OO", 2, Rollout::of(&recreate, 2), 0, &["O0", "O1"]),
        ];
        for (have, replicas, rollout, create, delete) in cases {
            let expected = Steps { create, delete: delete.iter().map(|n| (*n).to_owned()).collect() };
            assert_eq!(plan(replicas, rollout, &members(have)), expected, "{have} towards {replicas}");
        }
    }

    #[test]
    fn a_hash_is_of_the_content_not_of_its_order() {
        let one = template_hash(&json!({"a": 1, "b": {"c": 2, "d": 3}}));
        let two = template_hash(&json!({"b": {"d": 3, "c": 2}, "a": 1}));
        assert_eq!(one, two);
        assert_ne!(one, template_hash(&json!({"a": 1})));
    }

    #[test]
    fn a_deployment_gets_its_pods_and_a_killed_one_is_replaced() {
        let store = Store::new(|_| Ok(None));
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}]}}}});
        let object = super::super::store::unpack(deployment, "test");
        store.transact(|draft| draft.apply(draft.key_of(&object, None)?, &object, "t", false)).unwrap();
        reconcile(&store).unwrap();
        let names = || -> Vec<String> {
            store.all(&POD).iter().filter(|p| !is_ending(p)).map(|p| p.object.name().to_owned()).collect()
        };
        let first = names();
        assert_eq!(first.len(), 2);
        assert!(first[0].starts_with("web-"));
        reconcile(&store).unwrap();
        assert_eq!(names(), first, "nothing to do");

        let victim = Key::new(&POD, "default", &first[0]);
        store.transact(|draft| terminate(draft, &victim, Some(0))).unwrap();
        reconcile(&store).unwrap();
        let second = names();
        assert_eq!(second.len(), 2);
        assert!(!second.contains(&first[0]), "a replacement has a name of its own");

        store.transact(|draft| draft.delete(&Key::new(&DEPLOYMENT, "default", "web"))).unwrap();
        reconcile(&store).unwrap();
        assert!(names().is_empty());
    }
}
