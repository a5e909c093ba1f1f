//! What a folder changes in all of its objects: namespace, labels, replicas, images.

use super::file::{ImageChange, Labels, Replicas};
use super::{Resource, edit};
use crate::problem::{Place, Problem, Problems, nearest};
use crate::yaml::{Node, Value};

/// Kinds without a namespace, as far as kustomize knows them.
const CLUSTER_SCOPED: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ComponentStatus",
    "CustomResourceDefinition",
    "FlowSchema",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// Kinds in which kustomize changes namespaces elsewhere than in the metadata.
const NAMES_OTHERS: &[&str] = &[
    "APIService",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "RoleBinding",
    "ValidatingWebhookConfiguration",
];

const SCALED: &[&str] = &["Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"];

/// Kinds with a pod template under `spec.template`, and whether the selector is a `matchLabels`.
const TEMPLATED: &[&str] = &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"];

pub(super) fn namespace(
    namespace: &str,
    place: &Place,
    resources: &mut [Resource],
    beyond: &mut Vec<(String, Place)>,
) {
    for resource in resources {
        let kind = resource.id().kind.clone();
        if NAMES_OTHERS.contains(&kind.as_str()) {
            beyond.push((format!("namespace (with an object of kind {kind})"), place.clone()));
        }
        let key = match kind.as_str() {
            "Namespace" => "name",
            kind if CLUSTER_SCOPED.contains(&kind) => continue,
            _ => "namespace",
        };
        if let Some(metadata) = edit::map_at(&mut resource.node, &["metadata"], true, place)
            && metadata.get(key).and_then(Node::as_text) != Some(namespace)
        {
            edit::set(metadata, key, edit::text(namespace, place), place);
        }
        resource.note_id();
    }
}

pub(super) fn labels(labels: &Labels, resources: &mut [Resource]) {
    for resource in resources {
        let kind = resource.id().kind.clone();
        let templated = TEMPLATED.contains(&kind.as_str());
        let mut paths: Vec<(&[&str], bool)> = vec![(&["metadata", "labels"], true)];
        if templated && (labels.selectors || labels.templates) {
            paths.push((&["spec", "template", "metadata", "labels"], true));
        }
        if matches!(kind.as_str(), "Job") && (labels.selectors || labels.templates) {
            paths.push((&["spec", "template", "metadata", "labels"], true));
        }
        if labels.selectors {
            match kind.as_str() {
                "Service" => paths.push((&["spec", "selector"], true)),
                "ReplicationController" => paths.push((&["spec", "selector"], true)),
                "Job" => paths.push((&["spec", "selector", "matchLabels"], false)),
                _ if templated => paths.push((&["spec", "selector", "matchLabels"], true)),
                _ => {}
            }
        }
        for (key, value, place) in &labels.pairs {
            for (path, create) in &paths {
                if let Some(map) = edit::map_at(&mut resource.node, path, *create, place) {
                    edit::set(map, key, edit::text(value, place), place);
                }
            }
        }
    }
}

pub(super) fn replicas(replicas: &Replicas, resources: &mut [Resource], problems: &mut Problems) {
    let mut names = Vec::new();
    let mut hit = false;
    for resource in resources {
        if !SCALED.contains(&resource.id().kind.as_str()) {
            continue;
        }
        names.push(resource.id().name.clone());
        if resource.ids.iter().all(|id| id.name != replicas.name) {
            continue;
        }
        hit = true;
        let count = Node { place: replicas.place.clone(), value: Value::Int(replicas.count) };
        if let Some(spec) = edit::map_at(&mut resource.node, &["spec"], true, &replicas.place) {
            edit::set(spec, "replicas", count, &replicas.place);
        }
    }
    if !hit {
        let mut problem = Problem::new(&replicas.place, format!("there is no `{}` to scale", replicas.name));
        match nearest(&replicas.name, names.iter().map(String::as_str)) {
            Some(near) => problem = problem.help(format!("did you mean `{near}`?")),
            None => problem = problem.allowed(names.join(", ")),
        }
        problems.push(problem);
    }
}

pub(super) fn image(change: &ImageChange, resources: &mut [Resource]) {
    for resource in resources {
        containers(&mut resource.node, change);
    }
}

/// Finds containers wherever they are, as kustomize does, so in templates of any kind.
fn containers(node: &mut Node, change: &ImageChange) {
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                if matches!(entry.key.as_str(), "containers" | "initContainers") {
                    let items = match &mut entry.node.value {
                        Value::List(items) => items.as_mut_slice(),
                        _ => &mut [],
                    };
                    for container in items {
                        let changed =
                            container.get("image").and_then(Node::as_text).and_then(|old| change.of(old));
                        if let Some(new) = changed {
                            edit::set(container, "image", edit::text(&new, &change.place), &change.place);
                        }
                    }
                } else {
                    containers(&mut entry.node, change);
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| containers(item, change)),
        _ => {}
    }
}

impl ImageChange {
    /// The image after the change, when this is the one to change.
    fn of(&self, image: &str) -> Option<String> {
        let rest = image.strip_prefix(&self.name)?;
        if !rest.is_empty() && !rest.starts_with([':', '@']) || rest.contains('/') {
            return None;
        }
        let name = self.new_name.as_deref().unwrap_or(&self.name);
        Some(match (&self.new_tag, &self.digest) {
            (Some(tag), Some(digest)) => format!("{name}:{tag}@{digest}"),
            (Some(tag), None) => format!("{name}:{tag}"),
            (None, Some(digest)) => format!("{name}@{digest}"),
            (None, None) => format!("{name}{rest}"),
        })
    }
}
