//! Listeners towards others: what a pod calls, and what a gateway takes in.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    DataSource, SubstitutionFormatString, TrafficDirection, data_source, substitution_format_string,
};
use envoy_types::pb::envoy::config::listener::v3::{
    AdditionalAddress, Filter, FilterChain, Listener, filter,
};
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3::{
    FilterStateValue, filter_state_value,
};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager, http_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::set_filter_state::v3::Config as SetFilterState;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use envoy_types::pb::google::protobuf::Any;

use super::interception::Interception;
use super::proto::{address, ads, any, boolean, duration};
use super::telemetry::Side;
use super::{Error, access_log, rbac, tcp_log};
use crate::intent::{Entry, Outbound, OutboundKind, ProxyIntent};

pub const FAULT_FILTER: &str = "envoy.filters.http.fault";
/// The filter state that holds the service whose address was called.
pub const SERVICE_STATE: &str = "meshquake.service";

/// A port of a service, at the address under which this pod calls it.
pub fn outbound(
    outbound: &Outbound,
    intent: &ProxyIntent,
    interception: &Interception,
) -> Result<Listener, Error> {
    let at = interception
        .service_address(&outbound.service)
        .ok_or_else(|| Error::NoAddress { proxy: intent.id.clone(), service: outbound.service.clone() })?;
    let side = Side::Source(intent);
    let filters = match &outbound.kind {
        OutboundKind::Http(table) => {
            let manager = HttpConnectionManager {
                use_remote_address: boolean(false),
                ..by_table("outbound", table, side)
            };
            vec![remember_service(&outbound.service.to_string()), http_filter(manager)]
        }
        OutboundKind::Tcp(clusters) => vec![tcp_filter(clusters, side)],
    };
    Ok(Listener {
        name: format!("outbound|{}||{}", outbound.port, outbound.host),
        address: Some(address(SocketAddr::new(at, outbound.port))),
        filter_chains: vec![FilterChain { filters, ..FilterChain::default() }],
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Listener::default()
    })
}

/// A port of a gateway.
pub fn entry(entry: &Entry, intent: &ProxyIntent) -> Listener {
    let manager = HttpConnectionManager {
        use_remote_address: boolean(true),
        // A load generator finds its requests again by the id that it gave them.
        preserve_external_request_id: true,
        ..by_table("gateway", &entry.table, Side::Source(intent))
    };
    let http_filters = [rbac::http(&intent.authorization), manager.http_filters].concat();
    let manager = HttpConnectionManager { http_filters, ..manager };
    let mut listens = entry.listens.iter().map(|at| address(*at));
    Listener {
        name: format!("gateway|{}", entry.port),
        address: listens.next(),
        additional_addresses: listens
            .map(|at| AdditionalAddress { address: Some(at), ..AdditionalAddress::default() })
            .collect(),
        filter_chains: vec![FilterChain { filters: vec![http_filter(manager)], ..FilterChain::default() }],
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Listener::default()
    }
}

/// The fault filter is always there, so that a fault is a change of routes alone.
fn by_table(stat_prefix: &str, table: &str, side: Side<'_>) -> HttpConnectionManager {
    HttpConnectionManager {
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: table.to_owned(),
        })),
        http_filters: vec![
            http_filter_of(FAULT_FILTER, any(HttpFault::default())),
            http_filter_of("envoy.filters.http.router", any(Router::default())),
        ],
        ..manager(stat_prefix, side)
    }
}

/// What all have in common.
pub fn manager(stat_prefix: &str, side: Side<'_>) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: stat_prefix.to_owned(),
        access_log: access_log::http(side),
        // Istio's: a stream may be idle for as long as it likes.
        stream_idle_timeout: Some(duration(Duration::ZERO)),
        normalize_path: boolean(true),
        internal_address_config: Some(http_connection_manager::InternalAddressConfig::default()),
        upgrade_configs: vec![http_connection_manager::UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..Default::default()
        }],
        ..HttpConnectionManager::default()
    }
}

pub fn http_filter_of(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

pub fn http_filter(manager: HttpConnectionManager) -> Filter {
    network_filter("envoy.filters.network.http_connection_manager", any(manager))
}

pub fn tcp_filter(clusters: &[(String, u32)], side: Side<'_>) -> Filter {
    let specifier = match clusters {
        [(only, _)] => tcp_proxy::ClusterSpecifier::Cluster(only.clone()),
        several => tcp_proxy::ClusterSpecifier::WeightedClusters(tcp_proxy::WeightedCluster {
            clusters: several
                .iter()
                .map(|(name, weight)| tcp_proxy::weighted_cluster::ClusterWeight {
                    name: name.clone(),
                    weight: *weight,
                    ..Default::default()
                })
                .collect(),
        }),
    };
    let proxy = TcpProxy {
        stat_prefix: "tcp".to_owned(),
        cluster_specifier: Some(specifier),
        access_log: tcp_log::tcp(side),
        access_log_options: Some(tcp_proxy::TcpAccessLogOptions {
            flush_access_log_on_connected: true,
            ..Default::default()
        }),
        ..TcpProxy::default()
    };
    network_filter("envoy.filters.network.tcp_proxy", any(proxy))
}

fn remember_service(service: &str) -> Filter {
    let value = FilterStateValue {
        key: Some(filter_state_value::Key::ObjectKey(SERVICE_STATE.to_owned())),
        factory_key: "envoy.string".to_owned(),
        value: Some(filter_state_value::Value::FormatString(SubstitutionFormatString {
            format: Some(substitution_format_string::Format::TextFormatSource(DataSource {
                specifier: Some(data_source::Specifier::InlineString(service.to_owned())),
                ..DataSource::default()
            })),
            ..SubstitutionFormatString::default()
        })),
        ..FilterStateValue::default()
    };
    let config = SetFilterState { on_new_connection: vec![value], ..SetFilterState::default() };
    network_filter("envoy.filters.network.set_filter_state", any(config))
}

pub fn network_filter(name: &str, config: Any) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(config)) }
}
