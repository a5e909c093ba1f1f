//! Deployments as a scenario sees them: names, labels, versions, ports.

use std::collections::BTreeMap;

use meshquake_xds::object::Object;

use crate::problem::Place;

/// A pod with this annotation has a chaos switch.
pub const CHAOS_PORT: &str = "meshquake.dev/chaos-port";
/// Whether a pod's metrics may be read: the usual word, which Prometheus and Istio go by as well.
pub const SCRAPE: &str = "prometheus.io/scrape";

/// What a pod's own [`SCRAPE`] says of its metrics: they are read unless its author says that nobody should.
pub fn may_be_read(word: Option<&str>) -> bool {
    word != Some("false")
}

/// What a Deployment's pods will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub namespace: String,
    pub name: String,
    /// The labels of its pods.
    pub labels: BTreeMap<String, String>,
    pub replicas: u32,
    /// Its pods can misbehave on demand.
    pub chaos: bool,
    pub service_account: String,
    pub images: Vec<String>,
    pub ports: Vec<ContainerPort>,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    pub name: Option<String>,
    pub port: u16,
}

impl Deployment {
    /// `None` for what is no Deployment. It reads leniently: what is wrong was said by the check.
    pub fn read(object: &Object) -> Option<Self> {
        if object.kind() != "Deployment" {
            return None;
        }
        let root = object.root();
        let template = root.path("spec.template");
        let metadata = template.as_ref().and_then(|template| template.get("metadata"));
        let pod = template.as_ref().and_then(|template| template.get("spec"));
        let containers = pod.as_ref().map(|pod| pod.items("containers")).unwrap_or_default();
        let replicas = root.get("spec").and_then(|spec| spec.integer("replicas")).unwrap_or(1);
        let ports = containers.iter().flat_map(|container| container.items("ports"));
        Some(Self {
            namespace: namespace_of(object).to_owned(),
            name: object.name().to_owned(),
            labels: metadata.as_ref().map(|metadata| metadata.texts("labels")).unwrap_or_default(),
            replicas: u32::try_from(replicas).unwrap_or(0),
            chaos: metadata.is_some_and(|metadata| metadata.texts("annotations").contains_key(CHAOS_PORT)),
            service_account: pod
                .as_ref()
                .and_then(|pod| pod.text("serviceAccountName"))
                .unwrap_or("default")
                .to_owned(),
            images: containers
                .iter()
                .filter_map(|container| container.text("image"))
                .map(str::to_owned)
                .collect(),
            ports: ports
                .filter_map(|port| {
                    let number = u16::try_from(port.integer("containerPort")?).ok()?;
                    Some(ContainerPort { name: port.text("name").map(str::to_owned), port: number })
                })
                .collect(),
            place: object.place("").clone(),
        })
    }

    /// The label `app`, or the Deployment's own name.
    pub fn app(&self) -> &str {
        self.labels.get("app").map_or(&self.name, String::as_str)
    }

    /// The label `version`, or nothing.
    pub fn version(&self) -> &str {
        self.labels.get("version").map(String::as_str).unwrap_or_default()
    }

    pub fn workload(&self) -> Workload {
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        Workload { namespace, name, app: self.app().to_owned(), version: self.version().to_owned() }
    }
}

/// A Deployment as the labels of metrics name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    pub namespace: String,
    pub name: String,
    pub app: String,
    pub version: String,
}

/// A call that can happen between two workloads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub source: Workload,
    pub destination: Workload,
}

impl Edge {
    pub fn crosses_versions(&self) -> bool {
        self.source.version != self.destination.version
    }
}

/// The namespace of an object; where none is written it is `default`.
pub(super) fn namespace_of(object: &Object) -> &str {
    match object.namespace() {
        "" => "default",
        namespace => namespace,
    }
}
