//! Checks each object against the others: names that stand for nothing, selectors that hit nobody.

use std::collections::BTreeMap;

use super::http::{Destination, HttpAction, SourceMatch};
use super::service::is_subset;
use super::virtual_service::{MESH, VirtualService};
use super::{Findings, Mesh, ObjectId, host_matches};
use crate::fields::nearest;
use crate::source::{Place, Problem, Problems};

impl Mesh {
    pub(super) fn check_links(&self, findings: &mut Findings, problems: &mut Problems) {
        for service in &self.virtual_services {
            self.check_virtual_service(service, findings, problems);
        }
        self.check_rival_hosts(problems);
        for rule in &self.destination_rules {
            if !rule.host.starts_with('*') && self.service(&rule.host).is_none() {
                problems.push(self.unknown_host(&rule.host_place, &rule.host, &rule.id.namespace));
            }
            self.check_subsets(rule, findings);
        }
        self.check_selectors(findings);
    }

    fn check_virtual_service(
        &self,
        service: &VirtualService,
        findings: &mut Findings,
        problems: &mut Problems,
    ) {
        let namespace = &service.id.namespace;
        if service.gateways.iter().all(|(gateway, _)| gateway == MESH) {
            for (host, place) in &service.hosts {
                let known = match host.starts_with('*') {
                    true => self.services.keys().any(|id| host_matches(host, &self.fqdn(id))),
                    false => self.service(host).is_some(),
                };
                if !known {
                    problems.push(self.unknown_host(place, host, namespace));
                }
            }
        }
        for (gateway, place) in &service.gateways {
            self.check_gateway(gateway, place, problems);
        }
        for route in &service.http {
            if let HttpAction::Forward(forwards) = &route.action {
                for forward in forwards {
                    self.check_destination(&forward.destination, service, problems);
                    if forwards.len() > 1 && forward.weight == 0 {
                        let title = "a destination without weight among others gets no traffic";
                        findings.warnings.push(Problem::new(&forward.destination.place, title));
                    }
                }
            }
            for mirror in &route.mirrors {
                self.check_destination(&mirror.destination, service, problems);
            }
            for matched in &route.matches {
                self.check_source(&matched.source, &matched.place, service, findings, problems);
            }
        }
        for route in &service.tcp {
            for forward in &route.forwards {
                self.check_destination(&forward.destination, service, problems);
            }
            for matched in &route.matches {
                self.check_source(&matched.source, &route.place, service, findings, problems);
            }
        }
    }

    fn check_gateway(&self, gateway: &str, place: &Place, problems: &mut Problems) {
        let known = self.gateways.keys().any(|id| id.to_string() == gateway);
        if gateway == MESH || known {
            return;
        }
        let names: Vec<String> = self.gateways.keys().map(ObjectId::to_string).collect();
        let problem = Problem::new(place, format!("unknown gateway `{gateway}`"));
        problems.push(with_names(problem, gateway, &names));
    }

    fn check_source(
        &self,
        source: &SourceMatch,
        place: &Place,
        service: &VirtualService,
        findings: &mut Findings,
        problems: &mut Problems,
    ) {
        for gateway in &source.gateways {
            self.check_gateway(gateway, place, problems);
            if !service.bound_to(gateway) {
                let title =
                    format!("the match is for gateway `{gateway}`, to which {} is not bound", service.id);
                problems.push(Problem::new(place, title).help("add it to `spec.gateways`"));
            }
        }
        let labels = &source.labels;
        let asks = !labels.is_empty() || source.namespace.is_some();
        let hit = self.templates.iter().any(|template| {
            is_subset(labels, &template.labels)
                && source.namespace.as_ref().is_none_or(|namespace| *namespace == template.namespace)
        });
        // Gateways carry labels too, but stand in no file.
        if asks && source.gateways.is_empty() && !hit && !self.templates.is_empty() {
            let of = source.namespace.as_ref().map(|namespace| format!(" in namespace `{namespace}`"));
            let title = format!("no workload{} has the labels {}", of.unwrap_or_default(), show(labels));
            findings.warnings.push(Problem::new(source.place.as_ref().unwrap_or(place), title));
        }
    }

    fn check_destination(&self, destination: &Destination, owner: &VirtualService, problems: &mut Problems) {
        let Some(service) = self.service(&destination.host) else {
            let problem = self.unknown_host(&destination.place, &destination.host, &owner.id.namespace);
            return problems.push(problem);
        };
        if let Some(port) = destination.port
            && service.port(port).is_none()
        {
            let ports: Vec<_> = service.ports.iter().map(|port| port.port.to_string()).collect();
            let title = format!("Service {} has no port {port}", service.id);
            problems.push(Problem::new(&destination.place, title).allowed(ports.join(", ")));
        }
        let Some(subset) = &destination.subset else { return };
        let rules = self.destination_rules.iter().filter(|rule| host_matches(&rule.host, &destination.host));
        let names: Vec<String> =
            rules.flat_map(|rule| &rule.subsets).map(|subset| subset.name.clone()).collect();
        if !names.contains(subset) {
            let title = format!("no DestinationRule defines subset `{subset}` of Service {}", service.id);
            problems.push(with_names(Problem::new(&destination.place, title), subset, &names));
        }
    }

    /// Two VirtualServices for one host: Istio would follow the older one and drop the other in silence.
    fn check_rival_hosts(&self, problems: &mut Problems) {
        let mut first: BTreeMap<(&str, &[String]), &VirtualService> = BTreeMap::new();
        for service in self.virtual_services.iter().filter(|service| service.in_mesh()) {
            for (host, place) in &service.hosts {
                let known = first.entry((host, &service.export_to)).or_insert(service);
                if known.id != service.id && service.gateways.len() == 1 && known.gateways.len() == 1 {
                    let title =
                        format!("host `{host}` already has VirtualService {} ({})", known.id, known.place);
                    let problem = Problem::new(place, title);
                    problems.push(problem.help("write all rules for a host in one VirtualService"));
                }
            }
        }
    }

    fn check_subsets(&self, rule: &super::DestinationRule, findings: &mut Findings) {
        let services: Vec<_> = self
            .services
            .values()
            .filter(|service| host_matches(&rule.host, &self.fqdn(&service.id)))
            .collect();
        for subset in &rule.subsets {
            let hit = self.templates.iter().any(|template| {
                is_subset(&subset.labels, &template.labels)
                    && services.iter().any(|service| service.selects(&template.namespace, &template.labels))
            });
            if !hit && !self.templates.is_empty() {
                let title = format!("no workload is in subset `{}` ({})", subset.name, show(&subset.labels));
                findings.warnings.push(Problem::new(&subset.place, title));
            }
        }
    }

    fn check_selectors(&self, findings: &mut Findings) {
        if self.templates.is_empty() {
            return;
        }
        for service in self.services.values().filter(|service| !service.selector.is_empty()) {
            if !self.templates.iter().any(|pod| service.selects(&pod.namespace, &pod.labels)) {
                let title =
                    format!("Service {} selects no workload ({})", service.id, show(&service.selector));
                findings.warnings.push(Problem::new(&service.place, title));
            }
        }
        for policy in self.peer_authentications.iter().filter(|policy| !policy.selector.is_empty()) {
            let hit = |pod: &super::Template| {
                pod.namespace == policy.id.namespace && is_subset(&policy.selector, &pod.labels)
            };
            if !self.templates.iter().any(hit) {
                let title = format!(
                    "PeerAuthentication {} selects no workload ({})",
                    policy.id,
                    show(&policy.selector)
                );
                findings.warnings.push(Problem::new(&policy.place, title));
            }
        }
    }

    fn unknown_host(&self, place: &Place, host: &str, namespace: &str) -> Problem {
        let short = ObjectId::from_fqdn(host, &self.settings.domain);
        let (title, wanted) = match short {
            Some(id) => (format!("unknown service `{}` in namespace `{}`", id.name, id.namespace), id.name),
            None => (format!("unknown host `{host}`"), host.split('.').next().unwrap_or(host).to_owned()),
        };
        // A name of the own namespace may stay short, any other must be written in full.
        let names: Vec<String> = self
            .services
            .keys()
            .map(|id| if id.namespace == namespace { id.name.clone() } else { self.fqdn(id) })
            .collect();
        let exact = self.services.keys().find(|id| id.name == wanted);
        let problem = Problem::new(place, title);
        match exact {
            Some(id) => problem.allowed(names.join(", ")).help(format!("write `{}`", self.fqdn(id))),
            None => with_names(problem, &wanted, &names),
        }
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
