//! The pinning world end to end: the built shop behind real Envoys, in a supervisor of this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meshquake_xds::object::Object;
use meshquake_xds::source::Place;

use super::config::Config;
use super::kubelet::env::Image;
use super::site::Settings;
use super::start;
use super::store::pack;
use super::supervisor::Supervisor;
use super::sweep::Target;
use super::verbs::Verbs;
use crate::parts::{self, Part};
use crate::world;

const LIMIT: Duration = Duration::from_secs(60);

/// The shop, built as the harness builds it, and Envoy.
fn programs() -> (PathBuf, PathBuf) {
    let built = std::process::Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "shop"]).status();
    assert!(built.expect("cargo runs").success(), "the shop is built");
    let own = std::env::current_exe().expect("this program");
    let shop = own.ancestors().skip(1).take(3).map(|folder| folder.join("shop")).find(|path| path.is_file());
    let envoy = parts::find(Part::Envoy, &|_| {}).expect("Envoy is here or can be fetched");
    (shop.expect("the shop lies beside this program"), envoy.path)
}

fn objects() -> Vec<Object> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/deploy/pinning");
    let world = world::World::load(&folder.display().to_string(), None, &folder, &Place::new("test", 1));
    world.expect("the world loads").objects
}

struct World {
    supervisor: Supervisor,
    verbs: Verbs,
    http: reqwest::Client,
    url: String,
}

async fn up(name: &str, change: impl FnOnce(&mut Vec<Object>)) -> World {
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
    World { supervisor, verbs, http, url }
}

impl World {
    async fn line(&self) -> Result<String, String> {
        let answer = self.http.get(&self.url).send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        if status.is_success() { Ok(text) } else { Err(format!("{status} {text}")) }
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
    let world = up("pin", |_| {}).await;
    let begun = Instant::now();
    start::ready(&world.verbs, LIMIT, |_| {}).await.expect("the world is ready");
    let ready = begun.elapsed();
    for _ in 0..50 {
        let line = world.line().await.expect("an answer of 200");
        assert!(!(line.contains("v1") && line.contains("v2")), "versions are mixed: {line}");
    }
    let begun = Instant::now();
    world.end().await;
    tracing::info!(?ready, down = ?begun.elapsed(), "figures of the pinning world");
}
