//! Clusters and endpoints. Proxies that go by the same DestinationRule share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::{identity, peer};
use super::{Cluster, Endpoint, Fleet, Peer, ProxyIntent, Role, cluster_name, passthrough_name};
use crate::model::{
    DestinationRule, Mesh, Mode, ObjectId, PeerAuthentication, Service, ServicePort, Settings, State,
    Template, TrafficPolicy, Workload,
};

/// What was worked out already. To be kept from one moment to the next: what clusters rest on changes more seldom than
/// routes do, and the rest of a change is then cheap.
#[derive(Debug, Default)]
pub struct ClusterBook {
    grounds: Option<Grounds>,
    entries: BTreeMap<Key, Arc<Vec<Entry>>>,
    pages: BTreeMap<(Role, Vec<Key>), Page>,
}

/// A service, and the DestinationRule by which it is reached.
type Key = (ObjectId, Option<ObjectId>);

/// All that is in the book follows from these, and from nothing else.
#[derive(Debug)]
struct Grounds {
    settings: Settings,
    services: BTreeMap<ObjectId, Service>,
    templates: Vec<Template>,
    destination_rules: Vec<DestinationRule>,
    peer_authentications: Vec<PeerAuthentication>,
    pods: Vec<Workload>,
    /// Of the pods, in their order.
    peers: Vec<Arc<Peer>>,
}

#[derive(Debug)]
struct Entry {
    cluster: Arc<Cluster>,
    endpoints: Arc<Vec<Endpoint>>,
}

/// The clusters of all services, as those reach them who go by the same rules.
#[derive(Clone, Debug, Default)]
struct Page {
    clusters: Arc<BTreeMap<String, Arc<Cluster>>>,
    endpoints: Arc<BTreeMap<String, Arc<Vec<Endpoint>>>>,
}

/// A book that holds for this mesh.
pub(super) struct OpenBook<'a> {
    mesh: &'a Mesh,
    grounds: &'a Grounds,
    entries: &'a mut BTreeMap<Key, Arc<Vec<Entry>>>,
    pages: &'a mut BTreeMap<(Role, Vec<Key>), Page>,
}

impl ClusterBook {
    /// Whatever does not hold for this mesh and these pods is forgotten.
    pub(super) fn open<'a>(&'a mut self, mesh: &'a Mesh, fleet: &Fleet) -> OpenBook<'a> {
        let Self { grounds, entries, pages } = self;
        if grounds.as_ref().is_none_or(|grounds| !grounds.are_those_of(mesh, fleet)) {
            entries.clear();
            pages.clear();
            *grounds = None;
        }
        let grounds = grounds.get_or_insert_with(|| Grounds::of(mesh, fleet));
        OpenBook { mesh, grounds, entries, pages }
    }
}

impl Grounds {
    fn of(mesh: &Mesh, fleet: &Fleet) -> Self {
        let peer =
            |pod: &Workload| peer(mesh, &pod.workload, &pod.namespace, &pod.service_account, &pod.labels);
        Self {
            settings: mesh.settings.clone(),
            services: mesh.services.clone(),
            templates: mesh.templates.clone(),
            destination_rules: mesh.destination_rules.clone(),
            peer_authentications: mesh.peer_authentications.clone(),
            pods: fleet.pods.clone(),
            peers: fleet.pods.iter().map(peer).collect(),
        }
    }

    fn are_those_of(&self, mesh: &Mesh, fleet: &Fleet) -> bool {
        self.settings == mesh.settings
            && self.services == mesh.services
            && self.templates == mesh.templates
            && self.destination_rules == mesh.destination_rules
            && self.peer_authentications == mesh.peer_authentications
            && self.pods == fleet.pods
    }

    fn pods(&self) -> impl Iterator<Item = (&Workload, &Arc<Peer>)> {
        self.pods.iter().zip(&self.peers)
    }
}

impl<'a> OpenBook<'a> {
    /// Of the pods of the fleet, in their order.
    pub fn peers(&self) -> impl Iterator<Item = Arc<Peer>> + use<'a> {
        self.grounds.peers.iter().cloned()
    }

    /// Gives an intent the clusters of every service: all subsets, whether or not a route leads there now, so that a
    /// change of routes is never more than that.
    pub fn fill(&mut self, labels: &BTreeMap<String, String>, intent: &mut ProxyIntent) {
        let mesh = self.mesh;
        let rules = mesh.services.values().map(|service| {
            let rule = mesh.destination_rule(service, &intent.peer.namespace, labels);
            (service, rule)
        });
        let rules: Vec<_> = rules.collect();
        let keys = rules.iter().map(|(service, rule)| (service.id.clone(), rule.map(|rule| rule.id.clone())));
        let key = (intent.role, keys.collect::<Vec<_>>());
        let page = match self.pages.get(&key) {
            Some(page) => page.clone(),
            None => {
                let page = self.page(intent.role, &rules);
                self.pages.insert(key, page.clone());
                page
            }
        };
        intent.clusters = page.clusters;
        intent.endpoints = page.endpoints;
    }

    fn page(&mut self, role: Role, rules: &[(&Service, Option<&DestinationRule>)]) -> Page {
        let (mut clusters, mut endpoints) = (BTreeMap::new(), BTreeMap::new());
        for (service, rule) in rules {
            let key = (service.id.clone(), rule.map(|rule| rule.id.clone()));
            let entries = match self.entries.get(&key) {
                Some(entries) => Arc::clone(entries),
                None => {
                    let entries = Arc::new(self.entries(service, *rule));
                    self.entries.insert(key, Arc::clone(&entries));
                    entries
                }
            };
            // A gateway answers a host that it does not know by itself.
            let passes = role == Role::Sidecar;
            for entry in entries.iter().filter(|entry| passes || !entry.cluster.passthrough) {
                let name = &entry.cluster.name;
                clusters.insert(name.clone(), Arc::clone(&entry.cluster));
                endpoints.insert(name.clone(), Arc::clone(&entry.endpoints));
            }
        }
        Page { clusters: Arc::new(clusters), endpoints: Arc::new(endpoints) }
    }

    fn entries(&self, service: &Service, rule: Option<&DestinationRule>) -> Vec<Entry> {
        let host = self.mesh.fqdn(&service.id);
        let identities = self.identities(service);
        let base = TrafficPolicy::default();
        let top = rule.map_or(&base, |rule| &rule.policy);
        let everyone = BTreeMap::new();
        let mut entries = Vec::new();
        for port in &service.ports {
            let plain = ("", &everyone, None, rule.map_or(&service.place, |rule| &rule.place));
            let subsets = rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default();
            let subsets = subsets
                .iter()
                .map(|subset| (subset.name.as_str(), &subset.labels, Some(&subset.policy), &subset.place));
            for (subset, labels, policy, place) in std::iter::once(plain).chain(subsets) {
                let cluster = Cluster {
                    name: cluster_name(port.port, subset, &host),
                    place: place.clone(),
                    service: service.id.clone(),
                    host: host.clone(),
                    port: port.port,
                    subset: subset.to_owned(),
                    protocol: port.protocol,
                    policy: TrafficPolicy::resolve(top, policy, port.port),
                    identities: identities.clone(),
                    passthrough: false,
                };
                let endpoints = Arc::new(self.endpoints(service, port, labels));
                entries.push(Entry { cluster: Arc::new(cluster), endpoints });
            }
            if port.protocol.is_http() {
                entries.push(self.passthrough(service, port, &host));
            }
        }
        entries
    }

    fn passthrough(&self, service: &Service, port: &ServicePort, host: &str) -> Entry {
        let cluster = Cluster {
            name: passthrough_name(port.port, host),
            place: service.place.clone(),
            service: service.id.clone(),
            host: host.to_owned(),
            port: port.port,
            subset: String::new(),
            protocol: port.protocol,
            policy: TrafficPolicy::default(),
            identities: Vec::new(),
            passthrough: true,
        };
        let unknown = Arc::new(Peer::unknown());
        let mut endpoints = self.endpoints(service, port, &BTreeMap::new());
        for endpoint in &mut endpoints {
            endpoint.mtls = false;
            endpoint.peer = Arc::clone(&unknown);
        }
        Entry { cluster: Arc::new(cluster), endpoints: Arc::new(endpoints) }
    }

    fn endpoints(
        &self,
        service: &Service,
        port: &ServicePort,
        labels: &BTreeMap<String, String>,
    ) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = self
            .grounds
            .pods()
            .filter(|(pod, _)| service.selects(&pod.namespace, &pod.labels) && has(labels, &pod.labels))
            .filter(|(pod, _)| match pod.state {
                State::Ready => true,
                State::NotReady => service.publish_not_ready,
                State::Draining => self.mesh.settings.keep_draining,
            })
            .filter_map(|(pod, peer)| {
                let target = port.target_in(&pod.ports)?;
                let (mode, _) = self.mesh.mtls(&pod.namespace, &pod.labels, target);
                Some(Endpoint {
                    address: pod.address,
                    port: target,
                    mtls: mode != Mode::Disable,
                    peer: Arc::clone(peer),
                })
            })
            .collect();
        endpoints.sort_by_key(|endpoint| (endpoint.address, endpoint.port));
        endpoints
    }

    /// From templates as well as pods, so that a cluster does not change when its last pod dies.
    fn identities(&self, service: &Service) -> Vec<String> {
        let templates = self.mesh.templates.iter();
        let templates =
            templates.map(|template| (&template.namespace, &template.labels, &template.service_account));
        let pods = self.grounds.pods().map(|(pod, _)| (&pod.namespace, &pod.labels, &pod.service_account));
        let identities: BTreeSet<String> = templates
            .chain(pods)
            .filter(|(namespace, labels, _)| service.selects(namespace, labels))
            .map(|(namespace, _, account)| identity(self.mesh, namespace, account))
            .collect();
        identities.into_iter().collect()
    }
}

fn has(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}
