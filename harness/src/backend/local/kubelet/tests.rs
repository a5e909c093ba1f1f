//! Pods as real processes, without sidecars: a shell plays the app.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::backend::local::api::terminate;
use crate::backend::local::deployment::{self, is_ready};
use crate::backend::local::journal::{Header, Journal};
use crate::backend::local::net::Slice;
use crate::backend::local::site::Settings;
use crate::backend::local::spawn::Spawner;
use crate::backend::local::store::kind::{DEPLOYMENT, EVENT};
use crate::backend::local::store::{Store, unpack};
use crate::backend::local::sweep::Target;
use crate::wait::{Seen, until};

const LIMIT: Duration = Duration::from_secs(60);

struct World {
    site: Arc<Site>,
    tasks: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

async fn world(name: &str, deployment: Value) -> World {
    let folder = tempfile::tempdir().unwrap();
    let run = format!("t{}-{name}", std::process::id());
    let (slice, _) = Slice::take().unwrap();
    let header = Header::of_self(&run, "test", slice.number(), folder.path()).unwrap();
    let journal = Journal::create(folder.path(), header).unwrap();
    let site = Arc::new(Site {
        run,
        store: Store::new(|_| Ok(None)),
        folder: folder.path().to_owned(),
        logs: folder.path().to_owned(),
        images: BTreeMap::new(),
        spawner: Spawner::start().unwrap(),
        journal: Arc::new(journal),
        addresses: Mutex::new(slice.addresses()),
        slice,
        settings: Settings { backoff: Duration::from_secs(600), ..Settings::default() },
        stop: CancellationToken::new(),
        mesh: None,
    });
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {}});
    for object in [service, deployment].map(|object| unpack(object, "test")) {
        site.store.transact(|draft| draft.apply(draft.key_of(&object, None)?, &object, "t", false)).unwrap();
    }
    let tasks =
        vec![tokio::spawn(deployment::control(site.store.clone())), tokio::spawn(control(site.clone()))];
    World { site, tasks, _folder: folder }
}

impl World {
    fn pods(&self) -> Vec<Value> {
        self.site.store.all(&POD).iter().map(|pod| pod.value().clone()).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(what, LIMIT, async || {
            let pods = self.pods();
            if holds(&pods) { Seen::Done(pods) } else { Seen::NotYet(format!("{pods:#?}")) }
        })
        .await
        .unwrap()
    }

    fn processes(&self) -> usize {
        Target::run(&self.site.run).find().len()
    }

    async fn end(mut self) {
        self.site.stop.cancel();
        self.tasks.pop().unwrap().await.unwrap();
        assert_eq!(self.processes(), 0, "nothing runs when the kubelet has ended");
        self.tasks.pop().unwrap().abort();
    }
}

fn app(script: &str, more: Value) -> Value {
    let mut container = json!({"name": "app", "image": "none", "command": ["/bin/sh", "-c", script]});
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]}}}})
}

#[tokio::test]
async fn a_killed_pod_comes_back_under_a_new_name_and_address() {
    let ready = json!({"readinessProbe": {"exec": {"command": ["true"]}}});
    let world = world("kill", app("cat $MESHQUAKE_HOSTS; exec sleep 600", ready)).await;
    let all_ready = |pods: &[Value]| pods.len() == 1 && is_ready(&pods[0]);
    let first = world.until("the pod is ready", all_ready).await.remove(0);
    let name = first["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(world.processes(), 1);
    let log = std::fs::read_to_string(world.site.log("default", &name, "app")).unwrap();
    assert!(log.contains(" web.default.svc.cluster.local web.default.svc web.default web\n"), "{log}");

    let key = Key::new(&POD, "default", &name);
    world.site.store.transact(|draft| terminate(draft, &key, Some(0))).unwrap();
    let other = |pods: &[Value]| all_ready(pods) && pods[0]["metadata"]["name"] != name.as_str();
    let second = world.until("another pod is ready", other).await.remove(0);
    assert_ne!(first["status"]["podIP"], second["status"]["podIP"]);
    let available =
        world.site.store.all(&DEPLOYMENT).remove(0).value()["status"]["availableReplicas"].clone();
    assert_eq!(available, 1);
    world.end().await;
}

#[tokio::test]
async fn an_app_that_dies_says_why() {
    let world = world("crash", app("echo cannot find the moon; exit 3", json!({}))).await;
    let crashed = |pods: &[Value]| {
        pods[..].first().is_some_and(|pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
    };
    let pod = world.until("the pod is in its back-off", crashed).await.remove(0);
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1, "the first restart comes at once");
    assert_eq!(
        status["state"]["waiting"]["message"],
        "back-off 600s: it exited with 3; its last lines:\ncannot find the moon"
    );
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    let events: BTreeSet<String> = world
        .site
        .store
        .all(&EVENT)
        .iter()
        .map(|e| format!("{}×{} {}", e.value()["count"], e.value()["reason"], e.value()["message"]))
        .collect();
    assert_eq!(
        events.iter().map(String::as_str).collect::<Vec<_>>(),
        [r#"2×"BackOff" "the app exited with 3""#]
    );
    world.end().await;
}

#[tokio::test]
async fn an_app_may_end_in_its_own_time() {
    let script = "trap 'echo ending; exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let world = world("grace", app(script, json!({}))).await;
    let up = |pods: &[Value]| pods.len() == 1 && is_ready(&pods[0]);
    let pod = world.until("the pod is ready", up).await.remove(0);
    let name = pod["metadata"]["name"].as_str().unwrap();
    let log = world.site.log("default", name, "app");
    let said = async |line: &str| {
        until(line, LIMIT, async || match std::fs::read_to_string(&log) {
            Ok(text) if text.contains(line) => Seen::Done(()),
            other => Seen::NotYet(format!("{other:?}")),
        })
        .await
        .unwrap();
    };
    said("up").await;
    world.site.store.transact(|draft| draft.delete(&Key::new(&DEPLOYMENT, "default", "web"))).unwrap();
    said("ending").await;
    world.until("no pod is left", <[Value]>::is_empty).await;
    world.end().await;
}

#[tokio::test]
async fn a_dead_app_is_found_by_its_liveness_probe() {
    let folder = tempfile::tempdir().unwrap();
    let sick = folder.path().join("sick");
    let test = format!("! test -e {}", sick.display());
    let probe = json!({"livenessProbe": {"exec": {"command": ["sh", "-c", test]}, "periodSeconds": 1,
        "failureThreshold": 1}});
    let script = "exec sleep 600";
    let world = world("live", app(script, probe)).await;
    world.until("the pod is ready", |pods| pods.len() == 1 && is_ready(&pods[0])).await;
    std::fs::write(&sick, "").unwrap();
    let restarted =
        |pods: &[Value]| pods[0]["status"]["containerStatuses"][0]["restartCount"].as_i64() >= Some(1);
    world.until("the app is restarted", restarted).await;
    world.end().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut deployment = app("", json!({}));
    deployment["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["/no/such/program"]);
    let world = world("gone", deployment).await;
    let failed = |pods: &[Value]| {
        let message = pods[..].first().map(|pod| pod["status"]["containerStatuses"][0]["state"].to_string());
        message.is_some_and(|text| text.contains("cannot start /no/such/program"))
    };
    world.until("the failure is shown", failed).await;
    world.end().await;
}
