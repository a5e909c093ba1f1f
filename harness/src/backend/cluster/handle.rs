//! A world on a cluster as the harness uses it: brought up by this process, or up already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use meshquake_xds::object::Object;
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;

use super::forward::Forward;
use super::ground::Ground;
use super::kinds::Kinds;
use super::load::Workers;
use super::provision::Step;
use super::proxies::{self, Whose};
use super::settings::Settings;
use super::state::{self, State};
use super::{apply, collect, converged, knows, load, scrape, world};
use crate::backend::Choice;
use crate::backend::Undo;
use crate::backend::chaos::{self, Switch};
use crate::backend::local::journal::{Header, Intent, Journal};
use crate::backend::local::start;
use crate::backend::objects::{Objects, PodFacts};
use crate::error::chain;
use crate::event::{Collected, WorldUp};
use crate::judge::Target;
use crate::load::Host;

/// How long nobody may answer for the cluster until it counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether the world is still there.
const LOOK: Duration = Duration::from_secs(1);

/// The way up, and how long its parts took.
pub struct Ascent {
    pub took: Duration,
    pub steps: Vec<Step>,
}

pub struct Cluster {
    ground: Ground,
    state: State,
    objects: Objects,
    whose: Whose,
    gateways: Vec<converged::Gateway>,
    pods: u32,
    sidecars: u32,
    /// How it was brought up, where this process has done it.
    ascent: Option<Ascent>,
    targets: watch::Receiver<Vec<Target>>,
    _following: AbortOnDropHandle<()>,
    journal: Journal,
    /// Tells this process's undos from those of others that use the same world.
    key: String,
    markers: AtomicU64,
    /// One marker at a time: they share their objects.
    marking: Mutex<()>,
    program: PathBuf,
}

impl Cluster {
    /// A world that is up already; what this process does to it is written down under a name of its own.
    pub async fn join(choice: &Choice, settings: &Settings, id: Option<&str>) -> Result<Self, String> {
        let ground = Ground::find(choice, settings).await?;
        let ground = ground
            .ok_or_else(|| format!("there is no {} cluster of ours, and so no world on it", choice.name()))?;
        let state = ground.choose(id).await?;
        Self::attach(ground, state).await
    }

    pub async fn attach(ground: Ground, state: State) -> Result<Self, String> {
        let key = format!("{}.{}", state.run, start::run_id());
        let journal = journal(&ground, &key, &state.world)?;
        let program = start::program().map_err(|error| chain(&error))?;
        Self::at(ground, state, journal, key, program, None).await
    }

    pub(super) async fn at(
        ground: Ground,
        state: State,
        journal: Journal,
        key: String,
        program: PathBuf,
        ascent: Option<Ascent>,
    ) -> Result<Self, String> {
        let objects = Objects::new(ground.client.clone());
        let mut gateways = Vec::new();
        for namespace in &state.namespaces {
            let found = objects.list("networking.istio.io/v1", "Gateway", namespace).await;
            let found = found.map_err(|error| chain(&error))?;
            gateways.extend(converged::gateways(&found));
        }
        let whose = whose(&state, &gateways);
        let live = proxies::live(&ground.client, &whose).await.map_err(|error| chain(&error))?;
        let mut pods = 0;
        for namespace in &state.namespaces {
            let ours = BTreeMap::from([(world::RUN.to_owned(), state.run.clone())]);
            pods += objects.pods(namespace, &ours).await.map_err(|error| chain(&error))?.len();
        }
        let sidecars = live.iter().filter(|proxy| !proxy.gateway).count();
        let (tell, targets) = watch::channel(scrape::targets(&ground.reader, &live));
        let following = tokio::spawn(scrape::follow(ground.reader.clone(), whose.clone(), tell));
        Ok(Self {
            objects,
            whose,
            gateways,
            pods: u32::try_from(pods).unwrap_or(u32::MAX),
            sidecars: u32::try_from(sidecars).unwrap_or(u32::MAX),
            targets,
            _following: AbortOnDropHandle::new(following),
            journal,
            key,
            ascent,
            markers: AtomicU64::new(0),
            marking: Mutex::new(()),
            program,
            ground,
            state,
        })
    }

    pub fn id(&self) -> &str {
        &self.state.run
    }

    pub fn world(&self) -> &str {
        &self.state.world
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    pub fn entry(&self) -> &str {
        &self.ground.entry
    }

    pub fn facts(&self) -> WorldUp {
        let steps = self.ascent.iter().flat_map(|ascent| &ascent.steps);
        WorldUp {
            entry: self.ground.entry.clone(),
            urls: vec![self.ground.entry.clone()],
            pods: self.pods,
            sidecars: self.sidecars,
            took_ms: self.ascent.as_ref().map_or(0, |ascent| millis(ascent.took)),
            steps: steps.map(|step| (step.what.to_owned(), millis(step.took))).collect(),
            versions: self.ground.versions.clone(),
        }
    }

    /// Applies or deletes objects of a person's; what is not this run's is left alone.
    pub async fn change(&self, objects: &[Object], delete: bool, force: bool) -> Result<(), String> {
        let kinds = Kinds::of(&self.ground.client, objects).await.map_err(|error| error.to_string())?;
        let objects = objects.iter().map(|object| object.value.clone()).collect();
        let objects = world::belonging(objects, &self.state.run, &kinds);
        apply::change(&self.objects, &objects, &self.state.run, delete, force)
            .await
            .map_err(|error| chain(&error))
    }

    pub async fn converged(&self, limit: Duration) -> Result<(), String> {
        let _one = self.marking.lock().await;
        let number = format!("{}-{}", self.key, self.markers.fetch_add(1, Ordering::Relaxed));
        let waited = converged::wait(&self.ground.client, &self.whose, &self.gateways, &number, limit);
        waited.await.map_err(|error| chain(&error))
    }

    pub async fn chaos(&self, pod: &PodFacts) -> Result<Switch, chaos::Error> {
        let port = pod.chaos_port.ok_or_else(|| chaos::Error::NoSwitch { pod: pod.name.clone() })?;
        let way = Forward::new(self.ground.client.clone(), &pod.namespace, &pod.name, port);
        Switch::at(&pod.name, &chaos::Address::Pod(way))
    }

    /// A pod's address may be given away again at once, so that it is gone is seen by its name.
    pub async fn answers(&self, pod: &PodFacts) -> Option<String> {
        let pods: Api<Pod> = Api::namespaced(self.ground.client.clone(), &pod.namespace);
        match pods.get_opt(&pod.name).await {
            Ok(Some(found)) if found.metadata.uid.as_deref() == Some(&pod.uid) => {
                let phase = found.status.and_then(|status| status.phase).unwrap_or_default();
                Some(format!("is listed by the cluster ({phase})"))
            }
            Ok(_) => None,
            Err(error) => Some(format!("may be there, nobody can say: {}", chain(&error))),
        }
    }

    pub async fn members(&self) -> Result<BTreeSet<String>, String> {
        knows::members(&self.ground.client, &self.whose).await.map_err(|error| chain(&error))
    }

    /// On disk first, then in the cluster: either of them is enough to take it back.
    pub async fn write_down(&self, undo: &Undo) -> Result<u64, String> {
        let undo = serde_json::to_value(undo).map_err(|error| error.to_string())?;
        let id = self.journal.intent(&undo).map_err(|error| chain(&error))?;
        let noted = self.note(id, Some(&undo)).await;
        noted.map_err(|error| format!("the copy in the cluster: {error}"))?;
        Ok(id.0)
    }

    pub async fn cross_off(&self, id: u64) -> Result<(), String> {
        self.journal.done(Intent(id)).map_err(|error| chain(&error))?;
        self.note(Intent(id), None).await
    }

    async fn note(&self, id: Intent, undo: Option<&Value>) -> Result<(), String> {
        let name = format!("{}.{}", self.key, id.0);
        let noted = state::note(&self.ground.client, &self.state, &name, undo);
        noted.await.map_err(|error| chain(&error))
    }

    pub fn targets(&self) -> watch::Receiver<Vec<Target>> {
        self.targets.clone()
    }

    pub fn scrape_interval(&self) -> Duration {
        scrape::interval(self.ground.interval, self.targets.borrow().len())
    }

    /// Load from this machine by the mapped port, or from that many workers in the cluster by the gateway's Service.
    pub async fn load_host(&self, workers: Option<u32>) -> Result<(Box<dyn Host>, String), String> {
        if workers.is_none() {
            return Ok((Box::new(crate::load::Program::new(&self.program)), self.ground.entry.clone()));
        }
        let image = self.state.worker.clone().ok_or(
            "this world was brought up without an image of load workers; bring it up anew with this scenario",
        )?;
        let base = load::way_in(&self.ground.client, &self.gateways).await?;
        let workers = Workers {
            client: self.ground.client.clone(),
            run: self.state.run.clone(),
            namespace: self.state.namespaces.first().cloned().unwrap_or_else(|| "default".to_owned()),
            image,
        };
        Ok((Box::new(workers), base))
    }

    /// Until somebody else has taken the world away, or nobody has answered for the cluster for long.
    pub async fn lost(&self) -> String {
        let home = self.state.namespaces.first().cloned().unwrap_or_default();
        let mut silent_since = None;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let limit = SILENCE / 3;
            match tokio::time::timeout(limit, state::of(&self.ground.client, &home)).await {
                Ok(Ok(Some(state))) if state.run == self.state.run => silent_since = None,
                Ok(Ok(_)) => {
                    return format!("the world `{}` is gone: somebody has taken it down", self.state.run);
                }
                failed => {
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > SILENCE {
                        let why = match failed {
                            Ok(Err(error)) => chain(&error),
                            _ => format!("no answer within {} s", limit.as_secs()),
                        };
                        let silence = SILENCE.as_secs();
                        return format!(
                            "the cluster {} has not answered for {silence} s: {why}",
                            self.ground.name
                        );
                    }
                }
            }
        }
    }

    pub async fn collect(&self, folder: &Path) -> Vec<Collected> {
        collect::collect(&self.ground, &self.whose, folder).await
    }

    pub async fn down(&self) -> Result<(), String> {
        self.ground.delete(&self.state).await?;
        self.close()
    }

    pub async fn release(&self) -> Result<(), String> {
        if self.ascent.is_some() {
            let kept = State { kept: true, ..self.state.clone() };
            state::update(&self.ground.client, &kept).await.map_err(|error| chain(&error))?;
        }
        self.close()
    }

    /// What could not be taken back keeps the journal, for `heal`.
    fn close(&self) -> Result<(), String> {
        match self.journal.open_intents().is_empty() {
            true => self.journal.close().map_err(|error| chain(&error)),
            false => Ok(()),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn whose(state: &State, gateways: &[converged::Gateway]) -> Whose {
    let gateways = gateways.iter().map(|gateway| gateway.selector.clone()).collect();
    Whose { run: state.run.clone(), namespaces: state.workloads.clone(), gateways }
}

pub(super) fn journal(ground: &Ground, key: &str, world: &str) -> Result<Journal, String> {
    let folder = ground.journals().map_err(|error| chain(&error))?;
    let header = Header::of_self(key, world, 0, &folder).map_err(|error| error.to_string())?;
    Journal::create(&folder, header).map_err(|error| chain(&error))
}
