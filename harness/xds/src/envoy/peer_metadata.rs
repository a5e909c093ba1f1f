//! How a server learns who calls: identity comes with the certificate, workload and version by a header.
//!
//! The client's sidecar writes it over whatever an app put there; the server's sidecar turns it into metadata and
//! takes it off, so that no app ever sees it. As under Istio it is believed in plain text as well, where it could be
//! forged: it goes into metrics and decides nothing.

use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::{Config, config};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use super::proto::regex;
use crate::intent::Peer;

pub const HEADER: &str = "x-envoy-peer-metadata-lite";
pub const FILTER: &str = "envoy.filters.http.header_to_metadata";
/// Where the metadata lies: `%DYNAMIC_METADATA(istio.peer:workload)%`.
pub const NAMESPACE: &str = "istio.peer";

const FIELDS: [(&str, &str); 6] = [
    ("workload", "wl"),
    ("namespace", "ns"),
    ("app", "app"),
    ("version", "ver"),
    ("canonical_service", "cs"),
    ("canonical_revision", "cr"),
];

/// Names of workloads and values of labels hold neither `;` nor `=`.
pub fn encode(peer: &Peer) -> String {
    format!(
        "wl={};ns={};app={};ver={};cs={};cr={}",
        peer.workload,
        peer.namespace,
        peer.app,
        peer.version,
        peer.canonical_service,
        peer.canonical_revision
    )
}

/// The server's side.
pub fn reader() -> Config {
    let last = FIELDS.len() - 1;
    let rules = FIELDS.iter().enumerate().map(|(index, (key, short))| {
        let pair = |value: &str| config::KeyValuePair {
            metadata_namespace: NAMESPACE.to_owned(),
            key: (*key).to_owned(),
            value: value.to_owned(),
            ..config::KeyValuePair::default()
        };
        let rewrite = RegexMatchAndSubstitute {
            pattern: Some(regex(&format!("^(?:.*;)?{short}=([^;]*).*$"))),
            substitution: r"\1".to_owned(),
        };
        config::Rule {
            header: HEADER.to_owned(),
            on_header_present: Some(config::KeyValuePair { regex_value_rewrite: Some(rewrite), ..pair("") }),
            on_header_missing: Some(pair("unknown")),
            // The others still need it.
            remove: index == last,
            ..config::Rule::default()
        }
    });
    Config { request_rules: rules.collect(), ..Config::default() }
}
