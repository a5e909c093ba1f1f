//! Services and the templates of pods.

use std::collections::BTreeMap;

use super::ObjectId;
use super::host::namespace_of;
use super::workload::ContainerPort;
use crate::object::{Node, Object};
use crate::source::{Place, Problem, Problems};

/// A Kubernetes Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub id: ObjectId,
    pub place: Place,
    pub selector: BTreeMap<String, String>,
    pub ports: Vec<ServicePort>,
    /// Endpoints are published before they are ready.
    pub publish_not_ready: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub name: String,
    pub port: u16,
    pub target: TargetPort,
    pub protocol: Protocol,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    Number(u16),
    Name(String),
}

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Http2,
    Grpc,
    Tcp,
}

impl Protocol {
    pub fn is_http(self) -> bool {
        self != Self::Tcp
    }

    /// Whether upstream connections speak HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }

    /// As Istio reads it: from `appProtocol`, else from the part of the port's name before the first hyphen.
    fn of(app_protocol: Option<&str>, name: &str) -> Option<Self> {
        let word = match app_protocol {
            Some("kubernetes.io/h2c") => "http2",
            Some(word) => word,
            None => name.split_once('-').map_or(name, |(prefix, _)| prefix),
        };
        match word.to_lowercase().as_str() {
            "http" => Some(Self::Http),
            "http2" | "h2c" => Some(Self::Http2),
            "grpc" => Some(Self::Grpc),
            "tcp" | "tls" | "https" | "redis" | "mongo" | "mysql" | "postgres" | "postgresql" | "amqp"
            | "kafka" => Some(Self::Tcp),
            _ => None,
        }
    }
}

impl Service {
    pub(super) fn read(object: &Object, problems: &mut Problems) -> Option<Self> {
        let spec = object.root().get("spec")?;
        let mut ports = Vec::new();
        for node in spec.items("ports") {
            ports.extend(read_port(object, &node, problems));
        }
        Some(Self {
            id: ObjectId::of(object),
            place: object.place("").clone(),
            selector: spec.texts("selector"),
            ports,
            publish_not_ready: spec.boolean("publishNotReadyAddresses").unwrap_or(false),
        })
    }

    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.port == number)
    }

    /// Whether a pod with these labels stands behind this service.
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.id.namespace == namespace && !self.selector.is_empty() && is_subset(&self.selector, labels)
    }
}

impl ServicePort {
    /// The port of a pod that this one leads to.
    pub fn target_in(&self, ports: &[ContainerPort]) -> Option<u16> {
        match &self.target {
            TargetPort::Number(port) => Some(*port),
            TargetPort::Name(name) => {
                ports.iter().find(|port| port.name.as_deref() == Some(name)).map(|port| port.port)
            }
        }
    }
}

fn read_port(object: &Object, node: &Node<'_>, problems: &mut Problems) -> Option<ServicePort> {
    let port = u16::try_from(node.integer("port")?).ok()?;
    let name = node.text("name").unwrap_or_default();
    if node.text("protocol").is_some_and(|protocol| protocol != "TCP") {
        let title = format!("port {port} of {} is not TCP", object.title());
        problems.push(Problem::new(node.place(), title).help("a sidecar takes TCP alone"));
        return None;
    }
    let Some(protocol) = Protocol::of(node.text("appProtocol"), name) else {
        let title = format!("port {port} of {} does not say what it speaks", object.title());
        let problem = Problem::new(node.place(), title).allowed("http, http2, grpc, tcp, redis, mongo, …");
        problems.push(problem.help("begin its `name` with the protocol (`http-web`), or give `appProtocol`"));
        return None;
    };
    let target = match node.get("targetPort") {
        None => TargetPort::Number(port),
        Some(target) => match target.value().as_u64().and_then(|number| u16::try_from(number).ok()) {
            Some(number) => TargetPort::Number(number),
            None => TargetPort::Name(target.as_str().to_owned()),
        },
    };
    Some(ServicePort { name: name.to_owned(), port, target, protocol, place: node.place().clone() })
}

/// What the pods of a Deployment will look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub namespace: String,
    pub workload: String,
    pub place: Place,
    pub labels: BTreeMap<String, String>,
    pub service_account: String,
}

impl Template {
    pub(super) fn read(object: &Object) -> Self {
        let template = object.root().path("spec.template");
        let labels = template.as_ref().and_then(|template| template.get("metadata"));
        let account = template.as_ref().and_then(|template| template.get("spec"));
        let account = account.as_ref().and_then(|spec| spec.text("serviceAccountName"));
        Self {
            namespace: namespace_of(object).to_owned(),
            workload: object.name().to_owned(),
            place: object.place("").clone(),
            labels: labels.map(|metadata| metadata.texts("labels")).unwrap_or_default(),
            service_account: account.unwrap_or("default").to_owned(),
        }
    }
}

/// Whether all of `wanted` are among `labels`.
pub(crate) fn is_subset(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_comes_from_app_protocol_then_from_the_name() {
        for (app, name, expected) in [
            (None, "http", Some(Protocol::Http)),
            (None, "http-web", Some(Protocol::Http)),
            (None, "grpc-api", Some(Protocol::Grpc)),
            (None, "web-http", None),
            (None, "", None),
            (Some("http2"), "tcp-x", Some(Protocol::Http2)),
            (Some("redis"), "", Some(Protocol::Tcp)),
        ] {
            assert_eq!(Protocol::of(app, name), expected, "{app:?} {name:?}");
        }
    }
}
