//! A world that is up on one backend, and one way to make a call in it: by a pod, by a client at the gateway, or by
//! somebody outside the mesh.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use meshquake::backend::call::{Call, Failed, Told};
use meshquake::backend::chaos::{Address, Switch};
use meshquake::backend::cluster::Begun;
use meshquake::backend::cluster::forward::Forward;
use meshquake::backend::cluster::settings::Settings;
use meshquake::backend::objects::{ObjectRef, PodFacts, said};
use meshquake::backend::{self, Backend, Choice, Images, Site};
use meshquake::problem::Place;
use meshquake::wait::{self, Seen};
use meshquake::world::{Deployment, Layout, World};
use serde_json::json;
use tempfile::TempDir;

use crate::calls::{Asked, Caller, Target};

const WORLD: &str = "pinning";
const OUTSIDE: &str = "outside";
/// Where a sidecar tells of itself.
const ADMIN: u16 = 15000;
const ADMIN_LIMIT: Duration = Duration::from_secs(5);
/// How long a pod may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long the proxies may take to acknowledge a change.
const CONVERGE_LIMIT: Duration = Duration::from_secs(30);
/// How long a call may take, several tries of the shop's own included.
const CALL_LIMIT_MS: u64 = 10_000;

pub struct Stage {
    pub backend: Backend,
    pub world: World,
    outside: Outside,
    _folder: TempDir,
}

/// Where calls without a sidecar come from.
struct Outside {
    switch: Switch,
    /// On `local`, a process of ours; in a cluster, a pod that goes with its namespace.
    _process: Option<tokio::process::Child>,
}

/// Whom to ask for calls, and where the pods are, at this moment.
pub struct Cast {
    switches: BTreeMap<(String, String), Switch>,
    addresses: BTreeMap<(String, String), String>,
}

impl Stage {
    pub async fn up(backend: &'static str, layout: Layout) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let choice = match backend {
            "local" => Choice::Local,
            "kind" => Choice::Kind,
            "k3d" => Choice::K3d,
            other => return Err(format!("there is no backend `{other}`")),
        };
        let file = std::env::var_os("MESHQUAKE_CONFIG");
        let settings =
            Settings::find(file.as_deref().map(Path::new)).map_err(|problems| format!("{problems:?}"))?;
        let world = World::laid(layout, WORLD, None, &crate::support::root(), &Place::new("parity", 1))
            .map_err(|problems| format!("{problems:?}"))?;
        let images = backend::build(&choice, &world, |_| {}).await?;
        let site = Site {
            world: &world,
            images: &images,
            folder: folder.path(),
            on_localhost: false,
            workers: false,
            settings: &settings,
            begun: &Begun::default(),
        };
        let backend = Backend::up(&choice, site, &|_| {}).await.map_err(|error| error.to_string())?;
        match outside(&backend, &world, &images, folder.path()).await {
            Ok(outside) => Ok(Self { backend, world, outside, _folder: folder }),
            Err(why) => {
                backend.down().await?;
                Err(why)
            }
        }
    }

    /// What Envoy the world's sidecars are, where they are not ours; nothing where nobody says.
    pub async fn sidecars_envoy(&self) -> Option<String> {
        let Backend::Cluster(cluster) = &self.backend else { return None };
        let deployment = self.world.deployments().into_iter().next()?;
        let pods = self.backend.objects().pods(&deployment.namespace, &deployment.labels).await.ok()?;
        let client = cluster.ground().client.clone();
        let admin = Forward::new(client, &deployment.namespace, &pods.first()?.name, ADMIN);
        let told: serde_json::Value =
            serde_json::from_slice(&admin.get("/server_info", ADMIN_LIMIT).await.ok()?).ok()?;
        // revision/version/how it was built
        Some(told["version"].as_str()?.split('/').nth(1)?.to_owned())
    }

    pub async fn converged(&self) -> Result<(), String> {
        self.backend.converged(CONVERGE_LIMIT).await
    }

    /// Who plays in the calls to come. A Deployment without a pod is nobody's caller and nobody's target.
    pub async fn cast(&self) -> Result<Cast, String> {
        let (mut switches, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for deployment in self.world.deployments() {
            let pods = self.backend.objects().pods(&deployment.namespace, &deployment.labels).await;
            let pods = pods.map_err(|error| error.to_string())?;
            let Some(pod) = pods.into_iter().find(|pod| pod.ready && !pod.terminating) else { continue };
            let key = (deployment.namespace, deployment.name);
            let switch = self.backend.chaos(&pod).await.map_err(|error| error.to_string())?;
            switches.insert(key.clone(), switch);
            addresses.extend(pod.ip.map(|ip| (key, ip)));
        }
        Ok(Cast { switches, addresses })
    }

    /// Makes the call; nothing where its caller or its target has no pod at present.
    pub async fn ask(&self, asked: &Asked, cast: &Cast) -> Option<Result<Told, String>> {
        let key = |namespace: &String, name: &String| (namespace.clone(), name.clone());
        let authority = match &asked.target {
            Target::Service { .. } => asked.authority(),
            Target::Pod { namespace, name, port } => {
                format!("{}:{port}", cast.addresses.get(&key(namespace, name))?)
            }
            Target::Gateway => String::new(),
        };
        let mut call = Call::new(&asked.method, format!("http://{authority}{}", asked.path));
        call.within_ms = CALL_LIMIT_MS;
        if let Some(host) = &asked.host {
            call = call.header("host", host);
        }
        let told = match &asked.caller {
            Caller::Client => return Some(at_the_gateway(self.backend.entry(), asked).await),
            Caller::Outside => self.outside.switch.call(&call).await,
            Caller::Workload { namespace, name } => {
                cast.switches.get(&key(namespace, name))?.call(&call).await
            }
        };
        Some(told.map_err(|error| format!("{asked}: {}", meshquake::error::chain(&error))))
    }
}

async fn at_the_gateway(entry: &str, asked: &Asked) -> Result<Told, String> {
    let limit = Duration::from_millis(CALL_LIMIT_MS);
    let client =
        reqwest::Client::builder().no_proxy().timeout(limit).build().map_err(|error| error.to_string())?;
    let method = asked.method.parse().map_err(|error| format!("{asked}: {error}"))?;
    let mut request = client.request(method, format!("{}{}", entry.trim_end_matches('/'), asked.path));
    if let Some(host) = &asked.host {
        request = request.header("host", host);
    }
    let failed = |error: reqwest::Error| {
        let kind = match () {
            () if error.is_timeout() => Failed::Timeout,
            () if error.is_connect() => Failed::Unreachable,
            () => Failed::Broken,
        };
        Told::Failure { error: kind, detail: error.to_string() }
    };
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Ok(failed(error)),
    };
    let status = answer.status().as_u16();
    Ok(match answer.text().await {
        Ok(body) => Told::Answer { status, headers: BTreeMap::new(), body },
        Err(error) => failed(error),
    })
}

/// The last one that anybody calls needs nobody else: the same program as there, without a sidecar.
async fn outside(
    backend: &Backend,
    world: &World,
    images: &Images,
    folder: &Path,
) -> Result<Outside, String> {
    let (_, app) = world.calls.last().ok_or("nobody calls anybody in this world")?;
    let deployments = world.deployments();
    let like = deployments.iter().find(|one| one.app() == app).ok_or("the last app has no Deployment")?;
    match backend {
        Backend::Local(_) => process(like, images, folder).await,
        Backend::Cluster(_) => pod(backend, like).await,
    }
}

async fn process(like: &Deployment, images: &Images, folder: &Path) -> Result<Outside, String> {
    let image = like.images.first().and_then(|image| images.get(image)).ok_or("its image is not built")?;
    let (program, words) = image.command.split_first().ok_or("its image has no command")?;
    let socket = folder.join("outside.sock");
    let process = tokio::process::Command::new(program)
        .args(words)
        .arg(like.app())
        .env_clear()
        .envs([("STACK", like.version()), ("PORT", "0"), ("BIND_IP", "127.0.0.1")])
        .env("CHAOS_ADDR", format!("unix:{}", socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let switch = Switch::at(OUTSIDE, &Address::Unix(socket)).map_err(|error| error.to_string())?;
    answering(&switch).await?;
    Ok(Outside { switch, _process: Some(process) })
}

async fn pod(backend: &Backend, like: &Deployment) -> Result<Outside, String> {
    let told = |error: meshquake::backend::objects::Error| error.to_string();
    let model = ObjectRef::new("apps/v1", "Deployment", &like.namespace, &like.name);
    let mut object = said(&backend.objects().get(&model).await.map_err(told)?.ok_or("it is not there")?);
    let annotations = object["spec"]["template"]["metadata"]["annotations"].take();
    let mut labels = object["metadata"]["labels"].take();
    labels["app"] = json!(OUTSIDE);
    labels["sidecar.istio.io/inject"] = json!("false");
    object["metadata"] = json!({"name": OUTSIDE, "namespace": like.namespace, "labels": labels});
    object["spec"]["selector"] = json!({"matchLabels": {"app": OUTSIDE}});
    object["spec"]["template"]["metadata"] = json!({"labels": labels, "annotations": annotations});
    backend.objects().create(&object).await.map_err(told)?;
    let wanted = BTreeMap::from([("app".to_owned(), OUTSIDE.to_owned())]);
    let ready = wait::until("the pod without a sidecar", READY_LIMIT, async || {
        match backend.objects().pods(&like.namespace, &wanted).await {
            Ok(pods) => match pods.into_iter().find(|pod| pod.ready) {
                Some(pod) => Seen::Done(pod),
                None => Seen::NotYet("it is not ready".to_owned()),
            },
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    let ready: PodFacts = ready.await.map_err(|error| error.to_string())?;
    let switch = backend.chaos(&ready).await.map_err(|error| error.to_string())?;
    answering(&switch).await?;
    Ok(Outside { switch, _process: None })
}

async fn answering(switch: &Switch) -> Result<(), String> {
    let answers = wait::until("the caller without a sidecar answers", READY_LIMIT, async || {
        match switch.state().await {
            Ok(_) => Seen::Done(()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    answers.await.map_err(|error| error.to_string())
}
