//! Istio's HTTP metrics, written by Envoy's access logger for statistics.

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::extensions::access_loggers::stats::v3::Config;
use envoy_types::pb::envoy::extensions::access_loggers::stats::v3::config::{
    Counter, Histogram, Stat, Tag, histogram,
};
use envoy_types::pb::envoy::r#type::v3::Scope;

use super::proto::{any, uint64};
use super::telemetry::{Side, http_tags};

pub fn http(side: Side<'_>) -> AccessLog {
    let tags = http_tags(side);
    let histogram = |name: &str, unit: histogram::Unit, value_format: &str| Histogram {
        stat: stat(name, &tags),
        unit: unit.into(),
        value_format: value_format.to_owned(),
    };
    logger(
        vec![counter("requests_total", &tags, None)],
        vec![
            histogram("request_duration_milliseconds", histogram::Unit::Milliseconds, "%DURATION%"),
            histogram("request_bytes", histogram::Unit::Bytes, "%BYTES_RECEIVED%"),
            histogram("response_bytes", histogram::Unit::Bytes, "%BYTES_SENT%"),
        ],
    )
}

/// Counts by 1, or by what the format says.
pub fn counter(name: &str, tags: &[Tag], value_format: Option<&str>) -> Counter {
    Counter {
        stat: stat(name, tags),
        value_format: value_format.unwrap_or_default().to_owned(),
        value_fixed: if value_format.is_none() { uint64(1) } else { None },
    }
}

/// Everything under the scope `istio`: Prometheus sees `envoy_istio_requests_total`.
pub fn logger(counters: Vec<Counter>, histograms: Vec<Histogram>) -> AccessLog {
    let config = Config {
        stats_scope: Some(Scope { prefix: "istio".to_owned(), ..Scope::default() }),
        counters,
        histograms,
        ..Config::default()
    };
    AccessLog {
        name: "envoy.access_loggers.stats".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(any(config))),
        ..AccessLog::default()
    }
}

fn stat(name: &str, tags: &[Tag]) -> Option<Stat> {
    Some(Stat { name: name.to_owned(), tags: tags.to_vec() })
}
