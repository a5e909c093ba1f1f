//! The mesh as checked values: services, templates, routes, policies.
//!
//! ```text
//! Object ─► VirtualService ──host──► Service ◄──host── DestinationRule (subsets)
//!               │ gateways             │ selector            │ labels
//!               ▼                      ▼                     ▼
//!            Gateway                Template / Workload ◄────┘
//!                                      ▲ selector
//!                  AuthorizationPolicy, PeerAuthentication, Telemetry
//! ```
//!
//! What a person wrote is checked here once, and against everything else in the mesh; behind it there are only
//! checked values. Pods are facts of the run and come later, see [`Workload`].

mod authorization;
mod destination_rule;
mod gateway;
mod host;
mod http;
mod http_read;
mod links;
mod mtls;
mod part;
mod percent;
mod policy_read;
mod service;
mod telemetry;
mod traffic_policy;
mod virtual_service;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use authorization::{AccessRule, Action, Attribute, AuthorizationPolicy, Demand, Pattern};
pub use destination_rule::{DestinationRule, Subset};
pub use gateway::{Gateway, Server, ServerHost};
pub use host::{ObjectId, host_matches};
pub use http::{
    Abort, AbortStatus, Delay, Destination, Fault, Forward, HeaderOps, Headers, HttpAction, HttpMatch,
    HttpRoute, Mirror, Redirect, RedirectPort, RequestMatch, Retries, Rewrite, SourceMatch, StringMatch,
};
pub use mtls::{Mode, PeerAuthentication};
pub use part::Part;
pub use percent::Percent;
pub use service::{Protocol, Service, ServicePort, TargetPort, Template};
pub use telemetry::{DisabledMetrics, Metric, Reporter, Telemetry};
pub use traffic_policy::{ClientTls, LoadBalancer, Outlier, Pool, TlsMode, TrafficPolicy};
pub use virtual_service::{MESH, TcpForward, TcpMatch, TcpRoute, VirtualService};
pub use workload::{ContainerPort, GatewayProxy, State, Workload};

use links::Links;

use crate::fields::InertUse;
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub authorization_policies: Vec<Arc<AuthorizationPolicy>>,
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
        let parts: Vec<Part> = objects.into_iter().map(|object| Part::read(object, &settings)).collect();
        Self::from_parts(&parts, settings)
    }

    /// Checks each part against the others. The parts were read with the same settings.
    pub fn from_parts<'p>(
        parts: impl IntoIterator<Item = &'p Part>,
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
            authorization_policies: Vec::new(),
        };
        let mut parts: Vec<&Part> = parts.into_iter().collect();
        // Istio prefers the oldest of several objects; the name decides between those of one second.
        parts.sort_by(|one, other| one.age.cmp(&other.age));
        let mut unread = BTreeSet::new();
        let mut broken = Vec::new();
        for part in parts {
            if !part.problems.0.is_empty() {
                unread.insert(part.kind.as_str());
                problems.extend(part.problems.clone());
            }
            findings.inert.extend(part.inert.iter().cloned());
            broken.extend(&part.broken);
            if let Some(said) = &part.said {
                mesh.add(said.clone());
            }
        }
        let links = Links { mesh: &mesh, unread: &unread, findings: &mut findings, problems: &mut problems };
        links.check(&broken);
        findings.warnings.sort();
        findings.inert.sort();
        problems.into_result((mesh, findings))
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
