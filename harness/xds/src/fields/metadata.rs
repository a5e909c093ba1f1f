//! `metadata`, the same for every kind.

use super::{Field, Format, NAME, Shape, TEXT, TEXT_MAP, honoured, inert, refused};

const SERVER: &str = "written by the API server";
const QUALIFIED: Shape = Shape::Text(Format::NotEmpty);

/// The fields of `metadata`.
pub const METADATA: &[Field] = &[
    honoured("name", QUALIFIED).required(),
    honoured("namespace", NAME),
    honoured("labels", TEXT_MAP),
    honoured("annotations", TEXT_MAP),
    refused("generateName", "give the object a name: what is applied twice must be the same object"),
    refused("finalizers", "nothing here would ever remove one"),
    inert("ownerReferences", Shape::Any, SERVER),
    inert("uid", TEXT, SERVER),
    inert("resourceVersion", TEXT, SERVER),
    inert("generation", Shape::Any, SERVER),
    inert("creationTimestamp", Shape::Any, SERVER),
    inert("deletionTimestamp", Shape::Any, SERVER),
    inert("deletionGracePeriodSeconds", Shape::Any, SERVER),
    inert("managedFields", Shape::Any, SERVER),
    inert("selfLink", TEXT, SERVER),
];
