//! Checks each object against the others: names that stand for nothing, selectors that hit nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::http::{Destination, HttpAction, SourceMatch};
use super::service::is_subset;
use super::virtual_service::{MESH, VirtualService};
use super::{Action, DestinationRule, Findings, Mesh, ObjectId, Telemetry, Template, host_matches};
use crate::fields::nearest;
use crate::source::{Place, Problem, Problems};

/// The look at a whole mesh.
pub(super) struct Links<'a> {
    pub mesh: &'a Mesh,
    /// Kinds of which an object could not be read: a name that stands for nothing may only be that one's.
    pub unread: &'a BTreeSet<&'a str>,
    pub findings: &'a mut Findings,
    pub problems: &'a mut Problems,
}

impl Links<'_> {
    /// Of `broken` ones some field has been refused already; what they name is looked at all the same.
    pub fn check(mut self, broken: &[&VirtualService]) {
        for service in broken {
            self.broken(service);
        }
        for service in &self.mesh.virtual_services {
            self.virtual_service(service);
        }
        self.rival_hosts();
        for rule in &self.mesh.destination_rules {
            if !rule.host.starts_with('*') && self.mesh.service(&rule.host).is_none() {
                self.unknown_host(&rule.host_place, &rule.host, &rule.id.namespace);
            }
            self.subsets(rule);
        }
        self.selectors();
        self.telemetries();
    }

    fn virtual_service(&mut self, service: &VirtualService) {
        let namespace = &service.id.namespace;
        if service.gateways.iter().all(|(gateway, _)| gateway == MESH) {
            for (host, place) in &service.hosts {
                let known = match host.starts_with('*') {
                    true => self.mesh.services.keys().any(|id| host_matches(host, &self.mesh.fqdn(id))),
                    false => self.mesh.service(host).is_some(),
                };
                if !known {
                    self.unknown_host(place, host, namespace);
                }
            }
        }
        for (gateway, place) in &service.gateways {
            self.gateway(gateway, place);
        }
        for route in &service.http {
            if let HttpAction::Forward(forwards) = &route.action {
                let sum: u64 = forwards.iter().map(|forward| u64::from(forward.weight)).sum();
                if forwards.len() > 1 && sum != 100 && sum > 0 {
                    let title =
                        format!("the weights sum to {sum}, not 100: they are taken as shares of {sum}");
                    self.findings.warnings.push(Problem::new(&route.place, title));
                }
                for forward in forwards {
                    self.destination(&forward.destination, service);
                    if forwards.len() > 1 && forward.weight == 0 {
                        let title = "a destination without weight among others gets no traffic";
                        self.findings.warnings.push(Problem::new(&forward.destination.place, title));
                    }
                }
            }
            for mirror in &route.mirrors {
                self.destination(&mirror.destination, service);
            }
            for matched in &route.matches {
                self.source(&matched.source, &matched.place, service);
            }
        }
        for route in &service.tcp {
            for forward in &route.forwards {
                self.destination(&forward.destination, service);
            }
            for matched in &route.matches {
                self.source(&matched.source, &route.place, service);
            }
        }
    }

    /// Only the destinations: all else depends on fields that may be the refused ones.
    fn broken(&mut self, service: &VirtualService) {
        let forwards = service.http.iter().flat_map(|route| match &route.action {
            HttpAction::Forward(forwards) => forwards.as_slice(),
            _ => &[],
        });
        let http = forwards.map(|forward| &forward.destination);
        let tcp = service.tcp.iter().flat_map(|route| &route.forwards).map(|forward| &forward.destination);
        // A host that could not be read has no first part.
        for destination in http.chain(tcp).filter(|destination| !destination.host.starts_with('.')) {
            self.destination(destination, service);
        }
    }

    fn gateway(&mut self, gateway: &str, place: &Place) {
        let known = self.mesh.gateways.keys().any(|id| id.to_string() == gateway);
        if gateway == MESH || known || self.unread.contains("Gateway") {
            return;
        }
        let names: Vec<String> = self.mesh.gateways.keys().map(ObjectId::to_string).collect();
        let problem = Problem::new(place, format!("unknown gateway `{gateway}`"));
        self.problems.push(with_names(problem, gateway, &names));
    }

    fn source(&mut self, source: &SourceMatch, place: &Place, service: &VirtualService) {
        for gateway in &source.gateways {
            self.gateway(gateway, place);
            if !service.bound_to(gateway) {
                let title =
                    format!("the match is for gateway `{gateway}`, to which {} is not bound", service.id);
                self.problems.push(Problem::new(place, title).help("add it to `spec.gateways`"));
            }
        }
        let labels = &source.labels;
        let asks = !labels.is_empty() || source.namespace.is_some();
        // Gateways carry labels too, but stand in no file.
        let doubtful = asks && source.gateways.is_empty() && service.in_mesh();
        let hit = |template: &Template| {
            is_subset(labels, &template.labels)
                && source.namespace.as_ref().is_none_or(|namespace| *namespace == template.namespace)
        };
        if doubtful && self.nobody(hit) {
            let of = source.namespace.as_ref().map(|namespace| format!(" in namespace `{namespace}`"));
            let with =
                if labels.is_empty() { String::new() } else { format!(" with the labels {}", show(labels)) };
            let title = format!("there is no workload{}{with}", of.unwrap_or_default());
            self.findings.warnings.push(Problem::new(source.place.as_ref().unwrap_or(place), title));
        }
    }

    fn destination(&mut self, destination: &Destination, owner: &VirtualService) {
        let Some(service) = self.mesh.service(&destination.host) else {
            return self.unknown_host(&destination.place, &destination.host, &owner.id.namespace);
        };
        if let Some(port) = destination.port
            && service.port(port).is_none()
            && !self.unread.contains("Service")
        {
            let ports: Vec<_> = service.ports.iter().map(|port| port.port.to_string()).collect();
            let title = format!("Service {} has no port {port}", service.id);
            self.problems.push(Problem::new(&destination.place, title).allowed(ports.join(", ")));
        }
        let Some(subset) = &destination.subset else { return };
        let rules = self.mesh.destination_rules.iter();
        let rules = rules.filter(|rule| host_matches(&rule.host, &destination.host));
        let names: Vec<String> =
            rules.flat_map(|rule| &rule.subsets).map(|subset| subset.name.clone()).collect();
        if !names.contains(subset) && !self.unread.contains("DestinationRule") {
            let title = format!("no DestinationRule defines subset `{subset}` of Service {}", service.id);
            self.problems.push(with_names(Problem::new(&destination.place, title), subset, &names));
        }
    }

    /// Two VirtualServices for one host: Istio would follow the older one and drop the other in silence.
    fn rival_hosts(&mut self) {
        let mut first: BTreeMap<(&str, &[String]), &VirtualService> = BTreeMap::new();
        for service in self.mesh.virtual_services.iter().filter(|service| service.in_mesh()) {
            for (host, place) in &service.hosts {
                let known = first.entry((host, &service.export_to)).or_insert(service);
                if known.id != service.id {
                    let title =
                        format!("host `{host}` already has VirtualService {} ({})", known.id, known.place);
                    let problem = Problem::new(place, title);
                    self.problems.push(problem.help("write all rules for a host in one VirtualService"));
                }
            }
        }
    }

    fn subsets(&mut self, rule: &DestinationRule) {
        let services = self.mesh.services.values();
        let services: Vec<_> =
            services.filter(|service| host_matches(&rule.host, &self.mesh.fqdn(&service.id))).collect();
        for subset in &rule.subsets {
            let hit = |pod: &Template| {
                is_subset(&subset.labels, &pod.labels)
                    && services.iter().any(|service| service.selects(&pod.namespace, &pod.labels))
            };
            if self.nobody(hit) {
                let title = format!("no workload is in subset `{}` ({})", subset.name, show(&subset.labels));
                self.findings.warnings.push(Problem::new(&subset.place, title));
            }
        }
    }

    fn selectors(&mut self) {
        for service in self.mesh.services.values().filter(|service| !service.selector.is_empty()) {
            if self.nobody(|pod| service.selects(&pod.namespace, &pod.labels)) {
                let title =
                    format!("Service {} selects no workload ({})", service.id, show(&service.selector));
                self.findings.warnings.push(Problem::new(&service.place, title));
            }
        }
        for policy in &self.mesh.peer_authentications {
            self.selects("PeerAuthentication", &policy.id, &policy.selector, &policy.place);
        }
        for policy in &self.mesh.authorization_policies {
            // In the root namespace it selects from the whole mesh, gateways as well, which stand in no file.
            if policy.id.namespace != self.mesh.settings.root_namespace {
                self.selects("AuthorizationPolicy", &policy.id, &policy.selector, &policy.place);
            }
            if policy.action == Action::Deny && policy.rules.is_empty() {
                let title = format!("AuthorizationPolicy {} has no rule, so it denies nothing", policy.id);
                self.findings.warnings.push(Problem::new(&policy.place, title));
            }
        }
    }

    /// Warns of a policy for certain workloads of its namespace where there are none.
    fn selects(&mut self, kind: &str, id: &ObjectId, selector: &BTreeMap<String, String>, place: &Place) {
        let hit = |pod: &Template| pod.namespace == id.namespace && is_subset(selector, &pod.labels);
        if !selector.is_empty() && self.nobody(hit) {
            let title = format!("{kind} {id} selects no workload ({})", show(selector));
            self.findings.warnings.push(Problem::new(place, title));
        }
    }

    fn telemetries(&mut self) {
        let root = &self.mesh.settings.root_namespace;
        let mut wide: BTreeMap<&str, &Telemetry> = BTreeMap::new();
        for telemetry in &self.mesh.telemetries {
            let namespace = telemetry.id.namespace.as_str();
            if telemetry.selector.is_empty() {
                let known = wide.entry(namespace).or_insert(telemetry);
                if known.id != telemetry.id {
                    // Istio would follow the older one and drop the other in silence.
                    let title = format!(
                        "namespace `{namespace}` already has Telemetry {} for all workloads ({})",
                        known.id, known.place
                    );
                    let problem = Problem::new(&telemetry.place, title);
                    self.problems.push(problem.help("write one, or give `spec.selector.matchLabels`"));
                }
                continue;
            }
            // Gateways are there too, and stand in no file.
            if namespace != root {
                self.selects("Telemetry", &telemetry.id, &telemetry.selector, &telemetry.place);
            }
        }
    }

    /// Whether no workload is hit; where none is known, nothing can be said.
    fn nobody(&self, hit: impl Fn(&Template) -> bool) -> bool {
        !self.mesh.templates.is_empty() && !self.mesh.templates.iter().any(hit)
    }

    fn unknown_host(&mut self, place: &Place, host: &str, namespace: &str) {
        if self.unread.contains("Service") {
            return;
        }
        let (title, wanted) = match ObjectId::from_fqdn(host, &self.mesh.settings.domain) {
            Some(id) => (format!("unknown service `{}` in namespace `{}`", id.name, id.namespace), id.name),
            None => (format!("unknown host `{host}`"), host.split('.').next().unwrap_or(host).to_owned()),
        };
        // A name of the own namespace may stay short, any other must be written in full.
        let services = self.mesh.services.keys();
        let names: Vec<String> = services
            .clone()
            .map(|id| if id.namespace == namespace { id.name.clone() } else { self.mesh.fqdn(id) })
            .collect();
        let problem = Problem::new(place, title);
        let exact = services.into_iter().find(|id| id.name == wanted);
        self.problems.push(match exact {
            Some(id) => problem.allowed(names.join(", ")).help(format!("write `{}`", self.mesh.fqdn(id))),
            None => with_names(problem, &wanted, &names),
        });
    }
}

fn with_names(problem: Problem, wanted: &str, names: &[String]) -> Problem {
    let problem =
        problem.allowed(if names.is_empty() { "none is defined".to_owned() } else { names.join(", ") });
    match nearest(wanted, names.iter().map(String::as_str)) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => problem,
    }
}

fn show(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}
