//! The fields of DestinationRule.

use super::istio::{NETWORKING, metadata, status};
use super::traffic_policy::TRAFFIC_POLICY;
use super::{Field, HOST, KindTable, LABEL, Shape, TEXT_MAP, TEXTS, honoured};

const SUBSET: &[Field] = &[
    honoured("name", LABEL).required(),
    honoured("labels", TEXT_MAP),
    honoured("trafficPolicy", TRAFFIC_POLICY),
];

pub const DESTINATION_RULE: KindTable = KindTable {
    kind: "DestinationRule",
    api_versions: NETWORKING,
    about: "Subsets of a service, and how its callers treat it.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("host", HOST).required(),
                honoured("trafficPolicy", TRAFFIC_POLICY),
                honoured("subsets", Shape::List(&Shape::Object(SUBSET))),
                honoured("exportTo", TEXTS),
                honoured("workloadSelector", Shape::Object(&[honoured("matchLabels", TEXT_MAP)])),
            ]),
        )
        .required(),
        status(),
    ],
};
