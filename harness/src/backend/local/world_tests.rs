//! The pinning world end to end: the built shop behind real Envoys, in a supervisor of this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api as Kube, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use meshquake_xds::object::Object;
use meshquake_xds::source::Place;

use serde_json::{Value, json};

use super::api::status::problems;
use super::config::Config;
use super::deployment::is_ready;
use super::kubelet::env::Image;
use super::own::status::Status;
use super::proc::Identity;
use super::site::Settings;
use super::store::pack;
use super::supervisor::Supervisor;
use super::sweep::Target;
use super::verbs::Verbs;
use super::{own, start};
use crate::parts::{self, Part};
use crate::wait::{Seen, until};
use crate::world;

const NAMESPACE: &str = "pinning";
const LIMIT: Duration = Duration::from_secs(60);

/// The shop, built by the harness as for any run, and Envoy.
fn programs() -> (PathBuf, PathBuf) {
    let images = world::build::build(&pinning(), &mut |_| {}).expect("the shop is built");
    let shop = images.values().next().and_then(|image| image.command.first()).expect("the shop's program");
    let envoy = parts::find(Part::Envoy, &|_| {}).expect("Envoy is here or can be fetched");
    (PathBuf::from(shop), envoy.path)
}

fn pinning() -> world::World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/deploy/pinning");
    let world = world::World::load(&folder.display().to_string(), None, &folder, &Place::new("test", 1));
    world.expect("the world loads")
}

fn objects() -> Vec<Object> {
    pinning().objects
}

/// The entry's route with these weights.
fn weights(v1: u32, v2: u32) -> Value {
    let to = |subset: &str, weight: u32| json!({"destination": {"host": "microservice-a", "subset": subset}, "weight": weight});
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "microservice-a"},
        "spec": {"hosts": ["*"], "gateways": ["gateway"], "http": [{"route": [to("v1", v1), to("v2", v2)]}]}})
}

struct World {
    supervisor: Supervisor,
    verbs: Verbs,
    http: reqwest::Client,
    url: String,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// A world that is ready.
async fn up(name: &str, change: impl FnOnce(&mut Vec<Object>)) -> World {
    let world = start_world(name, change).await;
    start::ready(&world.verbs, LIMIT, |_| {}).await.expect("the world is ready");
    world
}

/// One world at a time: two cores do not carry a dozen.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn start_world(name: &str, change: impl FnOnce(&mut Vec<Object>)) -> World {
    let turn = TURN.lock().await;
    let (shop, envoy) = programs();
    let mut objects = objects();
    change(&mut objects);
    let command = vec![shop.display().to_string()];
    let config = Config {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: format!("t{}-{name}", std::process::id()),
        world: "pinning".to_owned(),
        objects: objects.iter().map(pack).collect(),
        images: BTreeMap::from([("meshquake/shop:dev".to_owned(), Image { command, env: BTreeMap::new() })]),
        publish: BTreeMap::from([(80, 8000)]),
        on_localhost: false,
        envoy: Some(envoy),
        settings: Settings::default(),
        warden: false,
    };
    let supervisor = Supervisor::start(config).await.expect("the supervisor starts");
    let verbs = Verbs::new(&supervisor.socket);
    let url = supervisor.urls[&80][0].clone();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    World { supervisor, verbs, http, url, _turn: turn }
}

impl World {
    async fn line(&self) -> Result<String, String> {
        let answer = self.http.get(&self.url).send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        if status.is_success() { Ok(text) } else { Err(format!("{status} {text}")) }
    }

    fn routes(&self) -> Kube<DynamicObject> {
        let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
        Kube::namespaced_with(self.verbs.client(), NAMESPACE, &ApiResource::from_gvk(&kind))
    }

    async fn end(self) {
        let run = self.supervisor.site.run.clone();
        let folder = self.supervisor.site.folder.clone();
        self.supervisor.end().await.expect("all is taken down");
        assert!(Target::run(run).find().is_empty(), "no process is left");
        assert!(!folder.exists(), "no socket is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pinning_world_comes_up_and_goes_down() {
    let begun = Instant::now();
    let world = up("pin", |_| {}).await;
    tracing::info!(up = ?begun.elapsed(), "figure");
    for _ in 0..50 {
        let line = world.line().await.expect("an answer of 200");
        assert!(!(line.contains("v1") && line.contains("v2")), "versions are mixed: {line}");
    }
    let begun = Instant::now();
    world.end().await;
    tracing::info!(down = ?begun.elapsed(), "figure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_pod_is_replaced_and_the_world_serves_on() {
    let world = up("kill", |_| {}).await;
    let pods: Kube<Pod> = Kube::namespaced(world.verbs.client(), NAMESPACE);
    let labels = ListParams::default().labels("app=microservice-b,version=v1");
    let victim = pods.list(&labels).await.expect("pods").items.remove(0);
    let name = victim.metadata.name.clone().expect("a name");
    pods.delete(&name, &DeleteParams::default().grace_period(0)).await.expect("killed");
    let replaced = until("another pod is ready", LIMIT, async || {
        let found = pods.list(&labels).await.expect("pods").items;
        match found.as_slice() {
            [one] if is_ready(&json!(one)) && one.metadata.name.as_ref() != Some(&name) => {
                Seen::Done(one.clone())
            }
            other => Seen::NotYet(format!("{} pods", other.len())),
        }
    });
    let replacement = replaced.await.expect("replaced");
    assert_ne!(replacement.status.expect("status").pod_ip, victim.status.expect("status").pod_ip);
    world.verbs.converged(LIMIT).await.expect("everybody knows the new one");
    for _ in 0..30 {
        world.line().await.expect("an answer of 200");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applied_route_holds_from_its_return_on() {
    let world = up("apply", |_| {}).await;
    let routes = world.routes();
    for round in 0..20 {
        let (v1, v2) = if round % 2 == 0 { (100, 0) } else { (0, 100) };
        let spec = weights(v1, v2);
        let begun = Instant::now();
        routes
            .patch("microservice-a", &PatchParams::apply("test").force(), &Patch::Apply(&spec))
            .await
            .expect("applied");
        world.verbs.converged(LIMIT).await.expect("taken up");
        tracing::info!(apply = ?begun.elapsed(), "figure");
        let wanted = if round % 2 == 0 { "v1" } else { "v2" };
        for _ in 0..20 {
            let line = world.line().await.expect("an answer of 200");
            assert!(line.contains(wanted), "round {round}: {line} is of the old route");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_route_is_refused_and_changes_nothing() {
    let world = up("bad", |_| {}).await;
    let routes = world.routes();
    let before = routes.get("microservice-a").await.expect("there");
    let mut bad = weights(50, 50);
    bad["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v3".into();
    let refused =
        routes.patch("microservice-a", &PatchParams::apply("test").force(), &Patch::Apply(&bad)).await;
    let problems = problems(&refused.expect_err("no such subset")).expect("problems");
    assert!(problems.to_string().contains("v3"), "{problems}");
    assert_eq!(routes.get("microservice-a").await.expect("there"), before);

    let deployments: Kube<Deployment> = Kube::namespaced(world.verbs.client(), NAMESPACE);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "microservice-a", "image": "shop:v9"}]}}}});
    let refused = deployments.patch("microservice-a-v1", &PatchParams::default(), &Patch::Merge(image)).await;
    let problems = self::problems(&refused.expect_err("no such image")).expect("problems");
    assert!(problems.to_string().contains("what the image `shop:v9` is on this machine"), "{problems}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_sidecar_and_a_stalled_control_plane_are_got_over() {
    let world = up("sidecar", |_| {}).await;
    let status = world.verbs.status().await.expect("status");
    let pod =
        status.pods.iter().find(|pod| pod.name.starts_with("microservice-c-v2")).expect("a pod").clone();
    let victim = Identity::of(pod.sidecar_pid.expect("a sidecar")).expect("it runs");
    let handle = victim.open().expect("a handle").expect("it runs");
    rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL).expect("killed");
    until("the sidecar is back", LIMIT, async || {
        let status = world.verbs.status().await.expect("status");
        match status.pods.iter().find(|p| p.name == pod.name) {
            Some(p) if p.ready && p.sidecar_restarts == 1 && p.app_pid == pod.app_pid => Seen::Done(()),
            other => Seen::NotYet(format!("{other:?}")),
        }
    })
    .await
    .expect("the sidecar is back, and its app was left alone");
    world.verbs.converged(LIMIT).await.expect("converged");

    world.verbs.stall(Duration::from_secs(5)).await.expect("stalled");
    let spec = weights(0, 100);
    world
        .routes()
        .patch("microservice-a", &PatchParams::apply("test").force(), &Patch::Apply(&spec))
        .await
        .expect("applied");
    let behind = world.verbs.converged(Duration::from_millis(200)).await.expect_err("nobody was told");
    assert!(behind.to_string().contains("the server is paused"), "{behind}");
    world.line().await.expect("what was there goes on");
    world.verbs.converged(LIMIT).await.expect("got over");
    assert!(world.line().await.expect("an answer").contains("v2"));

    world.verbs.rotate().await.expect("rotated");
    for _ in 0..50 {
        world.line().await.expect("no request fails while certificates are renewed");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_never_gets_ready_ends_the_wait_with_its_reason() {
    let world = start_world("crash", |objects| {
        for object in
            objects.iter_mut().filter(|o| o.name() == "microservice-c-v1" && o.kind() == "Deployment")
        {
            object.value["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["no-such-service"]);
        }
    })
    .await;
    let failed = start::ready(&world.verbs, LIMIT, |_| {}).await.expect_err("it cannot be ready").to_string();
    assert!(failed.contains("pod microservice-c-v1-") && failed.contains("no-such-service"), "{failed}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_template_rolls_out_without_a_gap() {
    let world = up("roll", |_| {}).await;
    let deployments: Kube<Deployment> = Kube::namespaced(world.verbs.client(), NAMESPACE);
    let before = world.verbs.status().await.expect("status");
    let old = |status: &Status| -> Vec<String> {
        let pods = status.pods.iter().filter(|pod| pod.name.starts_with("microservice-b-v1"));
        pods.map(|pod| pod.name.clone()).collect()
    };
    let gone = old(&before).remove(0);
    let label = json!({"spec": {"template": {"metadata": {"labels": {"round": "two"}}}}});
    deployments
        .patch("microservice-b-v1", &PatchParams::default(), &Patch::Merge(label))
        .await
        .expect("patched");
    until("only the new pod is left", LIMIT, async || {
        // There is a ready pod at any time, so the callers' retries find it.
        if let Err(failed) = world.line().await {
            return Seen::Never(failed);
        }
        let status = world.verbs.status().await.expect("status");
        let done = status.deployments.iter().all(|d| d.complete && d.ready == d.wanted);
        match old(&status).as_slice() {
            [one] if *one != gone && done => Seen::Done(()),
            others => Seen::NotYet(others.join(", ")),
        }
    })
    .await
    .expect("rolled out");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_wrote_down_is_taken_back_when_it_is_gone() {
    static TAKEN_BACK: std::sync::Mutex<Vec<Value>> = std::sync::Mutex::new(Vec::new());
    own::take_back_by(|_, undo| {
        Box::pin(async move {
            TAKEN_BACK.lock().expect("not poisoned").push(undo);
            Ok("done".to_owned())
        })
    });
    let world = up("lease", |_| {}).await;
    let lease = world.verbs.lease().await.expect("a lease");
    let finished = world.verbs.write_down(json!("finished"), Some(lease.number)).await.expect("written");
    world.verbs.write_down(json!("first"), Some(lease.number)).await.expect("written");
    world.verbs.write_down(json!("second"), Some(lease.number)).await.expect("written");
    world.verbs.write_down(json!("of another client"), None).await.expect("written");
    world.verbs.cross_off(finished).await.expect("crossed off");
    let journal = world.supervisor.site.journal.clone();
    assert_eq!(journal.open_intents().len(), 3);
    drop(lease);
    until("taken back", LIMIT, async || match journal.open_intents().len() {
        1 => Seen::Done(()),
        open => Seen::NotYet(format!("{open} open")),
    })
    .await
    .expect("taken back");
    assert_eq!(*TAKEN_BACK.lock().expect("not poisoned"), [json!("second"), json!("first")]);
    world.end().await;
}
