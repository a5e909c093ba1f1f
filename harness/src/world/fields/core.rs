//! Namespace, ServiceAccount, ConfigMap, Secret, Service.

use meshquake_xds::fields::{
    COUNT, KindTable, NAME, PORT, Shape, TEXT, TEXT_MAP, choice, honoured, inert, refused,
};

use super::{metadata, status};

const NO_API_SERVER: &str = "no pod gets a token: there is no API server to show it to";
const IMMUTABLE: &str = "a world does not change its own configuration";

pub(super) const NAMESPACE: KindTable = KindTable {
    kind: "Namespace",
    api_versions: &["v1"],
    about: "Where objects live; its labels are there for selectors.",
    fields: &[
        metadata(),
        inert(
            "spec",
            Shape::Object(&[inert("finalizers", Shape::Any, "written by the API server")]),
            "written by the API server",
        ),
        status(),
    ],
};

pub(super) const SERVICE_ACCOUNT: KindTable = KindTable {
    kind: "ServiceAccount",
    api_versions: &["v1"],
    about: "The identity of pods: their certificates are issued for it.",
    fields: &[
        metadata(),
        inert("automountServiceAccountToken", Shape::Bool, NO_API_SERVER),
        inert("imagePullSecrets", Shape::Any, "no image is pulled"),
        inert("secrets", Shape::Any, NO_API_SERVER),
    ],
};

pub(super) const CONFIG_MAP: KindTable = KindTable {
    kind: "ConfigMap",
    api_versions: &["v1"],
    about: "Values for the environment of containers.",
    fields: &[
        metadata(),
        honoured("data", TEXT_MAP),
        refused("binaryData", "an environment holds text only: write it under `data`"),
        inert("immutable", Shape::Bool, IMMUTABLE),
    ],
};

pub(super) const SECRET: KindTable = KindTable {
    kind: "Secret",
    api_versions: &["v1"],
    about: "Values for the environment of containers that are not shown in reports.",
    fields: &[
        metadata(),
        honoured("data", TEXT_MAP),
        honoured("stringData", TEXT_MAP),
        inert("type", TEXT, "any secret is its data"),
        inert("immutable", Shape::Bool, IMMUTABLE),
    ],
};

const CLUSTER_IP: &str = "addresses come from the run's own slice of loopback";
const OUTSIDE: &str = "what reaches the world from outside comes through its Gateway";
const ONE_NODE: &str = "there is one node";

const SERVICE_PORT: &[meshquake_xds::fields::Field] = &[
    honoured("name", NAME),
    honoured("port", PORT).required(),
    honoured("targetPort", Shape::IntegerOrText),
    honoured(
        "protocol",
        Shape::Choice(&["TCP"], &[("UDP", "sidecars carry TCP only"), ("SCTP", "sidecars carry TCP only")]),
    ),
    honoured("appProtocol", NAME),
    refused("nodePort", OUTSIDE),
];

pub(super) const SERVICE: KindTable = KindTable {
    kind: "Service",
    api_versions: &["v1"],
    about: "A name for the ready pods that its selector fits.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("selector", TEXT_MAP).required(),
                honoured("ports", Shape::List(&Shape::Object(SERVICE_PORT))).required(),
                honoured(
                    "type",
                    Shape::Choice(
                        &["ClusterIP"],
                        &[
                            ("NodePort", OUTSIDE),
                            ("LoadBalancer", OUTSIDE),
                            ("ExternalName", "write a ServiceEntry"),
                        ],
                    ),
                ),
                refused("clusterIP", CLUSTER_IP),
                refused("clusterIPs", CLUSTER_IP),
                refused("externalIPs", OUTSIDE),
                refused("externalName", "write a ServiceEntry"),
                inert("externalTrafficPolicy", choice(&["Cluster", "Local"]), ONE_NODE),
                inert("internalTrafficPolicy", choice(&["Cluster", "Local"]), ONE_NODE),
                refused("loadBalancerClass", OUTSIDE),
                refused("loadBalancerIP", OUTSIDE),
                refused("loadBalancerSourceRanges", OUTSIDE),
                refused("allocateLoadBalancerNodePorts", OUTSIDE),
                inert("healthCheckNodePort", COUNT, ONE_NODE),
                inert("ipFamilies", Shape::Any, "loopback is IPv4"),
                inert("ipFamilyPolicy", TEXT, "loopback is IPv4"),
                refused("publishNotReadyAddresses", "only ready pods are called"),
                inert(
                    "sessionAffinity",
                    Shape::Choice(
                        &["None"],
                        &[("ClientIP", "sidecars balance the load: write a DestinationRule")],
                    ),
                    "sidecars balance the load",
                ),
                refused("sessionAffinityConfig", "sidecars balance the load: write a DestinationRule"),
                inert("trafficDistribution", TEXT, ONE_NODE),
            ]),
        )
        .required(),
        status(),
    ],
};
