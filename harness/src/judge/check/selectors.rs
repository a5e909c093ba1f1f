//! Selectors that no series can ever match: a metric, a label or a value that does not exist.

use std::collections::BTreeSet;

use meshquake_promql::Selector;

use super::Known;
use crate::judge::load::{ARRIVALS, BUCKETS, IN_FLIGHT, REQUESTS};

const ISTIO_METRICS: [&str; 14] = [
    "istio_requests_total",
    "istio_request_duration_milliseconds_bucket",
    "istio_request_duration_milliseconds_sum",
    "istio_request_duration_milliseconds_count",
    "istio_request_bytes_bucket",
    "istio_request_bytes_sum",
    "istio_request_bytes_count",
    "istio_response_bytes_bucket",
    "istio_response_bytes_sum",
    "istio_response_bytes_count",
    "istio_tcp_sent_bytes_total",
    "istio_tcp_received_bytes_total",
    "istio_tcp_connections_opened_total",
    "istio_tcp_connections_closed_total",
];

const LOAD_METRICS: [&str; 6] = [
    REQUESTS,
    BUCKETS,
    "meshquake_load_request_duration_seconds_sum",
    "meshquake_load_request_duration_seconds_count",
    ARRIVALS,
    IN_FLIGHT,
];

/// Why no series can ever be selected: a metric, a label or a value that does not exist.
pub(super) fn matches_nothing(selector: &Selector, known: &Known<'_>) -> Option<String> {
    let metric = selector.metric()?;
    let (metrics, labels): (&[&str], fn(&str) -> bool) = match metric {
        name if name.starts_with("istio_") => (&ISTIO_METRICS, is_istio_label),
        name if name.starts_with("meshquake_load_") => (&LOAD_METRICS, is_load_label),
        // What applications and Envoy itself count is not known before.
        _ => return None,
    };
    if !metrics.contains(&metric) {
        let nearest = crate::problem::nearest(metric, metrics.iter().copied());
        let hint = nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Some(format!("there is no metric `{metric}`{hint}"));
    }
    for matcher in selector.matchers() {
        let label = matcher.label();
        if label == meshquake_promql::METRIC_NAME || matcher.matches("") {
            continue;
        }
        if !labels(label) {
            return Some(format!("`{metric}` has no label `{label}`"));
        }
        let values = values_of(label, known);
        if !values.is_empty() && !values.iter().any(|value| matcher.matches(value)) {
            let all = values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
            return Some(format!("the values of `{label}` are {all}"));
        }
    }
    None
}

fn is_istio_label(label: &str) -> bool {
    let of_a_side = |rest: &str| {
        matches!(
            rest,
            "workload"
                | "workload_namespace"
                | "principal"
                | "app"
                | "version"
                | "cluster"
                | "canonical_service"
                | "canonical_revision"
                | "service"
                | "service_name"
                | "service_namespace"
        )
    };
    let side = label.strip_prefix("source_").or_else(|| label.strip_prefix("destination_"));
    side.is_some_and(of_a_side)
        || matches!(
            label,
            "reporter"
                | "request_protocol"
                | "response_code"
                | "response_flags"
                | "grpc_response_status"
                | "connection_security_policy"
                | "le"
        )
        || is_target_label(label)
}

fn is_load_label(label: &str) -> bool {
    matches!(label, "journey" | "request" | "status" | "outcome" | "le")
}

/// Labels that scraping adds; a backend may add its own.
fn is_target_label(label: &str) -> bool {
    matches!(
        label,
        "pod" | "namespace" | "container" | "node" | "instance" | "job" | "app" | "version" | "workload"
    )
}

/// All values of a label, where they are known before; else none.
fn values_of<'k>(label: &str, known: &Known<'k>) -> BTreeSet<&'k str> {
    let names = |names: &'k BTreeSet<String>| names.iter().map(String::as_str).collect::<BTreeSet<_>>();
    match label {
        "reporter" => ["source", "destination", "waypoint"].into(),
        "outcome" => ["ok", "failed"].into(),
        "journey" => names(known.journeys),
        "request" => names(known.requests),
        "source_workload" | "destination_workload" if !known.scene.edges.is_empty() => {
            let of_edges =
                known.scene.edges.iter().flat_map(|edge| [edge.source.as_str(), edge.destination.as_str()]);
            of_edges.chain(known.scene.gateway.as_deref()).chain(["unknown"]).collect()
        }
        _ => BTreeSet::new(),
    }
}
