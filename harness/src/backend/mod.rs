//! The closed set of backends and the few operations that differ between them.
//!
//! Objects, pods and logs are one code path on every backend: a `kube::Client` ([`objects::Objects`]). What
//! differs is how a world is brought up, how proxies are known to have converged, and how a pod's insides are
//! reached.

pub mod call;
pub mod chaos;
pub mod cluster;
pub mod local;
pub mod objects;
mod pods;
mod undo;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::event::{Collected, Events, WorldUp};
use crate::judge::{Prometheus, Target};
use crate::load::Host;
use crate::problem::Problems;
pub use crate::world::Images;
use crate::world::World;
use chaos::Switch;
use cluster::Begun;
use cluster::settings::Settings;
use objects::{Objects, PodFacts};
pub use pods::Watching;
pub use undo::Undo;

/// Which backend is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Local,
    /// A cluster of ours, made by kind.
    Kind,
    /// A cluster of ours, made by k3d.
    K3d,
    /// A cluster of somebody else's, by its name in the kubeconfig.
    Context {
        name: String,
        /// Even though it looks like one that people depend on.
        yes_really: bool,
    },
}

impl Choice {
    /// This machine: each pod a process and its Envoy.
    pub const fn local() -> Self {
        Choice::Local
    }

    pub const fn kind() -> Self {
        Choice::Kind
    }

    pub const fn k3d() -> Self {
        Choice::K3d
    }

    /// A cluster that is there, by its name in the kubeconfig. One that looks like production is refused.
    pub fn context(name: impl Into<String>) -> Self {
        Choice::Context { name: name.into(), yes_really: false }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Choice::Local => "local",
            Choice::Kind => "kind",
            Choice::K3d => "k3d",
            Choice::Context { .. } => "context",
        }
    }

    /// Of all that is wrong with a world, what is wrong with it here.
    pub fn minds(&self, problems: Problems) -> Problems {
        match self {
            Choice::Local => problems,
            Choice::Kind | Choice::K3d | Choice::Context { .. } => problems.split().0,
        }
    }

    /// Whether a world can be brought up here at all, as far as that shows before anything is started.
    pub fn bears(&self, world: &World) -> Result<(), Problems> {
        self.minds(world.beyond_local().clone()).into_result(())
    }

    /// Names that a world's programs are told and can hardly look up here.
    pub fn leaves_unnamed(&self, world: &World) -> Vec<String> {
        match self {
            Choice::Local => world.unnamed_here(),
            Choice::Kind | Choice::K3d | Choice::Context { .. } => vec![],
        }
    }

    /// What a command must say to mean this one; nothing where that needs no word.
    pub fn words(&self) -> String {
        match self {
            Choice::Local => String::new(),
            Choice::Kind | Choice::K3d => format!(" --backend {}", self.name()),
            Choice::Context { name, .. } => format!(" --backend context --context {name}"),
        }
    }
}

/// What a world needs to come up.
pub struct Site<'s> {
    pub world: &'s World,
    /// What was built for its images. A cluster builds those that are not among them.
    pub images: &'s Images,
    /// Logs of pods go below it.
    pub folder: &'s Path,
    /// Listen on 127.0.0.1 as well, if nobody else does.
    pub on_localhost: bool,
    /// What a person wants otherwise about clusters.
    pub settings: &'s Settings,
    /// The load will come from workers that a cluster hosts.
    pub workers: bool,
    /// Where a cluster says what has to be taken down when the way up is given up.
    pub begun: &'s Begun,
}

#[derive(Debug, thiserror::Error)]
#[error("the world did not come up: {why}")]
pub struct NotUp {
    pub why: String,
    /// What was kept for whoever looks for the cause.
    pub collected: Vec<Collected>,
}

/// A world that is up.
#[expect(clippy::large_enum_variant, reason = "a run has one of it, and it does not move")]
pub enum Backend {
    Local(local::Local),
    Cluster(cluster::Cluster),
}

impl Backend {
    /// Brings a world up and waits until every pod is ready and every proxy knows all the others.
    pub async fn up(choice: &Choice, site: Site<'_>, tell: &(dyn Fn(String) + Sync)) -> Result<Self, NotUp> {
        match choice {
            Choice::Local => local::Local::up(site, tell).await.map(Backend::Local),
            Choice::Kind | Choice::K3d | Choice::Context { .. } => {
                cluster::Cluster::up(choice, site, tell).await.map(Backend::Cluster)
            }
        }
    }

    /// The world that is up already.
    pub async fn join(choice: &Choice, settings: &Settings, id: Option<&str>) -> Result<Self, String> {
        match choice {
            Choice::Local => local::Local::join(id).await.map(Backend::Local),
            Choice::Kind | Choice::K3d | Choice::Context { .. } => {
                cluster::Cluster::join(choice, settings, id).await.map(Backend::Cluster)
            }
        }
    }

    /// The world's own name, by which `down` and `--run` know it.
    pub fn id(&self) -> &str {
        match self {
            Backend::Local(local) => local.id(),
            Backend::Cluster(cluster) => cluster.id(),
        }
    }

    /// The world's name, as it was brought up.
    pub fn world(&self) -> &str {
        match self {
            Backend::Local(local) => local.world(),
            Backend::Cluster(cluster) => cluster.world(),
        }
    }

    pub fn objects(&self) -> &Objects {
        match self {
            Backend::Local(local) => local.objects(),
            Backend::Cluster(cluster) => cluster.objects(),
        }
    }

    /// Where the load goes in.
    pub fn entry(&self) -> &str {
        match self {
            Backend::Local(local) => local.entry(),
            Backend::Cluster(cluster) => cluster.entry(),
        }
    }

    pub fn facts(&self) -> WorldUp {
        match self {
            Backend::Local(local) => local.facts(),
            Backend::Cluster(cluster) => cluster.facts(),
        }
    }

    /// Waits until every proxy that lives has acknowledged the objects as they are now.
    pub async fn converged(&self, limit: Duration) -> Result<(), String> {
        match self {
            Backend::Local(local) => local.converged(limit).await,
            Backend::Cluster(cluster) => cluster.converged(limit).await,
        }
    }

    /// The way to a pod's own chaos switch.
    pub async fn chaos(&self, pod: &PodFacts) -> Result<Switch, chaos::Error> {
        match self {
            Backend::Local(local) => local.chaos(pod).await,
            Backend::Cluster(cluster) => cluster.chaos(pod).await,
        }
    }

    /// How a pod that should be dead still shows itself.
    pub async fn answers(&self, pod: &PodFacts) -> Option<String> {
        match self {
            Backend::Local(local) => local.answers(pod).await,
            Backend::Cluster(cluster) => cluster.answers(pod).await,
        }
    }

    /// How it shows that a pod is dead, where [`Backend::answers`] sees nothing of it any more.
    pub fn how_gone(&self) -> &'static str {
        match self {
            Backend::Local(_) => "no longer accepts connections",
            Backend::Cluster(_) => "is no longer in the cluster",
        }
    }

    /// The addresses that any sidecar lists as an endpoint.
    pub async fn members(&self) -> Result<BTreeSet<String>, String> {
        match self {
            Backend::Local(local) => local.members().await,
            Backend::Cluster(cluster) => cluster.members().await,
        }
    }

    /// Writes down, on disk, how to take something back; before it is done.
    pub async fn write_down(&self, undo: &Undo) -> Result<u64, String> {
        match self {
            Backend::Local(local) => local.write_down(undo).await,
            Backend::Cluster(cluster) => cluster.write_down(undo).await,
        }
    }

    /// It has been taken back.
    pub async fn cross_off(&self, id: u64) -> Result<(), String> {
        match self {
            Backend::Local(local) => local.cross_off(id).await,
            Backend::Cluster(cluster) => cluster.cross_off(id).await,
        }
    }

    /// What is scraped, as pods come and go.
    pub fn targets(&self) -> watch::Receiver<Vec<Target>> {
        match self {
            Backend::Local(local) => local.targets(),
            Backend::Cluster(cluster) => cluster.targets(),
        }
    }

    /// How often it is scraped.
    pub fn scrape_interval(&self) -> Duration {
        match self {
            Backend::Local(_) => Duration::from_secs(1),
            Backend::Cluster(cluster) => cluster.scrape_interval(),
        }
    }

    /// Tells every change of a pod, until it is dropped.
    pub fn watch_pods(&self, namespaces: BTreeSet<String>, events: Events) -> Watching {
        let look = match self {
            Backend::Local(_) => Duration::from_millis(100),
            // An API server has others to serve as well.
            Backend::Cluster(_) => Duration::from_millis(500),
        };
        pods::watch(self.objects().clone(), namespaces, look, events)
    }

    /// A Prometheus that watches this world as well; why there is none although somebody wants one.
    pub async fn prometheus(&self) -> Result<Option<Prometheus>, String> {
        match self {
            Backend::Local(_) => Ok(None),
            Backend::Cluster(cluster) => cluster.ground().prometheus().await,
        }
    }

    /// Where load workers run, and where their requests go in. A cluster hosts them itself where the scenario says how
    /// many.
    pub async fn load_host(&self, workers: Option<u32>) -> Result<(Box<dyn Host>, String), String> {
        match self {
            Backend::Local(local) => Ok((Box::new(local.worker()), local.entry().to_owned())),
            Backend::Cluster(cluster) => cluster.load_host(workers).await,
        }
    }

    /// Until the world is gone though nobody of us has taken it down; says what happened.
    pub async fn lost(&self) -> String {
        match self {
            Backend::Local(local) => local.lost().await,
            Backend::Cluster(cluster) => cluster.lost().await,
        }
    }

    /// Keeps what tells why: logs, sidecars' configuration and statistics, what happened to pods.
    pub async fn collect(&self, folder: &Path) -> Vec<Collected> {
        match self {
            Backend::Local(local) => local.collect(folder).await,
            Backend::Cluster(cluster) => cluster.collect(folder).await,
        }
    }

    /// Ends the world.
    pub async fn down(&self) -> Result<(), String> {
        match self {
            Backend::Local(local) => local.down().await,
            Backend::Cluster(cluster) => cluster.down().await,
        }
    }

    /// Lets the world go on without this process.
    pub async fn release(&self) -> Result<(), String> {
        match self {
            Backend::Local(local) => local.release().await,
            Backend::Cluster(cluster) => cluster.release().await,
        }
    }
}

/// Builds what the images of a world name, or finds it; every command then begins with a whole path.
///
/// A cluster runs images, not programs of this machine: they are built and loaded on the way up.
pub async fn build(choice: &Choice, world: &World, tell: impl Fn(String)) -> Result<Images, String> {
    if *choice != Choice::Local {
        return Ok(Images::new());
    }
    let (told, mut progress) = mpsc::unbounded_channel();
    let world = world.clone();
    let building = tokio::task::spawn_blocking(move || {
        // Nobody listens any more only when the run was given up.
        crate::world::build::build(&world, &mut |step| drop(told.send(step.to_string())))
    });
    while let Some(text) = progress.recv().await {
        tell(text);
    }
    match building.await {
        Ok(built) => built.map_err(|error| error.to_string()),
        Err(error) => Err(format!("the build could not be followed: {error}")),
    }
}
