//! The intent of a sidecar: the ports of its pod, and the services as this pod reaches them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::clusters::OpenBook;
use super::routes::Caller;
use super::{
    Inbound, Outbound, OutboundKind, ProxyIntent, RouteTable, VirtualHost, cluster_name, passthrough_name,
};
use crate::model::{
    MESH, Mesh, ObjectId, Protocol, Service, ServicePort, VirtualService, Workload, host_matches,
};

impl Mesh {
    pub(super) fn sidecar(&self, pod: &Workload, book: &mut OpenBook<'_>, intent: &mut ProxyIntent) {
        intent.inbound = self.inbound(pod);
        book.fill(&pod.labels, intent);
        for service in self.services.values() {
            for port in &service.ports {
                let caller =
                    Caller { labels: &pod.labels, namespace: &pod.namespace, gateway: MESH, port: port.port };
                let kind = if port.protocol.is_http() {
                    let table = port.port.to_string();
                    self.add_virtual_host(service, &caller, intent);
                    OutboundKind::Http(table)
                } else {
                    OutboundKind::Tcp(self.tcp_clusters(service, &caller))
                };
                intent.outbound.push(Outbound {
                    service: service.id.clone(),
                    host: self.fqdn(&service.id),
                    port: port.port,
                    place: port.place.clone(),
                    kind,
                });
            }
        }
        for table in intent.routes.values_mut() {
            // Two services may share a short form of their names; the first keeps it, or Envoy would refuse all.
            let mut taken = BTreeSet::new();
            for host in &mut table.hosts {
                host.domains.retain(|domain| taken.insert(domain.clone()));
            }
        }
    }

    /// Every port of the containers, and every other one to which a service leads.
    fn inbound(&self, pod: &Workload) -> Vec<Inbound> {
        let services: Vec<&Service> =
            self.services.values().filter(|service| service.selects(&pod.namespace, &pod.labels)).collect();
        let mut leading: BTreeMap<u16, (&Service, &ServicePort)> = BTreeMap::new();
        for service in services {
            for port in &service.ports {
                if let Some(target) = port.target_in(&pod.ports) {
                    leading.entry(target).or_insert((service, port));
                }
            }
        }
        let ports: BTreeSet<u16> =
            pod.ports.iter().map(|port| port.port).chain(leading.keys().copied()).collect();
        let ports = ports.into_iter().map(|port| {
            let (mode, mode_place) = self.mtls(&pod.namespace, &pod.labels, port);
            let service = leading.get(&port);
            Inbound {
                port,
                app: SocketAddr::new(pod.app_address, port),
                protocol: service.map_or(Protocol::Tcp, |(_, port)| port.protocol),
                mode,
                mode_place,
                service: service.map(|(service, _)| (service.id.clone(), self.fqdn(&service.id))),
                place: service.map(|(_, port)| port.place.clone()),
            }
        });
        ports.collect()
    }

    fn add_virtual_host(&self, service: &Service, caller: &Caller<'_>, intent: &mut ProxyIntent) {
        let host = self.fqdn(&service.id);
        let rules = self.virtual_service(&host, caller);
        let routes = rules.map(|rules| self.http_routes(rules, caller)).unwrap_or_default();
        let name = caller.port.to_string();
        let table = intent.routes.entry(name.clone()).or_insert_with(|| RouteTable {
            name,
            hosts: Vec::new(),
            passthrough: Vec::new(),
        });
        table.passthrough.push((service.id.clone(), passthrough_name(caller.port, &host)));
        // As under Istio: a VirtualService without a rule for this caller is none for it.
        let (place, routes) = match rules {
            Some(rules) if !routes.is_empty() => (rules.place.clone(), routes),
            _ => (service.place.clone(), vec![self.default_route(service, caller.port)]),
        };
        table.hosts.push(VirtualHost {
            place,
            name: format!("{host}:{}", caller.port),
            domains: self.domains(&service.id, caller.namespace),
            service: Some(service.id.clone()),
            routes,
        });
    }

    /// The VirtualService that sidecars follow for a host: the most specific one, of these the oldest.
    fn virtual_service(&self, host: &str, caller: &Caller<'_>) -> Option<&VirtualService> {
        let fitting =
            self.virtual_services.iter().filter(|rules| rules.in_mesh() && rules.seen_from(caller.namespace));
        fitting
            .filter_map(|rules| {
                let hosts = rules.hosts.iter().map(|(host, _)| host).filter(|own| host_matches(own, host));
                Some((hosts.map(|own| (!own.starts_with('*'), own.len())).max()?, rules))
            })
            .rev()
            .max_by_key(|(likeness, _)| *likeness)
            .map(|(_, rules)| rules)
    }

    fn tcp_clusters(&self, service: &Service, caller: &Caller<'_>) -> Vec<(String, u32)> {
        let host = self.fqdn(&service.id);
        let rule = self.virtual_service(&host, caller).and_then(|rules| {
            rules.tcp.iter().find(|rule| {
                rule.matches.is_empty() || rule.matches.iter().any(|matched| caller.fits_tcp(matched))
            })
        });
        let Some(rule) = rule else { return vec![(cluster_name(caller.port, "", &host), 0)] };
        let several = rule.forwards.len() > 1;
        let forwards = rule.forwards.iter().filter(|forward| !several || forward.weight > 0);
        forwards
            .map(|forward| (self.destination_cluster(&forward.destination, caller.port), forward.weight))
            .collect()
    }

    /// All names under which a pod may call a service; ports are left out when hosts are compared.
    fn domains(&self, service: &ObjectId, namespace: &str) -> Vec<String> {
        let ObjectId { namespace: own, name } = service;
        let mut domains = vec![self.fqdn(service), format!("{name}.{own}"), format!("{name}.{own}.svc")];
        if own == namespace {
            domains.push(name.clone());
        }
        domains
    }
}
