//! istiod in small: objects and pods in, one snapshot for each Envoy out.
//!
//! ```text
//! store ─► model (when objects changed) ─┬─► intents ─► translator ─► snapshot + secrets ─► Ads::set
//!          pods, ready or lingering ─────┘
//! ```

mod fleet;
mod gateway;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use meshquake_xds::ads::{Ads, Kind, Nack};
use meshquake_xds::envoy::{Interception, Loopback, Translator};
use meshquake_xds::intent::{ClusterBook, Fleet, ProxyIntent, Route, VirtualHost};
use meshquake_xds::model::{self, StringMatch};
use meshquake_xds::source::Place;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::fleet::Members;
use super::ca::{Authority, Identity};
use super::kubelet::pod::address_name;
use super::site::Site;
use super::store::kind::POD;
use super::store::{Entry, Key};

pub use fleet::{APP_ADDRESS, labels};
pub use gateway::is_gateway;

/// The age of certificates is looked at this often at least.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// After an update what pods do is gathered, for so many times as long as the update took: of a hundred that start at once,
/// each would else be told to all others by itself.
const GATHERED: u32 = 4;
const LONGEST_GATHERED: Duration = Duration::from_millis(100);

/// The mesh of a world: what its Envoys are started with, and the way to them.
pub struct Mesh {
    pub envoy: PathBuf,
    pub ads: Ads,
    pub ads_socket: PathBuf,
    /// Where the gateway listens for a port of a Gateway, the main address first.
    pub publish: BTreeMap<u16, Vec<SocketAddr>>,
    authority: Mutex<Authority>,
    intents: Mutex<BTreeMap<String, Arc<ProxyIntent>>>,
    /// The version of the store that all snapshots reflect.
    reflected: watch::Sender<u64>,
    rotate: Notify,
}

impl Mesh {
    pub fn new(
        envoy: PathBuf,
        ads_socket: PathBuf,
        publish: BTreeMap<u16, Vec<SocketAddr>>,
    ) -> Result<Self, super::ca::Error> {
        Ok(Self {
            envoy,
            ads: Ads::new(),
            ads_socket,
            publish,
            authority: Mutex::new(Authority::new()?),
            intents: Mutex::default(),
            reflected: watch::Sender::new(0),
            rotate: Notify::new(),
        })
    }

    /// Returns once every snapshot reflects this version of the store.
    pub async fn reflects(&self, version: u64) {
        let mut reflected = self.reflected.subscribe();
        // The sender lives as long as the mesh.
        let _reached = reflected.wait_for(|reflected| *reflected >= version).await;
    }

    /// Gives every sidecar a new certificate.
    pub fn rotate(&self) {
        lock(&self.authority).rotate();
        self.rotate.notify_one();
    }

    /// What a proxy is meant to do, by `POD.NAMESPACE`.
    pub fn intent(&self, id: &str) -> Option<Arc<ProxyIntent>> {
        lock(&self.intents).get(id).cloned()
    }

    /// Where a refused resource was written, or where it may have been: a table of routes has many authors. `node`
    /// is the name by which Envoy calls itself.
    pub fn places_of(&self, nack: &Nack) -> BTreeSet<Place> {
        let intents = lock(&self.intents);
        let intent = nack.node.split('~').nth(2).and_then(|id| intents.get(id));
        let Some(intent) = intent else { return BTreeSet::new() };
        match nack.kind {
            Kind::Cluster | Kind::Endpoints => {
                intent.clusters.get(&nack.resource).map(|cluster| cluster.place.clone()).into_iter().collect()
            }
            Kind::Route => intent
                .routes
                .get(&nack.resource)
                .map(|table| suspects(table.hosts.iter(), &nack.message))
                .unwrap_or_default(),
            Kind::Listener => {
                let name = |port: u16, host: &str| format!("outbound|{port}||{host}");
                let outbound = intent.outbound.iter().find(|o| name(o.port, &o.host) == nack.resource);
                let entry = intent.entries.iter().find(|e| format!("gateway|{}", e.port) == nack.resource);
                outbound.map(|o| o.place.clone()).or(entry.map(|e| e.place.clone())).into_iter().collect()
            }
            Kind::Secret => BTreeSet::new(),
        }
    }
}

/// The routes of a table that Envoy's words may be about: whose expression it quotes; else all with expressions, for
/// they are what only Envoy can judge; else the hosts.
fn suspects<'h>(hosts: impl Iterator<Item = &'h VirtualHost> + Clone, message: &str) -> BTreeSet<Place> {
    let routes = hosts.clone().flat_map(|host| &host.routes);
    let with = |is_meant: &dyn Fn(&str) -> bool| -> BTreeSet<Place> {
        let meant = routes.clone().filter(|route| expressions(route).any(is_meant));
        meant.map(|route| route.place.clone()).collect()
    };
    let quoted = with(&|expression| message.contains(expression));
    let some = if quoted.is_empty() { with(&|_| true) } else { quoted };
    if some.is_empty() { hosts.map(|host| host.place.clone()).collect() } else { some }
}

fn expressions(route: &Route) -> impl Iterator<Item = &str> {
    let matches = &route.matches;
    let single = [&matches.uri, &matches.scheme, &matches.method, &matches.authority];
    let named =
        matches.headers.values().chain(matches.without_headers.values()).chain(matches.query.values());
    let all = single.into_iter().chain(named).filter_map(|one| match one {
        Some(StringMatch::Regex(text)) => Some(text.as_str()),
        _ => None,
    });
    let rewrite = route.rewrite.as_ref().and_then(|rewrite| rewrite.regex.as_ref());
    all.chain(rewrite.map(|(expression, _)| expression.as_str()))
}

/// The name by which the Envoy of a pod calls itself, as soon as the pod has an address.
pub fn node_of(pod: &Entry) -> Option<String> {
    let address = pod.value()["status"]["podIP"].as_str()?;
    let role = if is_gateway(pod) { "router" } else { "sidecar" };
    let (name, namespace) = (pod.object.name(), pod.object.namespace());
    Some(format!("{role}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps every proxy's snapshot as the store says, until the world ends.
pub async fn control(site: Arc<Site>) {
    let Some(mesh) = &site.mesh else { return };
    let mut versions = site.store.versions();
    let mut control = Control::default();
    loop {
        versions.mark_unchanged();
        gateway::reconcile(&site);
        let (began, model) = (Instant::now(), site.store.mesh());
        let wake = control.update(&site, mesh);
        let gathered = Instant::now() + (began.elapsed() * GATHERED).min(LONGEST_GATHERED);
        if lock(&mesh.authority).rotation_due().is_some_and(|due| due <= SystemTime::now()) {
            mesh.rotate();
        }
        // Also when nothing happens for hours: certificates grow old.
        let wake = wake.unwrap_or(Instant::now() + LONGEST_REST);
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(wake) => {}
            () = mesh.rotate.notified() => {}
            () = site.stop.cancelled() => return,
        }
        gather(&site, model.as_ref(), gathered).await;
    }
}

/// Lets changes of pods come together until then. What people write changes the model, and is not kept waiting.
async fn gather(site: &Site, model: Option<&Arc<model::Mesh>>, until: Instant) {
    let mut versions = site.store.versions();
    while site.store.mesh().as_ref().map(Arc::as_ptr) == model.map(Arc::as_ptr) {
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(until) => return,
            () = site.stop.cancelled() => return,
        }
    }
}

#[derive(Default)]
struct Control {
    translator: Translator,
    book: ClusterBook,
    members: Members,
    /// By `POD.NAMESPACE`.
    known: BTreeMap<String, Known>,
}

/// What stays of a pod from one change to the next.
struct Known {
    /// As its Envoy calls itself.
    node: String,
    interception: Interception,
}

impl Control {
    /// Brings everything up to date. Returns when it must be called again even if nothing changes.
    fn update(&mut self, site: &Site, mesh: &Mesh) -> Option<Instant> {
        let version = site.store.version();
        let model = site.store.mesh()?;
        let model = model.as_ref();
        let pods = site.store.all(&POD);
        let seen = self.members.look(&pods, site.settings.endpoint_lag);
        let gateways = gateway::proxies(&pods, mesh, model);
        let fleet = Fleet { pods: seen.workloads, gateways };
        let intents = model.intents_by(&mut self.book, &fleet);
        let intents: BTreeMap<_, _> =
            intents.into_iter().map(|(id, intent)| (id, Arc::new(intent))).collect();
        let mut present = BTreeSet::new();
        for pod in &pods {
            let id = format!("{}.{}", pod.object.name(), pod.object.namespace());
            let (Some(node), Some(intent)) = (node_of(pod), intents.get(&id)) else { continue };
            present.insert(id.clone());
            if let Err(error) = self.set(site, mesh, model, pod, node.clone(), intent) {
                tracing::error!(%node, %error, "a proxy gets no configuration");
            }
        }
        let translator = &mut self.translator;
        self.known.retain(|id, known| {
            let stays = present.contains(id);
            if !stays {
                mesh.ads.remove(&known.node);
                translator.forget(id);
            }
            stays
        });
        *lock(&mesh.intents) = intents;
        mesh.reflected.send_replace(version);
        seen.wake
    }

    /// Says what one proxy should have from now on.
    fn set(
        &mut self,
        site: &Site,
        mesh: &Mesh,
        model: &model::Mesh,
        pod: &Entry,
        node: String,
        intent: &Arc<ProxyIntent>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let known = self.known.entry(intent.id.clone()).or_insert_with(|| {
            let interception = Interception::Loopback(Loopback::default());
            Known { node, interception }
        });
        if !is_gateway(pod) {
            let Interception::Loopback(loopback) = &mut known.interception;
            intercept(loopback, site, model, pod)?;
        }
        let mut snapshot = self.translator.translate(Arc::clone(intent), &known.interception)?;
        let identity = Identity::new(pod.object.namespace(), fleet::service_account(pod));
        lock(&mesh.authority).add_secrets(&identity, &mut snapshot)?;
        mesh.ads.set(&known.node, snapshot);
        Ok(())
    }
}

/// Gives every service an address where this pod's sidecar takes calls to it.
fn intercept(
    loopback: &mut Loopback,
    site: &Site,
    model: &model::Mesh,
    pod: &Entry,
) -> Result<(), crate::backend::local::net::Error> {
    if loopback.vips.keys().eq(model.services.keys()) {
        return Ok(());
    }
    let client = address_name(&Key::new(&POD, pod.object.namespace(), pod.object.name()));
    let mut addresses = site.addresses();
    loopback.vips.clear();
    for id in model.services.keys() {
        let vip = addresses.vip(&client, &format!("{}/{}", id.namespace, id.name))?;
        loopback.vips.insert(id.clone(), vip.into());
    }
    Ok(())
}
