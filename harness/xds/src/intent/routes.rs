//! VirtualServices become the routes of one proxy: rules for other callers fall away here.

use std::collections::BTreeMap;

use super::{Route, RouteAction, Target, cluster_name};
use crate::model::{
    Destination, Fault, Headers, HttpAction, HttpMatch, HttpRoute, Mesh, Protocol, RequestMatch, Retries,
    Service, SourceMatch, VirtualService,
};

/// Who is asking: what the rules of a VirtualService are held against.
pub(super) struct Caller<'a> {
    pub labels: &'a BTreeMap<String, String>,
    pub namespace: &'a str,
    /// `mesh`, or the gateway that is being built.
    pub gateway: &'a str,
    /// The port that is listened on.
    pub port: u16,
}

impl Caller<'_> {
    /// As under Istio: where a match names gateways, nothing else is asked of the caller.
    fn fits(&self, source: &SourceMatch, port: Option<u16>) -> bool {
        if port.is_some_and(|port| port != self.port) {
            return false;
        }
        if !source.gateways.is_empty() {
            return source.gateways.iter().any(|gateway| gateway == self.gateway);
        }
        source.labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
            && source.namespace.as_ref().is_none_or(|namespace| namespace == self.namespace)
    }

    pub fn fits_tcp(&self, matched: &crate::model::TcpMatch) -> bool {
        self.fits(&matched.source, matched.port)
    }
}

impl Mesh {
    /// The routes of a VirtualService for one caller; empty when no rule is for it.
    pub(super) fn http_routes(&self, service: &VirtualService, caller: &Caller<'_>) -> Vec<Route> {
        let mut routes = Vec::new();
        for rule in &service.http {
            if rule.matches.is_empty() {
                routes.push(self.route(rule, None, caller));
                // Nothing behind it could ever be reached.
                return routes;
            }
            for matched in rule.matches.iter().filter(|matched| caller.fits(&matched.source, matched.port)) {
                routes.push(self.route(rule, Some(matched), caller));
                if matched.request.is_catch_all() {
                    return routes;
                }
            }
        }
        routes
    }

    fn route(&self, rule: &HttpRoute, matched: Option<&HttpMatch>, caller: &Caller<'_>) -> Route {
        let name = match matched.map(|matched| matched.name.as_str()) {
            Some(name) if !name.is_empty() => format!("{}.{name}", rule.name),
            _ => rule.name.clone(),
        };
        let cluster = |destination: &Destination| self.destination_cluster(destination, caller.port);
        let action = match &rule.action {
            HttpAction::Forward(forwards) => {
                let several = forwards.len() > 1;
                let targets = forwards.iter().filter(|forward| !several || forward.weight > 0);
                let targets = targets.map(|forward| Target {
                    cluster: cluster(&forward.destination),
                    weight: forward.weight,
                    headers: forward.headers.clone(),
                });
                RouteAction::Forward(targets.collect())
            }
            HttpAction::Redirect(redirect) => {
                RouteAction::Redirect { redirect: redirect.clone(), port: caller.port }
            }
            HttpAction::Respond { status, body } => {
                RouteAction::Respond { status: *status, body: body.clone() }
            }
        };
        Route {
            place: matched.map_or(&rule.place, |matched| &matched.place).clone(),
            name,
            matches: matched.map(|matched| matched.request.clone()).unwrap_or_default(),
            action,
            timeout: rule.timeout,
            grpc: match &rule.action {
                HttpAction::Forward(forwards) => {
                    forwards.iter().any(|forward| self.speaks_grpc(&forward.destination, caller.port))
                }
                _ => false,
            },
            retries: rule.retries.clone(),
            fault: rule.fault.clone(),
            mirrors: rule
                .mirrors
                .iter()
                .map(|mirror| (cluster(&mirror.destination), mirror.percent))
                .collect(),
            headers: rule.headers.clone(),
            rewrite: rule.rewrite.clone(),
        }
    }

    pub(super) fn destination_cluster(&self, destination: &Destination, called: u16) -> String {
        let port = self.destination_port(destination, called);
        cluster_name(port, destination.subset.as_deref().unwrap_or_default(), &destination.host)
    }

    /// The port is the one written, else the only one of the service, else the one that was called.
    fn destination_port(&self, destination: &Destination, called: u16) -> u16 {
        let only = self.service(&destination.host).and_then(|service| match service.ports.as_slice() {
            [only] => Some(only.port),
            _ => None,
        });
        destination.port.or(only).unwrap_or(called)
    }

    fn speaks_grpc(&self, destination: &Destination, called: u16) -> bool {
        let port = self.destination_port(destination, called);
        let port = self.service(&destination.host).and_then(|service| service.port(port));
        port.is_some_and(|port| port.protocol == Protocol::Grpc)
    }

    /// What becomes of a call to a service of which no VirtualService speaks.
    pub(super) fn default_route(&self, service: &Service, port: u16) -> Route {
        let cluster = cluster_name(port, "", &self.fqdn(&service.id));
        let target = Target { cluster, weight: 0, headers: Headers::default() };
        Route {
            place: service.place.clone(),
            name: "default".to_owned(),
            matches: RequestMatch::default(),
            action: RouteAction::Forward(vec![target]),
            timeout: None,
            grpc: service.port(port).is_some_and(|port| port.protocol == Protocol::Grpc),
            retries: Retries::default(),
            fault: Fault::default(),
            mirrors: Vec::new(),
            headers: Headers::default(),
            rewrite: None,
        }
    }
}
