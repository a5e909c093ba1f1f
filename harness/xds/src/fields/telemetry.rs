//! The fields of Telemetry: metrics may be turned off, and nothing else.

use super::istio::{metadata, status};
use super::{Field, KindTable, Shape, TEXT_MAP, choice, honoured, inert, refused};

const GRPC_MESSAGES: &str = "the messages of gRPC streams are not counted here: leave this override out";
const TARGET: &str = "it names a gateway of Kubernetes' own Gateway API, which is not supported; write \
                      `selector.matchLabels`";

const METRICS: &[&str] = &[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
];

const OVERRIDE: &[Field] = &[
    honoured(
        "match",
        Shape::Object(&[
            honoured(
                "metric",
                Shape::Choice(
                    METRICS,
                    &[("GRPC_REQUEST_MESSAGES", GRPC_MESSAGES), ("GRPC_RESPONSE_MESSAGES", GRPC_MESSAGES)],
                ),
            ),
            refused("customMetric", "only Istio's own metrics are written; name one by `metric`"),
            honoured("mode", choice(&["CLIENT_AND_SERVER", "CLIENT", "SERVER"])),
        ]),
    ),
    honoured("disabled", Shape::Bool),
    refused("tagOverrides", "objectives read Istio's own labels: a metric has all of them or is not written"),
];

pub const TELEMETRY: KindTable = KindTable {
    kind: "Telemetry",
    api_versions: &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"],
    about: "Which of Istio's metrics a workload writes.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("selector", Shape::Object(&[honoured("matchLabels", TEXT_MAP)])),
                refused("targetRef", TARGET),
                refused("targetRefs", TARGET),
                honoured(
                    "metrics",
                    Shape::List(&Shape::Object(&[
                        // Every sidecar is read through Prometheus' format, and by nothing else.
                        honoured(
                            "providers",
                            Shape::List(&Shape::Object(&[
                                honoured("name", choice(&["prometheus"])).required()
                            ])),
                        ),
                        honoured("overrides", Shape::List(&Shape::Object(OVERRIDE))),
                        refused(
                            "reportingInterval",
                            "TCP metrics are written when a connection opens and when it ends, at no interval",
                        ),
                    ])),
                ),
                inert(
                    "accessLogging",
                    Shape::Any,
                    "no verdict rests on Envoy's access log, and none is written",
                ),
                refused("tracing", "proxies write no spans yet"),
            ]),
        ),
        status(),
    ],
};
