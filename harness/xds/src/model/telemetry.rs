//! Which metrics a workload writes: Telemetry and its order of precedence.

use std::collections::BTreeMap;

use super::service::is_subset;
use super::{Mesh, ObjectId};
use crate::object::{Node, Object};
use crate::source::Place;

/// One of Istio's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    Requests,
    RequestDuration,
    RequestBytes,
    ResponseBytes,
    TcpOpened,
    TcpClosed,
    TcpSent,
    TcpReceived,
}

impl Metric {
    pub const ALL: [Self; 8] = [
        Self::Requests,
        Self::RequestDuration,
        Self::RequestBytes,
        Self::ResponseBytes,
        Self::TcpOpened,
        Self::TcpClosed,
        Self::TcpSent,
        Self::TcpReceived,
    ];

    /// Its name in queries, without the `istio_` that all of them begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_total",
            Self::RequestDuration => "request_duration_milliseconds",
            Self::RequestBytes => "request_bytes",
            Self::ResponseBytes => "response_bytes",
            Self::TcpOpened => "tcp_connections_opened_total",
            Self::TcpClosed => "tcp_connections_closed_total",
            Self::TcpSent => "tcp_sent_bytes_total",
            Self::TcpReceived => "tcp_received_bytes_total",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Requests => "REQUEST_COUNT",
            Self::RequestDuration => "REQUEST_DURATION",
            Self::RequestBytes => "REQUEST_SIZE",
            Self::ResponseBytes => "RESPONSE_SIZE",
            Self::TcpOpened => "TCP_OPENED_CONNECTIONS",
            Self::TcpClosed => "TCP_CLOSED_CONNECTIONS",
            Self::TcpSent => "TCP_SENT_BYTES",
            Self::TcpReceived => "TCP_RECEIVED_BYTES",
        }
    }
}

/// On which side of a call a proxy writes a metric: its label `reporter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reporter {
    /// The caller; every gateway is one.
    Source,
    /// The called.
    Destination,
}

/// What a proxy does not write, and where that was said.
pub type DisabledMetrics = BTreeMap<(Reporter, Metric), Place>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    pub id: ObjectId,
    pub place: Place,
    /// Empty: the whole namespace, or the whole mesh.
    pub selector: BTreeMap<String, String>,
    /// In the order in which they take effect.
    overrides: Vec<Override>,
}

/// Turns metrics on or off.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    reporters: &'static [Reporter],
    metrics: Vec<Metric>,
    disabled: bool,
    place: Place,
}

impl Telemetry {
    pub(super) fn read(object: &Object) -> Self {
        let spec = object.root().get("spec");
        let selector = spec.as_ref().and_then(|spec| spec.get("selector"));
        let metrics = spec.as_ref().map(|spec| spec.items("metrics")).unwrap_or_default();
        let overrides = metrics.iter().flat_map(|metrics| metrics.items("overrides"));
        Self {
            id: ObjectId::of(object),
            place: object.place("").clone(),
            selector: selector.map(|selector| selector.texts("matchLabels")).unwrap_or_default(),
            overrides: overrides.filter_map(|node| Override::read(&node)).collect(),
        }
    }
}

impl Override {
    /// `None` where it leaves everything as it is.
    fn read(node: &Node<'_>) -> Option<Self> {
        let disabled = node.get("disabled")?;
        let matches = node.get("match");
        let text = |name| matches.as_ref().and_then(|matches| matches.text(name));
        let metric = text("metric").filter(|word| *word != "ALL_METRICS");
        Some(Self {
            reporters: match text("mode") {
                Some("CLIENT") => &[Reporter::Source],
                Some("SERVER") => &[Reporter::Destination],
                _ => &[Reporter::Source, Reporter::Destination],
            },
            metrics: Metric::ALL
                .into_iter()
                .filter(|own| metric.is_none_or(|word| word == own.word()))
                .collect(),
            disabled: node.boolean("disabled")?,
            place: disabled.place().clone(),
        })
    }
}

impl Mesh {
    /// What a workload does not write. The mesh's overrides come first, then those of the namespace, then those of the
    /// workload itself; of two that speak of the same metric the later one counts. Of several objects for one level
    /// the oldest.
    pub fn disabled_metrics(&self, namespace: &str, labels: &BTreeMap<String, String>) -> DisabledMetrics {
        let find = |at: &str, own: bool| {
            self.telemetries.iter().find(|telemetry| {
                telemetry.id.namespace == at
                    && telemetry.selector.is_empty() != own
                    && is_subset(&telemetry.selector, labels)
            })
        };
        let root = &self.settings.root_namespace;
        let of_namespace = if namespace == root { None } else { find(namespace, false) };
        let levels = [find(root, false), of_namespace, find(namespace, true)];
        let mut disabled = DisabledMetrics::new();
        for rule in levels.into_iter().flatten().flat_map(|telemetry| &telemetry.overrides) {
            for reporter in rule.reporters {
                for metric in &rule.metrics {
                    if rule.disabled {
                        disabled.insert((*reporter, *metric), rule.place.clone());
                    } else {
                        disabled.remove(&(*reporter, *metric));
                    }
                }
            }
        }
        disabled
    }
}
