//! Reads traffic policies.

use std::time::Duration;

use super::Percent;
use super::http_read::duration;
use super::traffic_policy::{ClientTls, LoadBalancer, Outlier, Pool, TlsMode, TrafficPolicy};
use crate::object::Node;
use crate::source::{Problem, Problems};

pub(super) fn traffic_policy(node: &Node<'_>, problems: &mut Problems) -> TrafficPolicy {
    let ports = node.items("portLevelSettings");
    let ports = ports.iter().filter_map(|node| {
        let number = node.get("port")?.integer("number")?;
        Some((u16::try_from(number).ok()?, traffic_policy(node, problems)))
    });
    let ports = ports.collect();
    TrafficPolicy {
        load_balancer: node.get("loadBalancer").and_then(|node| load_balancer(&node)),
        pool: node.get("connectionPool").map(|node| pool(&node)),
        outlier: node.get("outlierDetection").map(|node| outlier(&node)),
        tls: node.get("tls").map(|node| tls(&node, problems)),
        retry_budget: node.get("retryBudget").map(|node| {
            let percent = node.number("percent").map_or(Percent::whole(20), Percent::new);
            (percent, count(&node, "minRetryConcurrency").unwrap_or(3))
        }),
        ports,
    }
}

fn load_balancer(node: &Node<'_>) -> Option<LoadBalancer> {
    match node.text("simple")? {
        "RANDOM" => Some(LoadBalancer::Random),
        "ROUND_ROBIN" => Some(LoadBalancer::RoundRobin),
        _ => Some(LoadBalancer::LeastRequest),
    }
}

fn pool(node: &Node<'_>) -> Pool {
    let mut pool = Pool::default();
    if let Some(tcp) = node.get("tcp") {
        pool.max_connections = limit(&tcp, "maxConnections");
        pool.connect_timeout = duration(&tcp, "connectTimeout");
        pool.tcp_idle_timeout = duration(&tcp, "idleTimeout");
        pool.max_connection_duration = duration(&tcp, "maxConnectionDuration");
        pool.keepalive = tcp
            .get("tcpKeepalive")
            .map(|node| (count(&node, "probes"), duration(&node, "time"), duration(&node, "interval")));
    }
    if let Some(http) = node.get("http") {
        pool.max_pending = limit(&http, "http1MaxPendingRequests");
        pool.max_requests = limit(&http, "http2MaxRequests");
        pool.max_requests_per_connection = limit(&http, "maxRequestsPerConnection");
        pool.max_retries = limit(&http, "maxRetries");
        pool.http_idle_timeout = duration(&http, "idleTimeout");
        pool.max_concurrent_streams = limit(&http, "maxConcurrentStreams");
        pool.upgrade_to_http2 = http.text("h2UpgradePolicy") == Some("UPGRADE");
    }
    pool
}

fn outlier(node: &Node<'_>) -> Outlier {
    let whole = |name| duration(node, name).filter(|duration: &Duration| !duration.is_zero());
    Outlier {
        consecutive_5xx: count(node, "consecutive5xxErrors"),
        consecutive_gateway: count(node, "consecutiveGatewayErrors"),
        split_local: node.boolean("splitExternalLocalOriginErrors").unwrap_or(false),
        consecutive_local: count(node, "consecutiveLocalOriginFailures"),
        interval: whole("interval"),
        base_ejection: whole("baseEjectionTime"),
        max_ejection_percent: count(node, "maxEjectionPercent").filter(|percent| *percent > 0),
        min_health_percent: count(node, "minHealthPercent"),
    }
}

fn tls(node: &Node<'_>, problems: &mut Problems) -> ClientTls {
    let mode = match node.text("mode") {
        Some("ISTIO_MUTUAL") => TlsMode::IstioMutual,
        _ => TlsMode::Disable,
    };
    let alt_names: Vec<_> =
        node.items("subjectAltNames").iter().map(|name| name.as_str().to_owned()).collect();
    let sni = node.text("sni").filter(|sni| !sni.is_empty()).map(str::to_owned);
    if mode == TlsMode::Disable && (sni.is_some() || !alt_names.is_empty()) {
        let title = "`sni` and `subjectAltNames` mean nothing where TLS is disabled";
        problems.push(Problem::new(node.place(), title));
    }
    ClientTls { place: node.place().clone(), mode, sni, alt_names }
}

fn count(node: &Node<'_>, name: &str) -> Option<u32> {
    node.integer(name).and_then(|number| u32::try_from(number).ok())
}

/// Istio takes 0 for "not set".
fn limit(node: &Node<'_>, name: &str) -> Option<u32> {
    count(node, name).filter(|number| *number > 0)
}
