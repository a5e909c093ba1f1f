//! Istio's HTTP metrics, written by Envoy's access logger for statistics.

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::extensions::access_loggers::stats::v3::Config;
use envoy_types::pb::envoy::extensions::access_loggers::stats::v3::config::{
    Counter, Histogram, Stat, Tag, histogram,
};
use envoy_types::pb::envoy::r#type::v3::Scope;

use super::proto::{any, uint64};
use super::telemetry::{Side, http_tags};
use crate::model::Metric;

/// The log of those metrics that are written, if any is.
pub fn http(side: Side<'_>) -> Vec<AccessLog> {
    let tags = http_tags(side);
    let histogram = |metric: Metric, unit: histogram::Unit, value_format: &str| {
        side.writes(metric).then(|| Histogram {
            stat: stat(metric, &tags),
            unit: unit.into(),
            value_format: value_format.to_owned(),
        })
    };
    let histograms = [
        histogram(Metric::RequestDuration, histogram::Unit::Milliseconds, "%DURATION%"),
        histogram(Metric::RequestBytes, histogram::Unit::Bytes, "%BYTES_RECEIVED%"),
        histogram(Metric::ResponseBytes, histogram::Unit::Bytes, "%BYTES_SENT%"),
    ];
    let requests = counter(side, Metric::Requests, &tags, None);
    logger(requests.into_iter().collect(), histograms.into_iter().flatten().collect()).into_iter().collect()
}

/// Counts by 1, or by what the format says.
pub fn counter(side: Side<'_>, metric: Metric, tags: &[Tag], value_format: Option<&str>) -> Option<Counter> {
    side.writes(metric).then(|| Counter {
        stat: stat(metric, tags),
        value_format: value_format.unwrap_or_default().to_owned(),
        value_fixed: if value_format.is_none() { uint64(1) } else { None },
    })
}

/// Everything under the scope `istio`: Prometheus sees `envoy_istio_requests_total`. `None` where there is nothing.
pub fn logger(counters: Vec<Counter>, histograms: Vec<Histogram>) -> Option<AccessLog> {
    if counters.is_empty() && histograms.is_empty() {
        return None;
    }
    let config = Config {
        stats_scope: Some(Scope { prefix: "istio".to_owned(), ..Scope::default() }),
        counters,
        histograms,
        ..Config::default()
    };
    Some(AccessLog {
        name: "envoy.access_loggers.stats".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(any(config))),
        ..AccessLog::default()
    })
}

fn stat(metric: Metric, tags: &[Tag]) -> Option<Stat> {
    Some(Stat { name: metric.name().to_owned(), tags: tags.to_vec() })
}
