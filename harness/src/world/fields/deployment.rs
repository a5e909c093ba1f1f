//! Deployment, down to its pod template.

use meshquake_xds::fields::{COUNT, Field, KindTable, Shape, TEXT_MAP, choice, honoured, inert, refused};

use super::pod::POD_SPEC;
use super::{metadata, status};

const SERVER: &str = "written by the API server";

const SELECTOR: Shape = Shape::Object(&[
    honoured("matchLabels", TEXT_MAP).required(),
    refused("matchExpressions", "write the labels under `matchLabels`"),
]);

const STRATEGY: Shape = Shape::Object(&[
    honoured("type", choice(&["RollingUpdate", "Recreate"])),
    honoured(
        "rollingUpdate",
        Shape::Object(&[
            honoured("maxSurge", Shape::IntegerOrText),
            honoured("maxUnavailable", Shape::IntegerOrText),
        ]),
    ),
]);

const UNNAMED: &str = "pods are named after their Deployment";

/// The metadata of a pod template: pods get names and namespace from their Deployment.
const TEMPLATE_METADATA: &[Field] = &[
    honoured("labels", TEXT_MAP).required(),
    honoured("annotations", TEXT_MAP),
    inert("name", Shape::Any, UNNAMED),
    inert("namespace", Shape::Any, UNNAMED),
    refused("generateName", UNNAMED),
    refused("finalizers", "nothing here would ever remove one"),
    inert("ownerReferences", Shape::Any, SERVER),
    inert("uid", Shape::Any, SERVER),
    inert("resourceVersion", Shape::Any, SERVER),
    inert("generation", Shape::Any, SERVER),
    inert("creationTimestamp", Shape::Any, SERVER),
    inert("deletionTimestamp", Shape::Any, SERVER),
    inert("deletionGracePeriodSeconds", Shape::Any, SERVER),
    inert("managedFields", Shape::Any, SERVER),
    inert("selfLink", Shape::Any, SERVER),
];

pub(super) const DEPLOYMENT: KindTable = KindTable {
    kind: "Deployment",
    api_versions: &["apps/v1"],
    about: "A number of pods, each a process and its Envoy, updated pod by pod.",
    fields: &[
        metadata(),
        honoured(
            "spec",
            Shape::Object(&[
                honoured("replicas", COUNT),
                honoured("selector", SELECTOR).required(),
                honoured("strategy", STRATEGY),
                honoured(
                    "template",
                    Shape::Object(&[
                        honoured("metadata", Shape::Object(TEMPLATE_METADATA)).required(),
                        honoured("spec", Shape::Object(POD_SPEC)).required(),
                    ]),
                )
                .required(),
                refused("minReadySeconds", "a pod counts as soon as its probe says that it is ready"),
                refused("paused", "leave the Deployment out instead"),
                inert("progressDeadlineSeconds", COUNT, "every wait of the harness has a limit of its own"),
                inert("revisionHistoryLimit", COUNT, "no history is kept"),
            ]),
        )
        .required(),
        status(),
    ],
};
