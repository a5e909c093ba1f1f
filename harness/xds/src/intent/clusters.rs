//! Clusters and endpoints. Proxies that go by the same DestinationRule share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::{identity, peer};
use super::{Cluster, Endpoint, Peer, ProxyIntent, Role, cluster_name, passthrough_name};
use crate::model::{
    DestinationRule, Mesh, Mode, ObjectId, Service, ServicePort, State, TrafficPolicy, Workload,
};

/// What has been worked out already: by service and rule.
pub(super) struct ClusterBook<'a> {
    mesh: &'a Mesh,
    pods: Vec<(&'a Workload, Arc<Peer>)>,
    known: BTreeMap<(ObjectId, Option<ObjectId>), Arc<Vec<Entry>>>,
}

struct Entry {
    cluster: Arc<Cluster>,
    endpoints: Arc<Vec<Endpoint>>,
}

impl<'a> ClusterBook<'a> {
    pub fn new(mesh: &'a Mesh, fleet: &'a super::Fleet) -> Self {
        let pods = fleet
            .pods
            .iter()
            .map(|pod| (pod, peer(mesh, &pod.workload, &pod.namespace, &pod.service_account, &pod.labels)));
        Self { mesh, pods: pods.collect(), known: BTreeMap::new() }
    }

    /// Adds the clusters of every service to an intent: all subsets, whether or not a route leads there now, so
    /// that a change of routes is never more than that.
    pub fn fill(&mut self, labels: &BTreeMap<String, String>, intent: &mut ProxyIntent) {
        for service in self.mesh.services.values() {
            let rule = self.mesh.destination_rule(service, &intent.peer.namespace, labels);
            let key = (service.id.clone(), rule.map(|rule| rule.id.clone()));
            let entries = match self.known.get(&key) {
                Some(entries) => Arc::clone(entries),
                None => {
                    let entries = Arc::new(self.entries(service, rule));
                    self.known.insert(key, Arc::clone(&entries));
                    entries
                }
            };
            // A gateway answers a host that it does not know by itself.
            let passes = intent.role == Role::Sidecar;
            for entry in entries.iter().filter(|entry| passes || !entry.cluster.passthrough) {
                let name = &entry.cluster.name;
                intent.clusters.insert(name.clone(), Arc::clone(&entry.cluster));
                intent.endpoints.insert(name.clone(), Arc::clone(&entry.endpoints));
            }
        }
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
            .pods
            .iter()
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
        let pods = self.pods.iter().map(|(pod, _)| (&pod.namespace, &pod.labels, &pod.service_account));
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
