//! What one proxy is meant to do, in our own types, each node with its place.
//!
//! ```text
//! ProxyIntent
//! ├── inbound    a port of the pod: what it takes (mutual TLS, plain text) and where the app listens
//! ├── outbound   a port of a service: HTTP by a route table, TCP by clusters
//! ├── entries    a port of a gateway
//! ├── routes     tables of virtual hosts, named by port
//! ├── clusters   destinations: service, port, subset, and how they are treated
//! └── endpoints  who stands behind a cluster at this moment
//! ```
//!
//! Nothing here knows of Envoy's types or of how traffic is intercepted. `{}` of a [`ProxyIntent`] is the walk
//! that `explain` shows.

mod build;
mod clusters;
mod explain;
mod gateway;
mod routes;
mod sidecar;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use build::Fleet;
pub use clusters::ClusterBook;

use crate::model::{
    AuthorizationPolicy, DisabledMetrics, Fault, Headers, Mode, ObjectId, Percent, Protocol, Redirect,
    RequestMatch, Retries, Rewrite, TrafficPolicy,
};
use crate::source::Place;

/// All that one proxy is meant to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyIntent {
    /// `POD.NAMESPACE`
    pub id: String,
    pub role: Role,
    pub peer: Arc<Peer>,
    pub address: IpAddr,
    /// Which of Istio's metrics it does not write.
    pub disabled_metrics: DisabledMetrics,
    /// Who may call it: those that deny first.
    pub authorization: Vec<Arc<AuthorizationPolicy>>,
    pub inbound: Vec<Inbound>,
    pub outbound: Vec<Outbound>,
    pub entries: Vec<Entry>,
    pub routes: BTreeMap<String, RouteTable>,
    /// The same value for all proxies that go by the same rules.
    pub clusters: Arc<BTreeMap<String, Arc<Cluster>>>,
    /// By the name of their cluster.
    pub endpoints: Arc<BTreeMap<String, Arc<Vec<Endpoint>>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Sidecar,
    Gateway,
}

/// Who a proxy is to others: its identity, and the words that its metrics carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub workload: String,
    pub namespace: String,
    /// `unknown` where a pod has no such label.
    pub app: String,
    pub version: String,
    pub canonical_service: String,
    pub canonical_revision: String,
    /// The SPIFFE identity.
    pub principal: String,
}

impl Peer {
    /// Of whom nobody knows anything.
    pub fn unknown() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            workload: unknown(),
            namespace: unknown(),
            app: unknown(),
            version: unknown(),
            canonical_service: unknown(),
            canonical_revision: unknown(),
            principal: unknown(),
        }
    }
}

/// A port of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    pub port: u16,
    pub app: SocketAddr,
    pub protocol: Protocol,
    pub mode: Mode,
    /// Where the mode was said; `None` is the mesh's default.
    pub mode_place: Option<Place>,
    /// The service that leads here, with its host.
    pub service: Option<(ObjectId, String)>,
    pub place: Option<Place>,
}

/// A port of a service, as the pod reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    pub service: ObjectId,
    pub host: String,
    pub port: u16,
    pub place: Place,
    pub kind: OutboundKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundKind {
    /// By the route table of that name.
    Http(String),
    /// To these clusters by weight.
    Tcp(Vec<(String, u32)>),
}

/// A port of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub port: u16,
    pub listens: Vec<SocketAddr>,
    pub table: String,
    pub place: Place,
}

/// The virtual hosts of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    pub name: String,
    pub hosts: Vec<VirtualHost>,
    /// Where a request goes whose host nobody knows: on to the service that it was sent to, by no rule at all and in
    /// plain text.
    pub passthrough: Vec<(ObjectId, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    pub place: Place,
    pub name: String,
    pub domains: Vec<String>,
    /// The service whose own addresses are names of this host too.
    pub service: Option<ObjectId>,
    pub routes: Vec<Route>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub place: Place,
    pub name: String,
    pub matches: RequestMatch,
    pub action: RouteAction,
    pub timeout: Option<Duration>,
    /// Some destination speaks gRPC: a caller's own `grpc-timeout` counts.
    pub grpc: bool,
    pub retries: Retries,
    pub fault: Fault,
    pub mirrors: Vec<(String, Percent)>,
    pub headers: Headers,
    pub rewrite: Option<Rewrite>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAction {
    Forward(Vec<Target>),
    Redirect { redirect: Redirect, port: u16 },
    Respond { status: u16, body: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub cluster: String,
    pub weight: u32,
    pub headers: Headers,
}

/// A port of a service, or of a subset of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    pub place: Place,
    pub service: ObjectId,
    pub host: String,
    pub port: u16,
    pub subset: String,
    pub protocol: Protocol,
    pub policy: TrafficPolicy,
    /// The identities that may answer.
    pub identities: Vec<String>,
    /// It is reached past the mesh: in plain text, and nobody says who it is.
    pub passthrough: bool,
}

impl Cluster {
    /// The name by which Istio's proxies ask for it.
    pub fn sni(&self) -> String {
        format!("outbound_.{}_.{}_.{}", self.port, self.subset, self.host)
    }
}

/// A pod behind a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: u16,
    /// Whether it takes mutual TLS.
    pub mtls: bool,
    pub peer: Arc<Peer>,
}

/// Where a request goes whose host nobody knows: to the pods of the service that it was sent to. Under Istio that is one
/// cluster for all, which asks the kernel where to.
pub fn passthrough_name(port: u16, host: &str) -> String {
    format!("passthrough|{port}||{host}")
}

/// `outbound|PORT|SUBSET|HOST`, as under Istio.
pub fn cluster_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}
