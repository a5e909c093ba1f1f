//! Clusters: destinations, and how they are treated.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::{
    self as pb, CircuitBreakers, OutlierDetection, UpstreamConnectionOptions, circuit_breakers, cluster,
};
use envoy_types::pb::envoy::config::core::v3::{
    BindConfig, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as Common, TcpKeepalive,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{HttpProtocolOptions, http_protocol_options};
use envoy_types::pb::google::protobuf::Any;

use super::endpoints::TLS_MODE;
use super::proto::{address, ads, any, duration, metadata, percent, socket, texts, uint32};
use super::telemetry::UNKNOWN;
use super::tls;
use crate::intent::{Cluster, Inbound};
use crate::model::{LoadBalancer, Outlier, Pool, TlsMode, TrafficPolicy};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A destination; calls to it come from the pod's own address.
pub fn outbound(cluster: &Cluster, source: IpAddr) -> pb::Cluster {
    let policy = &cluster.policy;
    let pool = policy.pool.clone().unwrap_or_default();
    let http2 = cluster.protocol.is_http2() || (pool.upgrade_to_http2 && cluster.protocol.is_http());
    let mut out = pb::Cluster {
        name: cluster.name.clone(),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Eds.into())),
        eds_cluster_config: Some(cluster::EdsClusterConfig {
            eds_config: Some(ads()),
            service_name: String::new(),
        }),
        connect_timeout: Some(duration(pool.connect_timeout.unwrap_or(CONNECT_TIMEOUT))),
        lb_policy: lb_policy(policy.load_balancer).into(),
        circuit_breakers: Some(circuit_breakers(policy, &pool)),
        outlier_detection: policy.outlier.as_ref().map(outlier),
        common_lb_config: policy.outlier.as_ref().map(|outlier| cluster::CommonLbConfig {
            healthy_panic_threshold: Some(percent(f64::from(outlier.min_health_percent.unwrap_or(0)))),
            ..Default::default()
        }),
        upstream_bind_config: Some(BindConfig {
            source_address: Some(socket(source, 0)),
            ..BindConfig::default()
        }),
        upstream_connection_options: pool.keepalive.as_ref().map(keepalive),
        metadata: Some(metadata(vec![("istio", texts(&service_words(cluster)))])),
        typed_extension_protocol_options: http_options(&pool, cluster.protocol.is_http(), http2),
        ..pb::Cluster::default()
    };
    let mutual = |sni: Option<&str>, names: &[String]| {
        let names = if names.is_empty() { &cluster.identities } else { names };
        tls::upstream(sni.unwrap_or(&cluster.sni()), names, http2)
    };
    match &policy.tls {
        _ if cluster.passthrough => {}
        Some(tls) if tls.mode == TlsMode::Disable => {}
        Some(tls) => out.transport_socket = Some(mutual(tls.sni.as_deref(), &tls.alt_names)),
        // Each endpoint says whether it takes TLS.
        None => {
            out.transport_socket_matches = vec![
                cluster::TransportSocketMatch {
                    name: "tlsMode-istio".to_owned(),
                    r#match: Some(texts(&[TLS_MODE])),
                    transport_socket: Some(mutual(None, &[])),
                },
                cluster::TransportSocketMatch {
                    name: "tlsMode-disabled".to_owned(),
                    r#match: Some(texts(&[])),
                    transport_socket: Some(tls::plain()),
                },
            ];
        }
    }
    out
}

/// What metrics say of the service behind a cluster.
fn service_words(cluster: &Cluster) -> [(&str, &str); 3] {
    let (host, service, namespace) = match cluster.passthrough {
        true => (UNKNOWN, UNKNOWN, UNKNOWN),
        false => (cluster.host.as_str(), cluster.service.name.as_str(), cluster.service.namespace.as_str()),
    };
    [("host", host), ("service", service), ("namespace", namespace)]
}

/// The app behind an inbound listener.
pub fn inbound(inbound: &Inbound) -> pb::Cluster {
    let name = inbound_name(inbound.port);
    let endpoint = LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(Endpoint {
            address: Some(address(SocketAddr::new(inbound.app.ip(), inbound.app.port()))),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    pb::Cluster {
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(
            cluster::DiscoveryType::Static.into(),
        )),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        circuit_breakers: Some(circuit_breakers(&TrafficPolicy::default(), &Pool::default())),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.clone(),
            endpoints: vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() }],
            ..ClusterLoadAssignment::default()
        }),
        typed_extension_protocol_options: http_options(
            &Pool::default(),
            inbound.protocol.is_http(),
            inbound.protocol.is_http2(),
        ),
        name,
        ..pb::Cluster::default()
    }
}

pub fn inbound_name(port: u16) -> String {
    format!("inbound|{port}||")
}

fn lb_policy(balancer: Option<LoadBalancer>) -> cluster::LbPolicy {
    match balancer {
        None | Some(LoadBalancer::LeastRequest) => cluster::LbPolicy::LeastRequest,
        Some(LoadBalancer::Random) => cluster::LbPolicy::Random,
        Some(LoadBalancer::RoundRobin) => cluster::LbPolicy::RoundRobin,
    }
}

/// What is not set is no limit, unlike Envoy's own defaults.
fn circuit_breakers(policy: &TrafficPolicy, pool: &Pool) -> CircuitBreakers {
    let limit = |value: Option<u32>| uint32(value.unwrap_or(u32::MAX));
    let budget = policy.retry_budget.map(|(share, least)| circuit_breakers::thresholds::RetryBudget {
        budget_percent: Some(percent(share.value())),
        min_retry_concurrency: uint32(least),
        ..Default::default()
    });
    CircuitBreakers {
        thresholds: vec![circuit_breakers::Thresholds {
            max_connections: limit(pool.max_connections),
            max_pending_requests: limit(pool.max_pending),
            max_requests: limit(pool.max_requests),
            max_retries: limit(pool.max_retries),
            retry_budget: budget,
            track_remaining: true,
            ..Default::default()
        }],
        ..CircuitBreakers::default()
    }
}

/// A count that is given is enforced, 0 turns it off; success rates are never judged by.
fn outlier(outlier: &Outlier) -> OutlierDetection {
    let enforce = |count: Option<u32>| count.map(|count| if count > 0 { 100 } else { 0 }).and_then(uint32);
    OutlierDetection {
        consecutive_5xx: outlier.consecutive_5xx.and_then(uint32),
        enforcing_consecutive_5xx: enforce(outlier.consecutive_5xx),
        consecutive_gateway_failure: outlier.consecutive_gateway.and_then(uint32),
        enforcing_consecutive_gateway_failure: enforce(outlier.consecutive_gateway),
        split_external_local_origin_errors: outlier.split_local,
        consecutive_local_origin_failure: outlier.consecutive_local.and_then(uint32),
        enforcing_consecutive_local_origin_failure: enforce(outlier.consecutive_local),
        enforcing_success_rate: uint32(0),
        enforcing_local_origin_success_rate: if outlier.split_local { uint32(0) } else { None },
        interval: outlier.interval.map(duration),
        base_ejection_time: outlier.base_ejection.map(duration),
        max_ejection_percent: outlier.max_ejection_percent.and_then(uint32),
        ..OutlierDetection::default()
    }
}

fn keepalive(
    (probes, time, interval): &(Option<u32>, Option<Duration>, Option<Duration>),
) -> UpstreamConnectionOptions {
    let seconds = |time: Option<Duration>| {
        time.and_then(|time| uint32(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)))
    };
    UpstreamConnectionOptions {
        tcp_keepalive: Some(TcpKeepalive {
            keepalive_probes: probes.and_then(uint32),
            keepalive_time: seconds(*time),
            keepalive_interval: seconds(*interval),
        }),
        ..UpstreamConnectionOptions::default()
    }
}

fn http_options(pool: &Pool, http: bool, http2: bool) -> HashMap<String, Any> {
    if !http {
        return HashMap::new();
    }
    use http_protocol_options::explicit_http_config::ProtocolConfig;
    let protocol = if http2 {
        ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions {
            max_concurrent_streams: pool.max_concurrent_streams.and_then(uint32),
            ..Http2ProtocolOptions::default()
        })
    } else {
        ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())
    };
    let common = Common {
        idle_timeout: pool.http_idle_timeout.map(duration),
        max_connection_duration: pool.max_connection_duration.map(duration),
        max_requests_per_connection: pool.max_requests_per_connection.and_then(uint32),
        ..Common::default()
    };
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(common),
        upstream_protocol_options: Some(http_protocol_options::UpstreamProtocolOptions::ExplicitHttpConfig(
            http_protocol_options::ExplicitHttpConfig { protocol_config: Some(protocol) },
        )),
        ..HttpProtocolOptions::default()
    };
    HashMap::from([(HTTP_OPTIONS.to_owned(), any(options))])
}
