//! Load from inside the cluster: the Job `load-test` completes where everything gets a sidecar, can be read meanwhile,
//! and leaves nothing behind, however the run ends.

use std::path::Path;
use std::sync::mpsc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use meshquake::backend::objects::ObjectRef;
use rustix::process::Signal;
use serde_json::Value;

use crate::site::{PATIENCE, Site};
use crate::support;
use crate::under_way::UnderWay;
use crate::until::until;

const SHARED: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: shared
about: Two workers in the cluster, and nothing else happens.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 20/s, for: LENGTH, warm-up: 1s, workers: 2}
timeline: []
objectives:
  - name: every line is unmixed
    run: {success: {journey: chain}, at-least: 100%, min-samples: 20}
"#;

const NAMESPACE: &str = "pinning";

fn shared(length: &str) -> String {
    SHARED.replace("LENGTH", length)
}

/// The pods of the workers, by their index.
fn workers(site: &Site) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(site.client(), NAMESPACE);
    let ours = ListParams::default().labels("app=load-test");
    let mut pods = site.wait(pods.list(&ours)).expect("the API answers").items;
    pods.sort_by_key(|pod| pod.metadata.name.clone());
    pods
}

pub fn load_in_a_namespace_with_injection(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = statuses(site);
    let mut run = UnderWay::begin(site, folder.path(), "whole", &shared("8s"), &["--keep"]);
    run.under_load();
    let namespace = site.namespace(NAMESPACE).expect("that of the world");
    let labels = namespace.metadata.labels.unwrap_or_default();
    assert_eq!(labels.get("istio-injection").map(String::as_str), Some("enabled"));
    let pods = workers(site);
    assert_eq!(pods.len(), 2, "{pods:?}");
    for pod in &pods {
        let spec = pod.spec.as_ref().expect("a spec");
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        assert_eq!(containers.map(|container| container.name.as_str()).collect::<Vec<_>>(), ["worker"]);
    }
    // What anybody can read meanwhile.
    let logs = site.ends(&["logs", "load-test-0"], 0);
    let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
    assert!(logs.lines().any(|line| line.starts_with("{\"second\":")), "{logs}");
    run.held();
    let states: Vec<Value> = seen.try_iter().collect();
    let last = states.iter().rfind(|job| is_complete(job));
    let last = last.unwrap_or_else(|| panic!("it never was complete: {states:?}"));
    assert_eq!(last["status"]["succeeded"], 2, "{last}");
    no_job(site);

    // The world is still up: the next load is ended in its middle, and leaves no Job either.
    let mut again = UnderWay::begin(site, folder.path(), "ended", &shared("90s"), &["--world-up"]);
    again.under_load();
    again.begun.signal(Signal::INT);
    assert_eq!(again.begun.end(), Some(130), "{}", again.events());
    no_job(site);
    site.ends(&["down"], 0);
    site.no_world();
}

pub fn a_load_worker_that_dies(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = UnderWay::begin(site, folder.path(), "dying", &shared("10s"), &[]);
    run.under_load();
    let victim = workers(site)[1].metadata.name.clone().expect("a name");
    let pods: Api<Pod> = Api::namespaced(site.client(), NAMESPACE);
    site.wait(pods.delete(&victim, &DeleteParams::default().grace_period(0))).expect("deleted");
    assert_eq!(run.begun.end(), Some(11), "{}", run.events());
    assert!(run.events().contains("load worker 1 was lost: "), "{}", run.events());
    // The other one went on to the end with its half.
    let sent = run.told("load-ended")[0]["sent"].as_u64().unwrap_or(0);
    assert!((100..200).contains(&sent), "{sent} of 200 were sent");
    site.no_world();
}

/// A world that lies in nobody's workspace, of an image that the cluster has: the workers are the program that runs here.
pub fn load_on_a_strangers_world(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let world = folder.path().join("stranger");
    strangers(&world, &shop(site));
    let scenario = shared("5s").replace("WORLD", &world.display().to_string());
    let mut run = UnderWay::begin(site, folder.path(), "strange", &scenario, &[]);
    run.held();
    assert_eq!(run.told("load-ended")[0]["sent"], 100, "{}", run.events());
    site.no_world();
}

/// The name under which the cluster has the shop's image.
fn shop(site: &Site) -> String {
    site.ends(&["up", "pinning"], 0);
    let deployment = ObjectRef::new("apps/v1", "Deployment", NAMESPACE, "microservice-a-v1");
    let deployment = site.get(&deployment).expect("it is up");
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().map(str::to_owned);
    site.ends(&["down"], 0);
    site.no_world();
    image.expect("an image")
}

/// The pinning world as somebody has it who only knows the name of its image.
fn strangers(to: &Path, image: &str) {
    let from = support::root().join("services/deploy/pinning");
    for folder in ["", "base", "journeys"] {
        std::fs::create_dir_all(to.join(folder)).expect("a folder");
        for file in
            std::fs::read_dir(from.join(folder)).expect("it is there").map(|file| file.expect("a file"))
        {
            if file.path().is_dir() {
                continue;
            }
            let mut text = std::fs::read_to_string(file.path()).expect("a text");
            if file.file_name() == "world.yaml" {
                let (start, rest) = text.split_once("images:\n").expect("it says how the shop is built");
                let (_, rest) = rest.split_once("publish:").expect("and what comes then");
                text = format!("{start}images: {{}}\npublish:{rest}");
            }
            let text = text.replace("meshquake/shop:dev", image);
            std::fs::write(to.join(folder).join(file.file_name()), text).expect("written");
        }
    }
}

fn is_complete(job: &Value) -> bool {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|one| one["type"] == "Complete" && one["status"] == "True")
}

fn no_job(site: &Site) {
    let job = ObjectRef::new("batch/v1", "Job", NAMESPACE, "load-test");
    until("no Job", PATIENCE, || site.get(&job).map_or(Ok(()), |left| Err(left["status"].to_string())));
}

/// Every state of the Job, as a watch sees them.
fn statuses(site: &Site) -> mpsc::Receiver<Value> {
    let (told, seen) = mpsc::channel();
    let jobs: Api<Job> = Api::all(site.client());
    site.spawn(async move {
        let only = watcher::Config::default().fields("metadata.name=load-test");
        let mut changes = watcher(jobs, only).default_backoff().touched_objects().boxed();
        while let Ok(Some(job)) = changes.try_next().await {
            if told.send(serde_json::to_value(&job).expect("a Job is JSON")).is_err() {
                return;
            }
        }
    });
    seen
}
