//! The fields of PeerAuthentication.

use super::istio::{SECURITY, metadata, status};
use super::{Field, KindTable, Shape, TEXT_MAP, choice, honoured};

const MTLS: &[Field] = &[honoured("mode", choice(&["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]))];

pub const PEER_AUTHENTICATION: KindTable = KindTable {
    kind: "PeerAuthentication",
    api_versions: SECURITY,
    about: "Whether a workload takes plain text, mutual TLS or both.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("selector", Shape::Object(&[honoured("matchLabels", TEXT_MAP)])),
                honoured("mtls", Shape::Object(MTLS)),
                honoured("portLevelMtls", Shape::Map(&Shape::Object(MTLS))),
            ]),
        ),
        status(),
    ],
};
