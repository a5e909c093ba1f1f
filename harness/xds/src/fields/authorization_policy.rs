//! The fields of AuthorizationPolicy.

use super::istio::{SECURITY, metadata, status};
use super::{Field, KindTable, NAME, Shape, TEXT_MAP, honoured, refused};

const NAMES: Shape = Shape::List(&NAME);
const TOKEN: &str = "it speaks of tokens, and RequestAuthentication is not supported yet";
const ADDRESS: &str = "addresses of pods are others on each backend; write `principals` or `namespaces`";
const TARGET: &str = "it names a waypoint or a gateway of Kubernetes' own Gateway API, which are not supported; write \
                      `selector.matchLabels`";

const SOURCE: &[Field] = &[
    honoured("principals", NAMES),
    honoured("notPrincipals", NAMES),
    honoured("namespaces", NAMES),
    honoured("notNamespaces", NAMES),
    honoured("serviceAccounts", NAMES),
    honoured("notServiceAccounts", NAMES),
    honoured("trustDomains", NAMES),
    honoured("notTrustDomains", NAMES),
    refused("requestPrincipals", TOKEN),
    refused("notRequestPrincipals", TOKEN),
    refused("ipBlocks", ADDRESS),
    refused("notIpBlocks", ADDRESS),
    refused("remoteIpBlocks", ADDRESS),
    refused("notRemoteIpBlocks", ADDRESS),
];

const OPERATION: &[Field] = &[
    honoured("hosts", NAMES),
    honoured("notHosts", NAMES),
    honoured("ports", NAMES),
    honoured("notPorts", NAMES),
    honoured("methods", NAMES),
    honoured("notMethods", NAMES),
    honoured("paths", NAMES),
    honoured("notPaths", NAMES),
];

const RULE: &[Field] = &[
    honoured("from", Shape::List(&Shape::Object(&[honoured("source", Shape::Object(SOURCE)).required()]))),
    honoured(
        "to",
        Shape::List(&Shape::Object(&[honoured("operation", Shape::Object(OPERATION)).required()])),
    ),
    honoured(
        "when",
        Shape::List(&Shape::Object(&[
            honoured("key", NAME).required(),
            honoured("values", NAMES),
            honoured("notValues", NAMES),
        ])),
    ),
];

pub const AUTHORIZATION_POLICY: KindTable = KindTable {
    kind: "AuthorizationPolicy",
    api_versions: SECURITY,
    about: "Who may call a workload, and what of it.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("selector", Shape::Object(&[honoured("matchLabels", TEXT_MAP)])),
                refused("targetRef", TARGET),
                refused("targetRefs", TARGET),
                honoured(
                    "action",
                    Shape::Choice(
                        &["ALLOW", "DENY"],
                        &[
                            (
                                "AUDIT",
                                "it lets everything pass and is read by nobody here: leave the policy out",
                            ),
                            ("CUSTOM", "it asks an authorizer outside the mesh, which is not supported"),
                        ],
                    ),
                ),
                refused("provider", "it belongs to the action CUSTOM, which is not supported"),
                honoured("rules", Shape::List(&Shape::Object(RULE))),
            ]),
        ),
        status(),
    ],
};
