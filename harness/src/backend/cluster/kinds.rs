//! Which kinds of objects a cluster has, and which of them belong to no namespace: of those that Kubernetes and Istio do
//! not bring in any case, only the cluster itself knows.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::GroupVersionKind;
use kube::discovery::{self, Scope};
use meshquake_xds::fields;
use meshquake_xds::object::Object;
use serde_json::Value;

use crate::error::chain;
use crate::world::fields::of_kubernetes;

#[derive(Debug, thiserror::Error)]
#[error("{} cannot be brought up here, so nothing was changed: {why}", .objects.join(", "))]
pub struct Error {
    /// With their places.
    objects: Vec<String>,
    why: String,
}

/// Kinds that belong to no namespace, as `apiVersion` and `kind`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    cluster_wide: BTreeSet<(String, String)>,
}

impl Kinds {
    /// Asks the cluster for the kinds of these objects that are not known by themselves.
    pub async fn of(client: &kube::Client, objects: &[Object]) -> Result<Self, Error> {
        let mut kinds = Self { cluster_wide: described(objects) };
        let mut unknown: BTreeMap<(&str, &str), Vec<&Object>> = BTreeMap::new();
        for object in objects.iter().filter(|object| !kinds.is_given(object, objects)) {
            unknown.entry((object.api_version(), object.kind())).or_default().push(object);
        }
        for ((version, kind), of_kind) in unknown {
            let (group, bare) = version.split_once('/').unwrap_or(("", version));
            let found = discovery::pinned_kind(client, &GroupVersionKind::gvk(group, bare, kind)).await;
            match found {
                Ok((_, capabilities)) if capabilities.scope == Scope::Cluster => {
                    kinds.cluster_wide.insert((version.to_owned(), kind.to_owned()));
                }
                Ok(_) => {}
                Err(error) => {
                    let why = match &error {
                        kube::Error::Api(status) if status.code == 404 => {
                            format!("the cluster has no kind {kind} in `{version}`")
                        }
                        kube::Error::Discovery(_) => {
                            format!("the cluster has no kind {kind} in `{version}`")
                        }
                        error => format!(
                            "the cluster does not say what {kind} in `{version}` is: {}",
                            chain(error)
                        ),
                    };
                    let named = |object: &&Object| format!("{} ({})", object.title(), object.place("/kind"));
                    return Err(Error { objects: of_kind.iter().map(named).collect(), why });
                }
            }
        }
        Ok(kinds)
    }

    /// Whether it can be told without the cluster where such an object lies.
    fn is_given(&self, object: &Object, all: &[Object]) -> bool {
        let (version, kind) = (object.api_version(), object.kind());
        let brought = of_kubernetes(version, kind).is_some() || fields::of_istio(version, kind).is_some();
        let by_the_world = all.iter().filter(|one| one.kind() == DEFINITION).any(|definition| {
            let text = |pointer: &str| definition.value.pointer(pointer).and_then(Value::as_str);
            let group = version.split_once('/').map_or("", |(group, _)| group);
            text("/spec/names/kind") == Some(kind) && text("/spec/group") == Some(group)
        });
        brought || by_the_world || self.is_cluster_wide(&object.value)
    }

    pub fn is_cluster_wide(&self, object: &Value) -> bool {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        CLUSTER_WIDE.contains(&kind) || self.cluster_wide.contains(&(version.to_owned(), kind.to_owned()))
    }
}

const DEFINITION: &str = "CustomResourceDefinition";
/// Those of Kubernetes itself that worlds are made of.
const CLUSTER_WIDE: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", DEFINITION, "Namespace"];

/// The cluster-wide kinds that a world defines itself.
fn described(objects: &[Object]) -> BTreeSet<(String, String)> {
    let definitions = objects.iter().filter(|object| object.kind() == DEFINITION);
    let wide = definitions.filter(|object| object.value["spec"]["scope"] == "Cluster");
    wide.flat_map(|object| {
        let spec = &object.value["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
        let versions = spec["versions"].as_array().cloned().unwrap_or_default();
        versions
            .iter()
            .map(|version| (format!("{group}/{}", text(&version["name"])), kind.clone()))
            .collect::<Vec<_>>()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use meshquake_xds::object::Places;
    use meshquake_xds::source::Place;
    use serde_json::json;

    use super::*;
    use crate::backend::cluster::fake_api;

    fn objects(values: impl IntoIterator<Item = Value>) -> Vec<Object> {
        let places = || Places::new(Place::new("base.yaml", 3));
        values.into_iter().map(|value| Object { value, places: places() }).collect()
    }

    fn widget() -> Value {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}})
    }

    #[tokio::test]
    async fn what_kubernetes_brings_is_not_asked_for() {
        let (client, asked) = fake_api::client(|_| None);
        let given = objects([
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}),
        ]);
        let kinds = Kinds::of(&client, &given).await.expect("known");
        assert!(!kinds.is_cluster_wide(&given[0].value) && kinds.is_cluster_wide(&given[1].value));
        assert_eq!(asked.all(), [""; 0]);
    }

    #[tokio::test]
    async fn a_kind_of_the_cluster_lies_where_the_cluster_says() {
        let (client, _) = fake_api::client(|line| {
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.com/v1",
                "resources": [{"name": "widgets", "singularName": "widget", "namespaced": false, "kind": "Widget",
                    "verbs": ["get", "list", "create", "delete"]}]});
            (line == "GET /apis/example.com/v1").then_some((200, list))
        });
        let there = objects([widget()]);
        assert!(Kinds::of(&client, &there).await.expect("known").is_cluster_wide(&there[0].value));
        let other =
            objects([json!({"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "w"}})]);
        let why = Kinds::of(&client, &other).await.expect_err("no such version").to_string();
        assert_eq!(
            why,
            "Widget w (base.yaml:3) cannot be brought up here, so nothing was changed: the cluster has no kind \
             Widget in `example.com/v2`"
        );
    }

    #[tokio::test]
    async fn a_world_may_bring_its_own_kinds() {
        let (client, asked) = fake_api::client(|_| None);
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": DEFINITION,
            "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Cluster",
                "names": {"kind": "Widget", "plural": "widgets"}, "versions": [{"name": "v1"}]}});
        let own = objects([definition, widget()]);
        assert!(Kinds::of(&client, &own).await.expect("described").is_cluster_wide(&own[1].value));
        assert_eq!(asked.all(), [""; 0]);
    }
}
