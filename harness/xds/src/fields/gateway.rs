//! The fields of Gateway.

use super::istio::{NETWORKING, metadata, status};
use super::{Field, KindTable, NAME, PORT, Shape, TEXT, TEXT_MAP, TEXTS, honoured, inert, refused};

const NO_TLS: &str = "TLS at the gateway is not translated yet; use a server with protocol HTTP";

const SERVER: &[Field] = &[
    honoured(
        "port",
        Shape::Object(&[
            honoured("number", PORT).required(),
            honoured(
                "protocol",
                Shape::Choice(
                    &["HTTP", "HTTP2", "GRPC"],
                    &[
                        ("HTTPS", NO_TLS),
                        ("TLS", NO_TLS),
                        ("TCP", "TCP at the gateway is not translated yet"),
                        ("MONGO", "TCP at the gateway is not translated yet"),
                    ],
                ),
            )
            .required(),
            inert("name", NAME, "a name for people").required(),
            refused("targetPort", "Istio itself no longer uses it"),
        ]),
    )
    .required(),
    // Not of the shape of a plain host: `ns/host` and `./host` are allowed.
    honoured("hosts", TEXTS).required(),
    inert("name", TEXT, "a name for people"),
    refused("bind", "where a gateway listens is up to the backend"),
    refused("tls", NO_TLS),
    refused("defaultEndpoint", "Istio itself no longer uses it"),
];

pub const GATEWAY: KindTable = KindTable {
    kind: "Gateway",
    api_versions: NETWORKING,
    about: "What the gateway's proxies listen for.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("selector", TEXT_MAP),
                honoured("servers", Shape::List(&Shape::Object(SERVER))).required(),
            ]),
        )
        .required(),
        status(),
    ],
};
