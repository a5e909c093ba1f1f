//! Kubernetes' own kinds on backend `local`, field by field: honoured, inert or refused.
//!
//! The types and the checker are those of Istio's kinds ([`meshquake_xds::fields`]). A test holds every table
//! against the types of `k8s-openapi`: a field that Kubernetes has is named here, and no other.

mod core;
mod deployment;
mod pod;
#[cfg(test)]
mod probe;

use meshquake_xds::fields::{Field, KindTable, METADATA, Shape, honoured, inert};

/// The tables of Kubernetes' kinds, in the order in which a world is applied.
pub const KUBERNETES: &[&KindTable] = &[
    &core::NAMESPACE,
    &core::SERVICE_ACCOUNT,
    &core::CONFIG_MAP,
    &core::SECRET,
    &core::SERVICE,
    &deployment::DEPLOYMENT,
];

/// Kinds that a reader of Kubernetes knows and that do not run here, each with what to do instead.
pub const REFUSED_KINDS: &[(&str, &str)] = &[
    ("CronJob", "nothing here runs at a time of day"),
    ("DaemonSet", "there is one node; write a Deployment with one replica"),
    ("HorizontalPodAutoscaler", "scale by an action of the scenario: its moment is then known"),
    ("Ingress", "write a Gateway and a VirtualService"),
    ("Job", "jobs do not run on `local` yet"),
    ("NetworkPolicy", "loopback cannot show isolation; write an AuthorizationPolicy"),
    ("PersistentVolumeClaim", "a process has no volumes"),
    ("Pod", "write a Deployment with one replica, or nobody replaces the pod"),
    ("ReplicaSet", "write a Deployment"),
    ("Role", "there is no API server to allow anything at"),
    ("RoleBinding", "there is no API server to allow anything at"),
    ("StatefulSet", "write a Deployment; pods here have no stable names"),
];

/// The table for a kind of Kubernetes' own in this version of its API.
pub fn of_kubernetes(api_version: &str, kind: &str) -> Option<&'static KindTable> {
    KUBERNETES.iter().copied().find(|table| table.kind == kind && table.api_versions.contains(&api_version))
}

const fn metadata() -> Field {
    honoured("metadata", Shape::Object(METADATA)).required()
}

const fn status() -> Field {
    inert("status", Shape::Any, "written by controllers")
}

#[cfg(test)]
mod tests;
