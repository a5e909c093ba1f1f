//! Kubernetes objects by one code path: a `kube::Client`, whoever answers it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, ValidationDirective,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Everything that meshquake writes is written under this name.
pub const FIELD_MANAGER: &str = "meshquake";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}")]
    Request {
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(
        "{object} was changed by someone else since (its version is {found}, {expected} was left behind)"
    )]
    Changed { object: String, found: String, expected: String },
    #[error("{what}: {reason}")]
    Shape { what: String, reason: String },
}

impl Error {
    /// Whether the object that was asked for is not there.
    pub fn is_absent(&self) -> bool {
        let Error::Request { source, .. } = self else { return false };
        matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404)
    }
}

fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let what = what.into();
    move |source| Error::Request { what, source: Box::new(source) }
}

/// Names one object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl ObjectRef {
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Reads the reference off an object.
    pub fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        Self::new(text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
    }

    fn resource(&self) -> ApiResource {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &self.kind))
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What a fault needs to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    pub ip: Option<String>,
    pub ready: bool,
    pub terminating: bool,
    pub phase: String,
    pub restarts: u32,
    /// What its container waits for: a crash loop, an image that is not there.
    pub trouble: Option<String>,
    /// When it was made, then its name: the order in which a seed picks.
    pub order: (String, String),
    /// Ports that its containers serve.
    pub ports: Vec<u16>,
    /// The port of the chaos switch, where the pod has one.
    pub chaos_port: Option<u16>,
}

impl PodFacts {
    fn of(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.clone().unwrap_or_default();
        let conditions = status.conditions.clone().unwrap_or_default();
        let waiting = containers.iter().find_map(|container| {
            let waiting = container.state.as_ref()?.waiting.as_ref()?;
            match (&waiting.reason, &waiting.message) {
                (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
                (reason, message) => reason.clone().or_else(|| message.clone()),
            }
        });
        let name = pod.metadata.name.clone().unwrap_or_default();
        let created =
            pod.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default();
        let annotations = pod.metadata.annotations.clone().unwrap_or_default();
        Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            ip: status.pod_ip,
            ready: conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            phase: status.phase.unwrap_or_default(),
            restarts: containers.iter().map(|container| container.restart_count.unsigned_abs()).sum(),
            trouble: waiting,
            order: (created, name.clone()),
            ports: pod
                .spec
                .iter()
                .flat_map(|spec| &spec.containers)
                .flat_map(|container| container.ports.iter().flatten())
                .filter_map(|port| u16::try_from(port.container_port).ok())
                .collect(),
            chaos_port: annotations.get("meshquake.dev/chaos-port").and_then(|port| port.parse().ok()),
            name,
        }
    }

    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// A Deployment's promise and how far it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentFacts {
    pub name: String,
    pub wanted: u32,
    pub ready: u32,
    pub selector: BTreeMap<String, String>,
}

/// The objects of one backend.
#[derive(Clone)]
pub struct Objects {
    client: kube::Client,
}

impl Objects {
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    fn dynamic(&self, object: &ObjectRef) -> Api<DynamicObject> {
        match object.namespace.as_str() {
            "" => Api::all_with(self.client.clone(), &object.resource()),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &object.resource()),
        }
    }

    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, Error> {
        let found =
            self.dynamic(object).get_opt(&object.name).await.map_err(request(format!("reading {object}")))?;
        Ok(found.map(|found| to_value(&found)))
    }

    /// All objects of a kind in a namespace.
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>, Error> {
        self.labelled(api_version, kind, namespace, "").await
    }

    /// Those of them that a selector chooses.
    pub async fn labelled(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, Error> {
        let any = ObjectRef::new(api_version, kind, namespace, "");
        let what = format!("listing {kind} in {namespace}");
        let chosen = ListParams::default().labels(selector);
        let found = self.dynamic(&any).list(&chosen).await.map_err(request(what))?;
        // A list leaves kind and version out of its items.
        Ok(found
            .items
            .iter()
            .map(|item| {
                let mut value = to_value(item);
                value["apiVersion"] = json!(api_version);
                value["kind"] = json!(kind);
                value
            })
            .collect())
    }

    /// Server-side apply under our one field manager; a conflict is reported, never forced.
    pub async fn apply(&self, object: &Value) -> Result<Value, Error> {
        self.apply_by(object, PatchParams::apply(FIELD_MANAGER)).await
    }

    /// [`Objects::apply`] that takes over fields of others, because a person says so.
    pub async fn take_over(&self, object: &Value) -> Result<Value, Error> {
        self.apply_by(object, PatchParams::apply(FIELD_MANAGER).force()).await
    }

    /// A field that the server does not know is an error, never dropped in silence.
    async fn apply_by(&self, object: &Value, params: PatchParams) -> Result<Value, Error> {
        let params = PatchParams { field_validation: Some(ValidationDirective::Strict), ..params };
        let reference = ObjectRef::of(object);
        let applied = self
            .dynamic(&reference)
            .patch(&reference.name, &params, &Patch::Apply(object))
            .await
            .map_err(request(format!("applying {reference}")))?;
        Ok(to_value(&applied))
    }

    pub async fn create(&self, object: &Value) -> Result<Value, Error> {
        let reference = ObjectRef::of(object);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let object = from_value(&reference, object.clone())?;
        let made = self
            .dynamic(&reference)
            .create(&params, &object)
            .await
            .map_err(request(format!("creating {reference}")))?;
        Ok(to_value(&made))
    }

    /// Replaces the object; the `resourceVersion` in it guards against changes by others.
    pub async fn replace(&self, object: &Value) -> Result<Value, Error> {
        let reference = ObjectRef::of(object);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let object = from_value(&reference, object.clone())?;
        let left = self
            .dynamic(&reference)
            .replace(&reference.name, &params, &object)
            .await
            .map_err(request(format!("replacing {reference}")))?;
        Ok(to_value(&left))
    }

    /// Deletes the object; not being there is fine.
    pub async fn delete(&self, object: &ObjectRef) -> Result<(), Error> {
        match self.dynamic(object).delete(&object.name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(|_| ()).map_err(request(format!("deleting {object}"))),
        }
    }

    pub async fn pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<PodFacts>, Error> {
        let selector =
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        let params = ListParams::default().labels(&selector);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = api.list(&params).await.map_err(request(format!("listing pods in {namespace}")))?;
        let mut pods = found.items.iter().map(PodFacts::of).collect::<Vec<_>>();
        pods.sort_by(|one, other| one.order.cmp(&other.order));
        Ok(pods)
    }

    /// Ends a pod at once, without a chance to drain.
    pub async fn kill(&self, namespace: &str, pod: &str) -> Result<(), Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        api.delete(pod, &now).await.map(|_| ()).map_err(request(format!("killing pod {namespace}/{pod}")))
    }

    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<DeploymentFacts, Error> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get(name).await.map_err(request(format!("reading Deployment {namespace}/{name}")))?;
        let spec = found.spec.unwrap_or_default();
        let status = found.status.unwrap_or_default();
        Ok(DeploymentFacts {
            name: name.into(),
            wanted: spec.replicas.unwrap_or(1).unsigned_abs(),
            ready: status.ready_replicas.unwrap_or(0).unsigned_abs(),
            selector: spec.selector.match_labels.unwrap_or_default(),
        })
    }

    pub async fn scale(&self, namespace: &str, name: &str, replicas: u32) -> Result<(), Error> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({"spec": {"replicas": replicas}});
        api.patch_scale(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(|_| ())
            .map_err(request(format!("scaling Deployment {namespace}/{name} to {replicas}")))
    }
}

fn to_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn from_value(reference: &ObjectRef, object: Value) -> Result<DynamicObject, Error> {
    serde_json::from_value(object)
        .map_err(|error| Error::Shape { what: reference.to_string(), reason: error.to_string() })
}

/// The object without what the server adds: two objects that say the same compare equal.
pub fn said(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in
            ["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields", "selfLink"]
        {
            metadata.remove(field);
        }
    }
    object
}

/// Whether two objects say the same: servers write 50.0 as 50.
pub fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let alike = |(name, value): (&String, &Value)| {
                other.get(name).is_some_and(|other| is_alike(value, other))
            };
            one.len() == other.len() && one.iter().all(alike)
        }
        (one, other) => one == other,
    }
}

pub fn version_of(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_the_same_however_it_is_written() {
        let one =
            json!({"fault": {"abort": {"percentage": {"value": 50.0}, "httpStatus": 503}}, "route": [1, 2]});
        let other =
            json!({"route": [1, 2], "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 50}}}});
        assert!(is_alike(&one, &other));
        for different in
            [json!({"route": [1, 2]}), json!({"route": [1, 2], "fault": {"abort": {"httpStatus": 503}}})]
        {
            assert!(!is_alike(&one, &different) && !is_alike(&different, &one), "{different}");
        }
        assert!(!is_alike(&json!([1]), &json!([1, 2])));
    }
}
