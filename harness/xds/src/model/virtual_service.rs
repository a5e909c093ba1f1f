//! VirtualServices: hosts, the gateways they are bound to, and their routes.

use super::ObjectId;
use super::host::{exported, namespace_of, qualify};
use super::http::{Destination, HttpRoute, SourceMatch};
use super::http_read::{Reader, check_weights, weight};
use crate::object::Object;
use crate::source::{Place, Problem, Problems};

/// The gateway that stands for all sidecars.
pub const MESH: &str = "mesh";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    pub id: ObjectId,
    pub place: Place,
    /// Fully qualified, or with a leading `*`.
    pub hosts: Vec<(String, Place)>,
    /// `mesh`, or `namespace/name`.
    pub gateways: Vec<(String, Place)>,
    pub export_to: Vec<String>,
    pub http: Vec<HttpRoute>,
    pub tcp: Vec<TcpRoute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRoute {
    pub place: Place,
    pub matches: Vec<TcpMatch>,
    pub forwards: Vec<TcpForward>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpMatch {
    pub port: Option<u16>,
    pub source: SourceMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpForward {
    pub destination: Destination,
    pub weight: u32,
}

impl VirtualService {
    pub(super) fn read(object: &Object, domain: &str, problems: &mut Problems) -> Self {
        let namespace = namespace_of(object);
        let root = object.root();
        let spec = root.get("spec").unwrap_or_else(|| root.clone());
        let mut gateways: Vec<_> = spec
            .items("gateways")
            .iter()
            .map(|node| (gateway_name(node.as_str(), namespace), node.place().clone()))
            .collect();
        if gateways.is_empty() {
            gateways.push((MESH.to_owned(), object.place("").clone()));
        }
        let mut reader = Reader { namespace, domain, problems };
        let service = Self {
            id: ObjectId::of(object),
            place: object.place("").clone(),
            hosts: spec
                .items("hosts")
                .iter()
                .map(|node| (qualify(node.as_str(), namespace, domain), node.place().clone()))
                .collect(),
            gateways,
            export_to: spec.items("exportTo").iter().map(|node| node.as_str().to_owned()).collect(),
            http: spec.items("http").iter().map(|node| reader.route(node)).collect(),
            tcp: spec.items("tcp").iter().map(|node| read_tcp(node, &mut reader)).collect(),
        };
        if service.hosts.is_empty() {
            let title = format!("{} names no host", object.title());
            problems.push(Problem::new(spec.place(), title));
        } else if service.http.is_empty() && service.tcp.is_empty() {
            let title = format!("{} has no routes", object.title());
            problems.push(Problem::new(spec.place(), title).allowed("`http` or `tcp`"));
        }
        service
    }

    /// Whether sidecars follow it.
    pub fn in_mesh(&self) -> bool {
        self.bound_to(MESH)
    }

    /// Whether callers in this namespace follow it.
    pub fn seen_from(&self, namespace: &str) -> bool {
        exported(&self.export_to, &self.id.namespace, namespace)
    }

    pub fn bound_to(&self, gateway: &str) -> bool {
        self.gateways.iter().any(|(name, _)| name == gateway)
    }
}

fn read_tcp(node: &crate::object::Node<'_>, reader: &mut Reader<'_>) -> TcpRoute {
    let matches = node.items("match");
    let forwards: Vec<_> = node
        .items("route")
        .iter()
        .map(|node| TcpForward { destination: reader.destination(node), weight: weight(node) })
        .collect();
    let weights: Vec<_> = forwards.iter().map(|forward| forward.weight).collect();
    check_weights(node, &weights, reader.problems);
    TcpRoute {
        place: node.place().clone(),
        matches: matches
            .iter()
            .map(|node| TcpMatch {
                port: node.integer("port").and_then(|port| u16::try_from(port).ok()),
                source: reader.source(node),
            })
            .collect(),
        forwards,
    }
}

/// A gateway's name with its namespace; `mesh` stays as it is.
pub(super) fn gateway_name(name: &str, namespace: &str) -> String {
    if name == MESH || name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }
}
