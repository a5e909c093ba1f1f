//! Listeners in front of the pod's own app: mutual TLS, plain text, or whichever comes.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter,
};
use envoy_types::pb::envoy::config::route::v3::{
    self as route_pb, RetryPolicy, RouteConfiguration, RouteMatch, VirtualHost, route, route_action,
    route_match,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager,
};

use super::clusters::inbound_name;
use super::listeners::{http_filter, http_filter_of, manager, tcp_filter};
use super::proto::{address, any, boolean, duration, uint32};
use super::telemetry::Side;
use super::tls::{self, ALPN};
use super::{peer_metadata, rbac};
use crate::intent::{Inbound, ProxyIntent};
use crate::model::{Mode, Protocol};

pub fn listener(inbound: &Inbound, intent: &ProxyIntent) -> Listener {
    let inspector = ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any(TlsInspector::default()))),
        ..ListenerFilter::default()
    };
    let inspects = inbound.mode != Mode::Disable;
    Listener {
        name: format!("inbound|{}||", inbound.port),
        address: Some(address(SocketAddr::new(intent.address, inbound.port))),
        filter_chains: chains(inbound, intent),
        listener_filters: if inspects { vec![inspector] } else { vec![] },
        // A client that waits for the server to speak first sends nothing to inspect.
        continue_on_listener_filters_timeout: inspects && inbound.mode == Mode::Permissive,
        listener_filters_timeout: inspects.then(|| duration(Duration::from_secs(5))),
        traffic_direction: TrafficDirection::Inbound.into(),
        ..Listener::default()
    }
}

fn chains(inbound: &Inbound, intent: &ProxyIntent) -> Vec<FilterChain> {
    let http = inbound.protocol.is_http();
    let mutual = |alpn: &[&str]| FilterChain {
        name: "mutual-tls".to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: "tls".to_owned(),
            application_protocols: alpn.iter().map(|&name| name.to_owned()).collect(),
            ..FilterChainMatch::default()
        }),
        filters: app(inbound, intent, true),
        transport_socket: Some(tls::downstream(http)),
        ..FilterChain::default()
    };
    let plain = |transport_protocol: &str| FilterChain {
        name: if transport_protocol == "tls" { "foreign-tls" } else { "plain-text" }.to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: transport_protocol.to_owned(),
            ..FilterChainMatch::default()
        }),
        filters: app(inbound, intent, false),
        ..FilterChain::default()
    };
    match inbound.mode {
        Mode::Strict => vec![mutual(&[])],
        Mode::Permissive => {
            let mut chains = vec![mutual(&[ALPN]), plain("raw_buffer")];
            if !http {
                // An app may speak TLS of its own.
                chains.push(plain("tls"));
            }
            chains
        }
        Mode::Disable => vec![plain("")],
    }
}

/// On to the app, for whoever may; `mutual` says whether the caller has shown a certificate.
fn app(inbound: &Inbound, intent: &ProxyIntent, mutual: bool) -> Vec<Filter> {
    let side = Side::Destination(intent, inbound);
    let cluster = inbound_name(inbound.port);
    if !inbound.protocol.is_http() {
        let mut filters = rbac::tcp(&intent.authorization);
        filters.push(tcp_filter(&[(cluster, 0)], side));
        return filters;
    }
    use http_connection_manager::{ForwardClientCertDetails, SetCurrentClientCertDetails};
    let details = match mutual {
        true => ForwardClientCertDetails::AppendForward,
        false => ForwardClientCertDetails::Sanitize,
    };
    let mut http_filters = vec![http_filter_of(peer_metadata::FILTER, any(peer_metadata::reader()))];
    http_filters.extend(rbac::http(&intent.authorization));
    http_filters.push(http_filter_of("envoy.filters.http.router", any(Router::default())));
    vec![http_filter(HttpConnectionManager {
        use_remote_address: boolean(false),
        forward_client_cert_details: details.into(),
        set_current_client_cert_details: mutual.then(|| SetCurrentClientCertDetails {
            subject: boolean(true),
            dns: true,
            uri: true,
            ..SetCurrentClientCertDetails::default()
        }),
        route_specifier: Some(http_connection_manager::RouteSpecifier::RouteConfig(routes(
            inbound, &cluster,
        ))),
        http_filters,
        ..manager("inbound", side)
    })]
}

/// Everything goes to the app, without a timeout.
fn routes(inbound: &Inbound, cluster: &str) -> RouteConfiguration {
    // A connection that the app closed while a request was on its way has had no effect yet.
    let retry = RetryPolicy {
        retry_on: "reset-before-request".to_owned(),
        num_retries: uint32(2),
        ..RetryPolicy::default()
    };
    let route = route_pb::Route {
        name: "default".to_owned(),
        r#match: Some(RouteMatch {
            path_specifier: Some(route_match::PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(route::Action::Route(route_pb::RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.to_owned())),
            timeout: Some(duration(Duration::ZERO)),
            max_stream_duration: Some(route_action::MaxStreamDuration {
                max_stream_duration: Some(duration(Duration::ZERO)),
                grpc_timeout_header_max: Some(duration(Duration::ZERO)),
                ..Default::default()
            }),
            retry_policy: (inbound.protocol != Protocol::Grpc).then_some(retry),
            ..route_pb::RouteAction::default()
        })),
        ..route_pb::Route::default()
    };
    RouteConfiguration {
        name: cluster.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: "app".to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            ..VirtualHost::default()
        }],
        validate_clusters: boolean(false),
        ..RouteConfiguration::default()
    }
}
