//! Istio's kinds: which have a table, which are refused by name.

use super::authorization_policy::AUTHORIZATION_POLICY;
use super::destination_rule::DESTINATION_RULE;
use super::gateway::GATEWAY;
use super::peer_authentication::PEER_AUTHENTICATION;
use super::telemetry::TELEMETRY;
use super::virtual_service::VIRTUAL_SERVICE;
use super::{Field, KindTable, METADATA, Shape, honoured, inert};

/// The tables of Istio's kinds.
pub const ISTIO: &[&KindTable] =
    &[&AUTHORIZATION_POLICY, &DESTINATION_RULE, &GATEWAY, &PEER_AUTHENTICATION, &TELEMETRY, &VIRTUAL_SERVICE];

/// Istio's kinds that no part of meshquake translates yet.
pub const REFUSED_KINDS: &[&str] = &[
    "EnvoyFilter",
    "ProxyConfig",
    "RequestAuthentication",
    "ServiceEntry",
    "Sidecar",
    "TrafficExtension",
    "WasmPlugin",
    "WorkloadEntry",
    "WorkloadGroup",
];

pub(super) const NETWORKING: &[&str] =
    &["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];
pub(super) const SECURITY: &[&str] = &["security.istio.io/v1", "security.istio.io/v1beta1"];

pub(super) const fn metadata() -> Field {
    honoured("metadata", Shape::Object(METADATA)).required()
}

pub(super) const fn status() -> Field {
    inert("status", Shape::Any, "written by controllers")
}

/// The table for a kind of Istio's in this version of its API.
pub fn of_istio(api_version: &str, kind: &str) -> Option<&'static KindTable> {
    ISTIO.iter().copied().find(|table| table.kind == kind && table.api_versions.contains(&api_version))
}
