//! Istio's TCP metrics.

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, LogTypeFilter, access_log_filter,
};
use envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;

use super::access_log::{counter, logger};
use super::telemetry::{Side, tcp_tags};
use crate::model::Metric;

/// One log at the connection, one at its end, as far as either has something to write.
pub fn tcp(side: Side<'_>) -> Vec<AccessLog> {
    let tags = tcp_tags(side);
    let counter = |metric, value_format| counter(side, metric, &tags, value_format);
    let opened = [counter(Metric::TcpOpened, None)];
    let closed = [
        counter(Metric::TcpClosed, None),
        counter(Metric::TcpSent, Some("%BYTES_SENT%")),
        counter(Metric::TcpReceived, Some("%BYTES_RECEIVED%")),
    ];
    let log =
        |kind, counters: Vec<_>| logger(counters, vec![]).map(|log| AccessLog { filter: only(kind), ..log });
    let opened = log(AccessLogType::TcpUpstreamConnected, opened.into_iter().flatten().collect());
    let closed = log(AccessLogType::TcpConnectionEnd, closed.into_iter().flatten().collect());
    opened.into_iter().chain(closed).collect()
}

fn only(kind: AccessLogType) -> Option<AccessLogFilter> {
    Some(AccessLogFilter {
        filter_specifier: Some(access_log_filter::FilterSpecifier::LogTypeFilter(LogTypeFilter {
            types: vec![kind.into()],
            exclude: false,
        })),
    })
}
