//! The fields of a traffic policy: of a destination, a subset or a port.

use super::{COUNT, DURATION, Field, PERCENT, PORT, Shape, TEXT, TEXTS, choice, honoured, inert, refused};

const U32: Shape = Shape::Integer { min: 0, max: u32::MAX as i64 };
const HASH: &str = "consistent hashing is not translated yet; use `simple`";
const FILES: &str = "only mutual TLS inside the mesh is translated: ISTIO_MUTUAL or DISABLE";

const LOAD_BALANCER: &[Field] = &[
    honoured(
        "simple",
        Shape::Choice(
            &["UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST", "RANDOM", "ROUND_ROBIN"],
            &[("PASSTHROUGH", "there is no original destination to pass through to")],
        ),
    ),
    refused("consistentHash", HASH),
    inert("localityLbSetting", Shape::Any, "all pods are in one locality"),
    refused("warmup", "slow start is not translated yet"),
    refused("warmupDurationSecs", "slow start is not translated yet"),
];

const CONNECTION_POOL: &[Field] = &[
    honoured(
        "tcp",
        Shape::Object(&[
            honoured("maxConnections", COUNT),
            honoured("connectTimeout", DURATION),
            honoured("idleTimeout", DURATION),
            honoured("maxConnectionDuration", DURATION),
            honoured(
                "tcpKeepalive",
                Shape::Object(&[
                    honoured("probes", U32),
                    honoured("time", DURATION),
                    honoured("interval", DURATION),
                ]),
            ),
        ]),
    ),
    honoured(
        "http",
        Shape::Object(&[
            honoured("http1MaxPendingRequests", COUNT),
            honoured("http2MaxRequests", COUNT),
            honoured("maxRequestsPerConnection", COUNT),
            honoured("maxRetries", COUNT),
            honoured("idleTimeout", DURATION),
            honoured("maxConcurrentStreams", COUNT),
            honoured("h2UpgradePolicy", choice(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"])),
            refused("http2KeepAlive", "keep-alive pings are not translated yet"),
            refused("useClientProtocol", "not translated yet; use `h2UpgradePolicy`"),
        ]),
    ),
];

const OUTLIER_DETECTION: &[Field] = &[
    honoured("consecutive5xxErrors", U32),
    honoured("consecutiveGatewayErrors", U32),
    honoured("splitExternalLocalOriginErrors", Shape::Bool),
    honoured("consecutiveLocalOriginFailures", U32),
    honoured("interval", DURATION),
    honoured("baseEjectionTime", DURATION),
    honoured("maxEjectionPercent", Shape::Integer { min: 0, max: 100 }),
    honoured("minHealthPercent", Shape::Integer { min: 0, max: 100 }),
    refused("consecutiveErrors", "Istio itself no longer uses it; write `consecutive5xxErrors`"),
];

const TLS: &[Field] = &[
    honoured("mode", Shape::Choice(&["DISABLE", "ISTIO_MUTUAL"], &[("SIMPLE", FILES), ("MUTUAL", FILES)]))
        .required(),
    honoured("sni", TEXT),
    honoured("subjectAltNames", TEXTS),
    refused("clientCertificate", FILES),
    refused("privateKey", FILES),
    refused("caCertificates", FILES),
    refused("caCrl", FILES),
    refused("credentialName", FILES),
    refused("insecureSkipVerify", FILES),
];

const RETRY_BUDGET: &[Field] = &[
    honoured("percent", PERCENT),
    honoured("minRetryConcurrency", U32),
    refused("budgetInterval", "not translated yet"),
];

const PORT_LEVEL: &[Field] = &[
    honoured("port", Shape::Object(&[honoured("number", PORT).required()])).required(),
    honoured("loadBalancer", Shape::Object(LOAD_BALANCER)),
    honoured("connectionPool", Shape::Object(CONNECTION_POOL)),
    honoured("outlierDetection", Shape::Object(OUTLIER_DETECTION)),
    honoured("tls", Shape::Object(TLS)),
];

pub const TRAFFIC_POLICY: Shape = Shape::Object(&[
    honoured("loadBalancer", Shape::Object(LOAD_BALANCER)),
    honoured("connectionPool", Shape::Object(CONNECTION_POOL)),
    honoured("outlierDetection", Shape::Object(OUTLIER_DETECTION)),
    honoured("tls", Shape::Object(TLS)),
    honoured("portLevelSettings", Shape::List(&Shape::Object(PORT_LEVEL))),
    honoured("retryBudget", Shape::Object(RETRY_BUDGET)),
    refused("proxyProtocol", "the PROXY protocol is not translated yet"),
    refused("tunnel", "tunnels are not translated yet"),
]);
