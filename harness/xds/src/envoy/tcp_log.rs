//! Istio's TCP metrics.

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, LogTypeFilter, access_log_filter,
};
use envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;

use super::access_log::{counter, logger};
use super::telemetry::{Side, tcp_tags};

/// One log at the connection, one at its end.
pub fn tcp(side: Side<'_>) -> Vec<AccessLog> {
    let tags = tcp_tags(side);
    let opened = AccessLog {
        filter: only(AccessLogType::TcpUpstreamConnected),
        ..logger(vec![counter("tcp_connections_opened_total", &tags, None)], vec![])
    };
    let closed = AccessLog {
        filter: only(AccessLogType::TcpConnectionEnd),
        ..logger(
            vec![
                counter("tcp_connections_closed_total", &tags, None),
                counter("tcp_sent_bytes_total", &tags, Some("%BYTES_SENT%")),
                counter("tcp_received_bytes_total", &tags, Some("%BYTES_RECEIVED%")),
            ],
            vec![],
        )
    };
    vec![opened, closed]
}

fn only(kind: AccessLogType) -> Option<AccessLogFilter> {
    Some(AccessLogFilter {
        filter_specifier: Some(access_log_filter::FilterSpecifier::LogTypeFilter(LogTypeFilter {
            types: vec![kind.into()],
            exclude: false,
        })),
    })
}
