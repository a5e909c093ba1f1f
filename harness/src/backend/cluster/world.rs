//! A world as a cluster gets it: the objects as they are written, labelled with the run, in a namespace that injects
//! sidecars, with the images that the cluster can run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::kinds::Kinds;
use crate::world::World;

/// Whose everything is that we make.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const MESHQUAKE: &str = "meshquake";
/// Which run made it, and takes it away.
pub const RUN: &str = "meshquake.dev/run";
const CHAOS_PORT: &str = "meshquake.dev/chaos-port";
const CHAOS_ADDR: &str = "CHAOS_ADDR";

/// How namespaces ask for sidecars: label and value.
pub type Injection = (String, String);

/// Everything that a world puts into a cluster, what others need first.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Namespaces in which something of the world lies; the first is where the run keeps its state.
    pub namespaces: Vec<String>,
    /// Of them, those in which something of the world runs.
    pub workloads: BTreeSet<String>,
    /// Of them, those that the world itself describes.
    pub described: BTreeSet<String>,
    /// All objects but the namespaces.
    pub objects: Vec<Value>,
    /// The namespaces as they would be made.
    pub namespace_objects: BTreeMap<String, Value>,
}

/// `images` says what runs for an image of the world; what is not in it is pulled by the cluster.
pub fn place(
    world: &World,
    images: &BTreeMap<String, String>,
    run: &str,
    injection: &Injection,
    kinds: &Kinds,
) -> Placed {
    let mut placed = Placed {
        namespaces: vec![],
        workloads: BTreeSet::new(),
        described: BTreeSet::new(),
        objects: vec![],
        namespace_objects: BTreeMap::new(),
    };
    for object in &world.objects {
        let mut object = object.value.clone();
        label(&mut object["metadata"], run);
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if kind == "Namespace" {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            injected(&mut object, injection);
            placed.described.insert(name.clone());
            placed.namespace_objects.insert(name, object);
            continue;
        }
        if !kinds.is_cluster_wide(&object) {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
            object["metadata"]["namespace"] = json!(namespace);
            if !placed.namespaces.contains(&namespace) {
                placed.namespaces.push(namespace);
            }
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        if let Some(template) = object.pointer_mut("/spec/template").filter(|template| template.is_object()) {
            label(&mut template["metadata"], run);
            containers(template, images);
            placed.workloads.insert(namespace);
        }
        placed.objects.push(object);
    }
    for described in &placed.described {
        if !placed.namespaces.contains(described) {
            placed.namespaces.push(described.clone());
        }
    }
    // The state of the run lies where it goes with its namespace, if there is such a place.
    placed.namespaces.sort_by_key(|name| !placed.described.contains(name));
    for name in &placed.namespaces {
        placed.namespace_objects.entry(name.clone()).or_insert_with(|| {
            let mut made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            label(&mut made["metadata"], run);
            injected(&mut made, injection);
            made
        });
    }
    placed.objects.sort_by_key(|object| rank(object["kind"].as_str().unwrap_or_default()));
    placed
}

/// A person's own objects, as those of a run.
pub fn belonging(mut objects: Vec<Value>, run: &str, kinds: &Kinds) -> Vec<Value> {
    for object in &mut objects {
        label(&mut object["metadata"], run);
        if !kinds.is_cluster_wide(object) && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!("default");
        }
        if let Some(template) = object.pointer_mut("/spec/template").filter(|template| template.is_object()) {
            label(&mut template["metadata"], run);
        }
    }
    objects.sort_by_key(|object| rank(object["kind"].as_str().unwrap_or_default()));
    objects
}

/// What others need comes first: accounts and configuration, services, the mesh, and then what runs.
pub fn rank(kind: &str) -> u8 {
    match kind {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "ServiceAccount" | "ConfigMap" | "Secret" | "ClusterRole" | "Role" => 2,
        "ClusterRoleBinding" | "RoleBinding" | "PersistentVolumeClaim" => 3,
        "Service" => 4,
        "Deployment" | "StatefulSet" | "DaemonSet" => 6,
        "Job" | "CronJob" => 7,
        _ => 5,
    }
}

pub fn label(metadata: &mut Value, run: &str) {
    let fields = as_map(metadata);
    let labels = as_map(fields.entry("labels").or_insert_with(|| json!({})));
    labels.insert(RUN.to_owned(), json!(run));
    labels.entry(MANAGED_BY).or_insert_with(|| json!(MESHQUAKE));
}

/// A namespace that says itself how it wants its sidecars is left as it is.
fn injected(namespace: &mut Value, (name, value): &Injection) {
    let labels = as_map(as_map(&mut namespace["metadata"]).entry("labels").or_insert_with(|| json!({})));
    if injection_of(labels).is_none() {
        labels.insert(name.clone(), json!(value));
    } else if labels.get("istio-injection").is_some_and(|value| value == "enabled") && name == "istio.io/rev"
    {
        // The world asks for sidecars; which control plane gives them is the cluster's matter.
        labels.remove("istio-injection");
        labels.insert(name.clone(), json!(value));
    }
}

/// How a namespace with these labels says that it wants sidecars, or that it wants none.
pub fn injection_of(labels: &Map<String, Value>) -> Option<(&str, &str)> {
    ["istio-injection", "istio.io/rev"]
        .into_iter()
        .find_map(|name| Some((name, labels.get(name)?.as_str().unwrap_or_default())))
}

fn containers(template: &mut Value, images: &BTreeMap<String, String>) {
    let chaos = template["metadata"]["annotations"][CHAOS_PORT].as_str().map(str::to_owned);
    for list in ["initContainers", "containers"] {
        let Some(containers) = template["spec"][list].as_array_mut() else { continue };
        for container in containers {
            let image = container["image"].as_str().unwrap_or_default();
            if let Some(reference) = images.get(image) {
                container["image"] = json!(reference);
                // It was loaded; a registry may not even know it.
                container["imagePullPolicy"] = json!("IfNotPresent");
            }
            let Some(port) = chaos.as_deref().filter(|_| list == "containers") else { continue };
            let env = as_map(container).entry("env").or_insert_with(|| json!([]));
            let Some(env) = env.as_array_mut() else { continue };
            if !env.iter().any(|variable| variable["name"] == CHAOS_ADDR) {
                // Only the pod's own loopback: who may forward a port may switch.
                env.push(json!({"name": CHAOS_ADDR, "value": format!("127.0.0.1:{port}")}));
            }
        }
    }
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made a map above"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use meshquake_xds::source::Place;

    use super::*;

    fn pinning(images: &[(&str, &str)], injection: (&str, &str)) -> Placed {
        let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let world = World::load("pinning", None, &near, &Place::new("test", 1)).expect("the world");
        let images = images.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        place(&world, &images, "abcde", &(injection.0.to_owned(), injection.1.to_owned()), &Kinds::default())
    }

    #[test]
    fn everything_carries_the_run_and_deployments_come_last() {
        let placed =
            pinning(&[("meshquake/shop:dev", "meshquake/shop:0123")], ("istio-injection", "enabled"));
        assert_eq!(placed.namespaces, ["pinning"]);
        for object in placed.objects.iter().chain(placed.namespace_objects.values()) {
            assert_eq!(object["metadata"]["labels"][RUN], "abcde", "{object}");
            assert_eq!(object["metadata"]["labels"][MANAGED_BY], MESHQUAKE);
        }
        let kinds = placed.objects.iter().map(|object| object["kind"].as_str().unwrap()).collect::<Vec<_>>();
        let first = kinds.iter().position(|kind| *kind == "Deployment").expect("there are Deployments");
        assert!(kinds[first..].iter().all(|kind| *kind == "Deployment"), "{kinds:?}");
        let pod = &placed.objects[first]["spec"]["template"];
        assert_eq!(pod["metadata"]["labels"][RUN], "abcde");
        assert_eq!(pod["spec"]["containers"][0]["image"], "meshquake/shop:0123");
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let chaos = env.iter().filter(|variable| variable["name"] == CHAOS_ADDR).collect::<Vec<_>>();
        assert_eq!(chaos, [&json!({"name": CHAOS_ADDR, "value": "127.0.0.1:9900"})]);
    }

    #[test]
    fn a_revision_takes_the_place_of_the_default_label() {
        let placed = pinning(&[], ("istio.io/rev", "canary"));
        let labels = placed.namespace_objects["pinning"]["metadata"]["labels"].as_object().unwrap();
        assert_eq!(injection_of(labels), Some(("istio.io/rev", "canary")));
    }
}
