//! The order in which `kubectl kustomize` prints objects: what others need comes first.

use super::target::Id;
use crate::yaml::Node;

const FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

pub(super) fn sort(objects: &mut [Node]) {
    objects.sort_by_cached_key(|object| {
        let id = Id::of(object);
        let rank = |kinds: &[&str]| kinds.iter().position(|kind| *kind == id.kind);
        let position = match (rank(FIRST), rank(LAST)) {
            (Some(first), _) => first,
            (None, None) => FIRST.len(),
            (None, Some(last)) => FIRST.len() + 1 + last,
        };
        // An empty part sorts behind all names, as kustomize's own placeholders do.
        let or_last = |text: String| if text.is_empty() { "~".to_owned() } else { text };
        (position, or_last(id.group), id.version, id.kind, or_last(id.namespace), id.name)
    });
}
