//! The mesh as checked values: services, templates, routes, policies.
//!
//! ```text
//! Object ─► VirtualService ──host──► Service ◄──host── DestinationRule (subsets)
//!               │ gateways             │ selector            │ labels
//!               ▼                      ▼                     ▼
//!            Gateway                Template / Workload ◄────┘
//!                                      ▲ selector
//!                                PeerAuthentication, Telemetry
//! ```
//!
//! What a person wrote is checked here once, and against everything else in the mesh; behind it there are only
//! checked values. Pods are facts of the run and come later, see [`Workload`].

mod destination_rule;
mod gateway;
mod host;
mod http;
mod http_read;
mod links;
mod mtls;
mod policy_read;
mod service;
mod telemetry;
mod traffic_policy;
mod virtual_service;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

pub use destination_rule::{DestinationRule, Subset};
pub use gateway::{Gateway, Server, ServerHost};
pub use host::{ObjectId, host_matches};
pub use http::{
    Abort, AbortStatus, Delay, Destination, Fault, Forward, HeaderOps, Headers, HttpAction, HttpMatch,
    HttpRoute, Mirror, Redirect, RedirectPort, RequestMatch, Retries, Rewrite, SourceMatch, StringMatch,
};
pub use mtls::{Mode, PeerAuthentication};
pub use service::{Protocol, Service, ServicePort, TargetPort, Template};
pub use telemetry::{DisabledMetrics, Metric, Reporter, Telemetry};
pub use traffic_policy::{ClientTls, LoadBalancer, Outlier, Pool, TlsMode, TrafficPolicy};
pub use virtual_service::{MESH, TcpForward, TcpMatch, TcpRoute, VirtualService};
pub use workload::{ContainerPort, GatewayProxy, State, Workload};

use links::Links;

use crate::fields::{self, InertUse, REFUSED_KINDS};
use crate::object::Object;
use crate::source::{Problem, Problems};

/// What Istio keeps in its mesh configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The DNS domain of services.
    pub domain: String,
    /// The first part of every identity: `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
    pub trust_domain: String,
    /// Policies in this namespace hold for the whole mesh.
    pub root_namespace: String,
    /// Whether callers still see the endpoints of pods that are shutting down.
    pub keep_draining: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "cluster.local".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
            keep_draining: false,
        }
    }
}

/// The checked mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    pub settings: Settings,
    pub services: BTreeMap<ObjectId, Service>,
    /// Pods as they are meant to be: of Deployments.
    pub templates: Vec<Template>,
    /// In Istio's order: the oldest first.
    pub virtual_services: Vec<VirtualService>,
    pub destination_rules: Vec<DestinationRule>,
    pub gateways: BTreeMap<ObjectId, Gateway>,
    pub peer_authentications: Vec<PeerAuthentication>,
    pub telemetries: Vec<Telemetry>,
}

/// What is worth saying about a mesh that is not wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub inert: Vec<InertUse>,
    /// What is probably not meant: a selector that hits nobody.
    pub warnings: Vec<Problem>,
}

impl Mesh {
    /// Checks all objects, and each against the others; kinds that are no part of a mesh are passed over.
    pub fn from_objects<'o>(
        objects: impl IntoIterator<Item = &'o Object>,
        settings: Settings,
    ) -> Result<(Self, Findings), Problems> {
        let mut problems = Problems::default();
        let mut findings = Findings::default();
        let mut mesh = Self {
            settings,
            services: BTreeMap::new(),
            templates: Vec::new(),
            virtual_services: Vec::new(),
            destination_rules: Vec::new(),
            gateways: BTreeMap::new(),
            peer_authentications: Vec::new(),
            telemetries: Vec::new(),
        };
        let mut objects: Vec<&Object> = objects.into_iter().collect();
        objects.sort_by_key(|object| age(object));
        let mut unread = BTreeSet::new();
        let mut broken = Vec::new();
        for object in objects {
            let (before, routed) = (problems.0.len(), mesh.virtual_services.len());
            mesh.add(object, &mut findings, &mut problems);
            if problems.0.len() > before {
                unread.insert(object.kind().to_owned());
                if object.kind() == "VirtualService" && mesh.virtual_services.len() == routed {
                    // What more is wrong with it may only follow from what was told already.
                    let mut untold = Problems::default();
                    broken.push(VirtualService::read(object, &mesh.settings.domain, &mut untold));
                }
            }
        }
        let links = Links { mesh: &mesh, unread: &unread, findings: &mut findings, problems: &mut problems };
        links.check(&broken);
        findings.warnings.sort();
        findings.inert.sort();
        problems.into_result((mesh, findings))
    }

    fn add(&mut self, object: &Object, findings: &mut Findings, problems: &mut Problems) {
        let domain = self.settings.domain.clone();
        match (object.api_version(), object.kind()) {
            ("v1", "Service") => {
                if let Some(service) = Service::read(object, problems) {
                    self.services.insert(service.id.clone(), service);
                }
            }
            ("apps/v1", "Deployment") => self.templates.push(Template::read(object)),
            (version, kind) if version.contains("istio.io/") => {
                let Some(table) = fields::of_istio(version, kind) else {
                    return problems.push(unsupported(object));
                };
                let before = problems.0.len();
                findings.inert.extend(fields::check(object, table, problems));
                if problems.0.len() > before {
                    return;
                }
                match kind {
                    "VirtualService" => {
                        self.virtual_services.push(VirtualService::read(object, &domain, problems));
                    }
                    "DestinationRule" => {
                        self.destination_rules.push(DestinationRule::read(object, &domain, problems));
                    }
                    "Gateway" => {
                        let gateway = Gateway::read(object);
                        self.gateways.insert(gateway.id.clone(), gateway);
                    }
                    "Telemetry" => self.telemetries.push(Telemetry::read(object)),
                    _ => self.peer_authentications.push(PeerAuthentication::read(object, problems)),
                }
            }
            _ => {}
        }
    }

    /// The service behind a fully qualified host.
    pub fn service(&self, host: &str) -> Option<&Service> {
        let id = ObjectId::from_fqdn(host, &self.settings.domain)?;
        self.services.get(&id)
    }

    pub fn fqdn(&self, service: &ObjectId) -> String {
        format!("{}.{}.svc.{}", service.name, service.namespace, self.settings.domain)
    }
}

/// Istio prefers the oldest of several objects; the name decides between those of one second.
fn age(object: &Object) -> (&str, &str, &str) {
    let created = object.value.pointer("/metadata/creationTimestamp");
    let created = created.and_then(serde_json::Value::as_str).unwrap_or_default();
    (created, object.namespace(), object.name())
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
        return Problem::new(place, title).allowed(allowed);
    }
    let problem = Problem::new(place, format!("unknown kind `{kind}` in `{version}`")).allowed(allowed);
    match fields::nearest(kind, known) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => problem,
    }
}
