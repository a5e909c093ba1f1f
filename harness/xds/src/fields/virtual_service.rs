//! The fields of VirtualService.

use super::istio::{NETWORKING, metadata, status};
use super::{
    COUNT, DURATION, Field, HOST, HOSTS, KindTable, NAME, PERCENT, PORT, REGEX, Shape, TEXT, TEXT_MAP, TEXTS,
    choice, honoured, inert, refused,
};

const MATCH: Shape =
    Shape::OneOf(&[honoured("exact", TEXT), honoured("prefix", NAME), honoured("regex", REGEX)]);
/// A header or query parameter may be asked for with an empty match: it must be there.
const PRESENCE: Shape =
    Shape::Object(&[honoured("exact", TEXT), honoured("prefix", NAME), honoured("regex", REGEX)]);

const DESTINATION: &[Field] = &[
    honoured("host", HOST).required(),
    honoured("subset", NAME),
    honoured("port", Shape::Object(&[honoured("number", PORT).required()])),
];

const HEADER_OPERATIONS: &[Field] =
    &[honoured("set", TEXT_MAP), honoured("add", TEXT_MAP), honoured("remove", TEXTS)];

const HEADERS: Shape = Shape::Object(&[
    honoured("request", Shape::Object(HEADER_OPERATIONS)),
    honoured("response", Shape::Object(HEADER_OPERATIONS)),
]);

const WEIGHT: Shape = COUNT;
const PERCENTAGE: Shape = Shape::Object(&[honoured("value", PERCENT)]);
const STATUS: Shape = Shape::Integer { min: 200, max: 599 };

const HTTP_MATCH: &[Field] = &[
    honoured("uri", MATCH),
    honoured("ignoreUriCase", Shape::Bool),
    honoured("scheme", MATCH),
    honoured("method", MATCH),
    honoured("authority", MATCH),
    honoured("headers", Shape::Map(&PRESENCE)),
    honoured("withoutHeaders", Shape::Map(&PRESENCE)),
    honoured("queryParams", Shape::Map(&PRESENCE)),
    honoured("port", PORT),
    honoured("sourceLabels", TEXT_MAP),
    honoured("sourceNamespace", NAME),
    honoured("gateways", TEXTS),
    honoured("name", TEXT),
    inert("statPrefix", TEXT, "it names extra statistics of Envoy's that nothing here reads"),
];

const FAULT: &[Field] = &[
    honoured(
        "delay",
        Shape::Object(&[
            honoured("fixedDelay", DURATION).required(),
            honoured("percentage", PERCENTAGE),
            honoured("percent", Shape::Integer { min: 0, max: 100 }),
            refused("exponentialDelay", "Istio itself does not carry it out; write `fixedDelay`"),
        ]),
    ),
    honoured(
        "abort",
        Shape::Object(&[
            honoured("httpStatus", STATUS),
            honoured("grpcStatus", NAME),
            honoured("percentage", PERCENTAGE),
            refused("http2Error", "Istio itself does not carry it out; write `httpStatus` or `grpcStatus`"),
        ]),
    ),
];

const REDIRECT: &[Field] = &[
    honoured("uri", TEXT),
    honoured("authority", TEXT),
    honoured("scheme", TEXT),
    honoured("port", PORT),
    honoured("derivePort", choice(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"])),
    honoured("redirectCode", Shape::Integer { min: 300, max: 308 }),
    refused("prefixRewrite", "Istio itself does not carry it out for VirtualServices; write `uri`"),
];

const REWRITE: &[Field] = &[
    honoured("uri", NAME),
    honoured("authority", NAME),
    honoured(
        "uriRegexRewrite",
        Shape::Object(&[honoured("match", REGEX).required(), honoured("rewrite", TEXT).required()]),
    ),
];

const RETRIES: &[Field] = &[
    honoured("attempts", COUNT),
    honoured("perTryTimeout", DURATION),
    honoured("retryOn", NAME),
    honoured("retryIgnorePreviousHosts", Shape::Bool),
    honoured("backoff", DURATION),
    inert("retryRemoteLocalities", Shape::Bool, "all pods are in one locality"),
];

const HTTP: &[Field] = &[
    honoured("name", TEXT),
    honoured("match", Shape::List(&Shape::Object(HTTP_MATCH))),
    honoured(
        "route",
        Shape::List(&Shape::Object(&[
            honoured("destination", Shape::Object(DESTINATION)).required(),
            honoured("weight", WEIGHT),
            honoured("headers", HEADERS),
        ])),
    ),
    honoured("redirect", Shape::Object(REDIRECT)),
    honoured(
        "directResponse",
        Shape::Object(&[
            honoured("status", Shape::Integer { min: 200, max: 599 }).required(),
            honoured(
                "body",
                Shape::Object(&[honoured("string", TEXT), refused("bytes", "write the body as `string`")]),
            ),
        ]),
    ),
    honoured("timeout", DURATION),
    honoured("retries", Shape::Object(RETRIES)),
    honoured("fault", Shape::Object(FAULT)),
    honoured("mirror", Shape::Object(DESTINATION)),
    honoured("mirrorPercentage", PERCENTAGE),
    honoured("mirrorPercent", Shape::Integer { min: 0, max: 100 }),
    honoured(
        "mirrors",
        Shape::List(&Shape::Object(&[
            honoured("destination", Shape::Object(DESTINATION)).required(),
            honoured("percentage", PERCENTAGE),
        ])),
    ),
    honoured("headers", HEADERS),
    honoured("rewrite", Shape::Object(REWRITE)),
    refused("mirror_percent", "write `mirrorPercentage`"),
    refused("delegate", "delegation is not translated yet; write the routes in one VirtualService"),
    refused("corsPolicy", "CORS is not translated yet; answer it in the service"),
];

const TCP_MATCH: &[Field] = &[
    honoured("port", PORT),
    honoured("sourceLabels", TEXT_MAP),
    honoured("sourceNamespace", NAME),
    honoured("gateways", TEXTS),
    refused("destinationSubnets", "not translated yet; match by `port`"),
    refused("sourceSubnet", "Istio itself does not carry it out; write `sourceLabels`"),
];

const TCP: &[Field] = &[
    honoured("match", Shape::List(&Shape::Object(TCP_MATCH))),
    honoured(
        "route",
        Shape::List(&Shape::Object(&[
            honoured("destination", Shape::Object(DESTINATION)).required(),
            honoured("weight", WEIGHT),
        ])),
    )
    .required(),
];

pub const VIRTUAL_SERVICE: KindTable = KindTable {
    kind: "VirtualService",
    api_versions: NETWORKING,
    about: "How callers of a host are routed, and what befalls them on the way.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("hosts", HOSTS).required(),
                honoured("gateways", TEXTS),
                honoured("exportTo", TEXTS),
                honoured("http", Shape::List(&Shape::Object(HTTP))),
                honoured("tcp", Shape::List(&Shape::Object(TCP))),
                refused("tls", "routing by SNI is not translated yet"),
            ]),
        )
        .required(),
        status(),
    ],
};
