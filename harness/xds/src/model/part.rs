//! What one object says of the mesh by itself, read and checked without a look at the others.

use std::sync::Arc;

use super::{
    AuthorizationPolicy, DestinationRule, Gateway, Mesh, PeerAuthentication, Service, Settings, Telemetry,
    Template, VirtualService,
};
use crate::fields::{self, InertUse, REFUSED_KINDS};
use crate::object::Object;
use crate::source::{Problem, Problems};

/// The same object always makes the same part, so it can be kept as long as the object is.
#[derive(Clone, Debug)]
pub struct Part {
    /// When it was created, its namespace and its name.
    pub(super) age: [String; 3],
    pub(super) kind: String,
    pub(super) said: Option<Said>,
    /// Some field has been refused already; what it names is worth a look all the same.
    pub(super) broken: Option<VirtualService>,
    pub(super) inert: Vec<InertUse>,
    pub(super) problems: Problems,
}

#[derive(Clone, Debug)]
pub(super) enum Said {
    Service(Service),
    Template(Template),
    VirtualService(VirtualService),
    DestinationRule(Box<DestinationRule>),
    Gateway(Gateway),
    Telemetry(Telemetry),
    PeerAuthentication(PeerAuthentication),
    AuthorizationPolicy(Arc<AuthorizationPolicy>),
}

impl Part {
    /// Kinds that are no part of a mesh say nothing.
    pub fn read(object: &Object, settings: &Settings) -> Self {
        let created = object.value.pointer("/metadata/creationTimestamp");
        let created = created.and_then(serde_json::Value::as_str).unwrap_or_default();
        let mut part = Self {
            age: [created, object.namespace(), object.name()].map(str::to_owned),
            kind: object.kind().to_owned(),
            said: None,
            broken: None,
            inert: Vec::new(),
            problems: Problems::default(),
        };
        part.said = part.listen(object, &settings.domain);
        part
    }

    fn listen(&mut self, object: &Object, domain: &str) -> Option<Said> {
        match (object.api_version(), object.kind()) {
            ("v1", "Service") => Service::read(object, &mut self.problems).map(Said::Service),
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet") => {
                Some(Said::Template(Template::read(object)))
            }
            (version, _) if version.contains("istio.io/") => self.listen_to_istio(object, domain),
            _ => None,
        }
    }

    fn listen_to_istio(&mut self, object: &Object, domain: &str) -> Option<Said> {
        let Some(table) = fields::of_istio(object.api_version(), object.kind()) else {
            self.problems.push(unsupported(object));
            return None;
        };
        self.inert = fields::check(object, table, &mut self.problems);
        if !self.problems.0.is_empty() {
            if object.kind() == "VirtualService" {
                // What more is wrong with it may only follow from what was told already.
                let mut untold = Problems::default();
                self.broken = Some(VirtualService::read(object, domain, &mut untold));
            }
            return None;
        }
        let problems = &mut self.problems;
        Some(match object.kind() {
            "VirtualService" => Said::VirtualService(VirtualService::read(object, domain, problems)),
            "DestinationRule" => {
                Said::DestinationRule(Box::new(DestinationRule::read(object, domain, problems)))
            }
            "Gateway" => Said::Gateway(Gateway::read(object)),
            "Telemetry" => Said::Telemetry(Telemetry::read(object)),
            "AuthorizationPolicy" => {
                Said::AuthorizationPolicy(Arc::new(AuthorizationPolicy::read(object, problems)))
            }
            _ => Said::PeerAuthentication(PeerAuthentication::read(object, problems)),
        })
    }
}

impl Mesh {
    pub(super) fn add(&mut self, said: Said) {
        match said {
            Said::Service(service) => {
                self.services.insert(service.id.clone(), service);
            }
            Said::Template(template) => self.templates.push(template),
            Said::VirtualService(service) => self.virtual_services.push(service),
            Said::DestinationRule(rule) => self.destination_rules.push(*rule),
            Said::Gateway(gateway) => {
                self.gateways.insert(gateway.id.clone(), gateway);
            }
            Said::Telemetry(telemetry) => self.telemetries.push(telemetry),
            Said::PeerAuthentication(policy) => self.peer_authentications.push(policy),
            Said::AuthorizationPolicy(policy) => self.authorization_policies.push(policy),
        }
    }
}

fn unsupported(object: &Object) -> Problem {
    let (version, kind) = (object.api_version(), object.kind());
    let place = object.place("/kind");
    if let Some(table) = fields::ISTIO.iter().find(|table| table.kind == kind) {
        let title = format!("kind {kind} is not known in version `{version}`");
        return Problem::new(object.place("/apiVersion"), title).allowed(table.api_versions.join(", "));
    }
    let known = fields::ISTIO.iter().map(|table| table.kind);
    let allowed = known.clone().collect::<Vec<_>>().join(", ");
    if REFUSED_KINDS.contains(&kind) {
        let title = format!("kind {kind} of Istio is not supported yet");
        return Problem::new(place, title).allowed(allowed).beyond_local();
    }
    let problem = Problem::new(place, format!("unknown kind `{kind}` in `{version}`")).allowed(allowed);
    match fields::nearest(kind, known) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => problem,
    }
}
