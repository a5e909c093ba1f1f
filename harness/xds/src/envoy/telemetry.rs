//! The words of Istio's metrics: which label comes from where, for the caller's side and for the called.

use envoy_types::pb::envoy::extensions::access_loggers::stats::v3::config::Tag;

use super::peer_metadata::NAMESPACE;
use crate::intent::{Inbound, Peer, ProxyIntent};
use crate::model::{Metric, Reporter};

/// The statistics of Envoy's own that are worth keeping, as regular expressions over their names: what is left out
/// costs neither memory nor time when everything is scraped each second.
pub const KEPT_STATS: &[&str] = &[
    r"^istio\..*",
    r"^cluster_manager\.(active_clusters|warming_clusters|cds\.(update_success|update_rejected))$",
    r"^listener_manager\.(total_(listeners_(active|warming|draining)|filter_chains_draining)|lds\.(update_success|update_rejected))$",
    r"^server\.(live|state|uptime|memory_allocated|total_connections)$",
    r"^control_plane\.connected_state$",
    concat!(
        r"^cluster\.(?:in|out)bound\|\d+\|[^|]*\|(?:[a-z0-9-]+\.[a-z0-9-]+\.svc\.[a-z0-9.-]+?)?\.",
        r"(upstream_rq_(completed|retry|retry_success|pending_overflow)|upstream_cx_active|",
        r"membership_(total|healthy)|outlier_detection\.ejections_(active|enforced_total))$",
    ),
    r"^http\.(inbound|outbound|gateway)\.fault\.(aborts|delays)_injected$",
];

/// Labels that Envoy takes out of the names of its statistics, with the regular expression that finds each: by its own
/// rules it would cut the name of a cluster at the first dot. To be used without Envoy's default tags.
pub const STAT_TAGS: &[(&str, &str)] = &[(
    "cluster_name",
    r"^cluster\.(((?:in|out)bound\|\d+\|[^|]*\|(?:[a-z0-9-]+\.[a-z0-9-]+\.svc\.cluster\.local)?)\.)",
)];

pub const UNKNOWN: &str = "unknown";
const CLUSTER: &str = "Kubernetes";
const PROTOCOL: &str = "%CEL('content-type' in request.headers && \
                        request.headers['content-type'].startsWith('application/grpc') ? 'grpc' : 'http')%";
/// What [`Side`] knows of a peer that is not this proxy, each under its name in metadata.
const WORDS: [&str; 6] =
    ["workload", "namespace", "app", "version", "canonical_service", "canonical_revision"];

/// Who reports.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    /// The caller: the other one is known by the endpoint that was chosen.
    Source(&'a ProxyIntent),
    /// The called: the other one is known by its certificate and its header.
    Destination(&'a ProxyIntent, &'a Inbound),
}

impl Side<'_> {
    /// Whether this side of the proxy writes a metric.
    pub fn writes(self, metric: Metric) -> bool {
        let (intent, reporter) = match self {
            Side::Source(intent) => (intent, Reporter::Source),
            Side::Destination(intent, _) => (intent, Reporter::Destination),
        };
        !intent.disabled_metrics.contains_key(&(reporter, metric))
    }
}

/// The labels of HTTP metrics.
pub fn http_tags(side: Side<'_>) -> Vec<Tag> {
    let mut tags = peer_tags(side);
    tags.extend([
        tag("request_protocol", PROTOCOL),
        tag("response_code", "%RESPONSE_CODE%"),
        tag("response_flags", "%RESPONSE_FLAGS%"),
        tag("grpc_response_status", "%GRPC_STATUS_NUMBER%"),
    ]);
    tags
}

/// The labels of TCP metrics.
pub fn tcp_tags(side: Side<'_>) -> Vec<Tag> {
    let mut tags = peer_tags(side);
    tags.extend([tag("request_protocol", "tcp"), tag("response_flags", "%RESPONSE_FLAGS%")]);
    tags
}

fn peer_tags(side: Side<'_>) -> Vec<Tag> {
    let mut tags = Vec::new();
    match side {
        Side::Source(intent) => {
            tags.push(tag("reporter", "source"));
            own(&mut tags, "source", &intent.peer);
            tags.push(tag("source_principal", "%UPSTREAM_LOCAL_URI_SAN%"));
            other(&mut tags, "destination", |word| format!("%UPSTREAM_METADATA(istio:{word})%"));
            tags.extend([
                tag("destination_principal", "%UPSTREAM_PEER_URI_SAN%"),
                tag("destination_service", "%CLUSTER_METADATA(istio:host)%"),
                tag("destination_service_name", "%CLUSTER_METADATA(istio:service)%"),
                tag("destination_service_namespace", "%CLUSTER_METADATA(istio:namespace)%"),
                // As under Istio: the caller does not vouch for it.
                tag("connection_security_policy", UNKNOWN),
            ]);
        }
        Side::Destination(intent, inbound) => {
            tags.push(tag("reporter", "destination"));
            other(&mut tags, "source", |word| format!("%DYNAMIC_METADATA({NAMESPACE}:{word})%"));
            tags.push(tag("source_principal", "%DOWNSTREAM_PEER_URI_SAN%"));
            own(&mut tags, "destination", &intent.peer);
            let service = inbound.service.as_ref();
            let word = |word: Option<&str>| word.unwrap_or(UNKNOWN).to_owned();
            tags.extend([
                tag("destination_principal", "%DOWNSTREAM_LOCAL_URI_SAN%"),
                tag("destination_service", &word(service.map(|(_, host)| host.as_str()))),
                tag("destination_service_name", &word(service.map(|(id, _)| id.name.as_str()))),
                tag("destination_service_namespace", &word(service.map(|(id, _)| id.namespace.as_str()))),
                tag("connection_security_policy", "%CEL(connection.mtls ? 'mutual_tls' : 'none')%"),
            ]);
        }
    }
    tags
}

fn own(tags: &mut Vec<Tag>, side: &str, peer: &Peer) {
    let values = [
        &peer.workload,
        &peer.namespace,
        &peer.app,
        &peer.version,
        &peer.canonical_service,
        &peer.canonical_revision,
    ];
    for (word, value) in WORDS.into_iter().zip(values) {
        tags.push(tag(&label(side, word), value));
    }
    tags.push(tag(&format!("{side}_cluster"), CLUSTER));
}

fn other(tags: &mut Vec<Tag>, side: &str, format: impl Fn(&str) -> String) {
    for word in WORDS {
        tags.push(tag(&label(side, word), &format(word)));
    }
    tags.push(tag(&format!("{side}_cluster"), CLUSTER));
}

fn label(side: &str, word: &str) -> String {
    match word {
        "namespace" => format!("{side}_workload_namespace"),
        word => format!("{side}_{word}"),
    }
}

fn tag(name: &str, value_format: &str) -> Tag {
    Tag { name: name.to_owned(), value_format: value_format.to_owned(), ..Tag::default() }
}
