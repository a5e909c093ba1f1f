//! Which objects a patch changes, and the change itself.

use std::fmt;

use super::file::{Patch, Target};
use super::{Resource, json_patch, merge};
use crate::problem::{Problem, Problems, nearest};
use crate::yaml::{Node, Value};

/// What tells an object from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Id {
    pub fn of(node: &Node) -> Self {
        let text = |node: Option<&Node>| node.and_then(Node::as_text).unwrap_or_default().to_owned();
        let api_version = text(node.get("apiVersion"));
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let metadata = |key: &str| text(node.get("metadata").and_then(|metadata| metadata.get(key)));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text(node.get("kind")),
            namespace: metadata("namespace"),
            name: metadata("name"),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} `{}`", self.kind, self.name),
            namespace => write!(f, "{} `{namespace}/{}`", self.kind, self.name),
        }
    }
}

/// Applies one document of a patch to the objects that it is for. One that is for nobody is a problem.
pub(super) fn apply(patch: &Patch, document: &Node, resources: &mut Vec<Resource>, problems: &mut Problems) {
    let operations = match &document.value {
        Value::List(_) => json_patch::read(document, problems),
        Value::Map(entries) if entries.iter().any(|entry| entry.key == "op") => {
            let problem = Problem::new(&document.place, "a JSON patch is a list of operations")
                .help("begin the operation with `- op: …`");
            problems.push(problem);
            return;
        }
        Value::Map(_) => None,
        _ => {
            problems
                .push(Problem::new(&document.place, format!("a patch is a map or a list, found {document}")));
            return;
        }
    };
    let is_json = matches!(document.value, Value::List(_));
    if is_json && operations.is_none() {
        return;
    }
    let hit: Vec<usize> = match &patch.target {
        Some(target) => (0..resources.len()).filter(|index| target.matches(&resources[*index])).collect(),
        None if is_json => {
            let problem = Problem::new(&patch.place, "a JSON patch needs a `target`")
                .help("add `target: {kind: …, name: …}` beside it");
            problems.push(problem);
            return;
        }
        None => named_by(document, resources),
    };
    if hit.is_empty() {
        problems.push(nobody(patch, document, resources));
        return;
    }
    let mut deleted = Vec::new();
    for index in hit {
        let resource = &mut resources[index];
        match &operations {
            Some(operations) => json_patch::apply(operations, resource, problems),
            None if merge::apply(document, resource, problems) => deleted.push(index),
            None => {}
        }
        resource.note_id();
    }
    for index in deleted.into_iter().rev() {
        resources.remove(index);
    }
}

impl Target {
    fn matches(&self, resource: &Resource) -> bool {
        let metadata = |key: &str| resource.node.get("metadata").and_then(|metadata| metadata.get(key));
        let fits = |pattern: &Option<regex::Regex>, value: &str| {
            pattern.as_ref().is_none_or(|one| one.is_match(value))
        };
        let by_id = resource.ids.iter().any(|id| {
            fits(&self.group, &id.group)
                && fits(&self.version, &id.version)
                && fits(&self.kind, &id.kind)
                && fits(&self.name, &id.name)
                && fits(&self.namespace, if id.namespace.is_empty() { "default" } else { &id.namespace })
        });
        by_id
            && self.labels.as_ref().is_none_or(|selector| selector.matches(metadata("labels")))
            && self.annotations.as_ref().is_none_or(|selector| selector.matches(metadata("annotations")))
    }
}

/// The objects that a merge patch names by its own kind, name and namespace.
fn named_by(document: &Node, resources: &[Resource]) -> Vec<usize> {
    let wanted = Id::of(document);
    let same_namespace = |found: &Id| {
        let plain =
            |namespace: &str| if namespace.is_empty() { "default".to_owned() } else { namespace.to_owned() };
        plain(&wanted.namespace) == plain(&found.namespace)
    };
    let same = |id: &Id| {
        id.kind == wanted.kind
            && id.group == wanted.group
            && id.version == wanted.version
            && id.name == wanted.name
    };
    (0..resources.len())
        .filter(|index| resources[*index].ids.iter().any(|id| same(id) && same_namespace(id)))
        .collect()
}

fn nobody(patch: &Patch, document: &Node, resources: &[Resource]) -> Problem {
    let wanted = Id::of(document);
    match &patch.target {
        Some(_) => {
            let there: Vec<String> = resources.iter().map(|resource| resource.id().to_string()).collect();
            Problem::new(&patch.place, "the target of this patch fits no object").allowed(there.join(", "))
        }
        None => {
            let of_kind: Vec<&Id> =
                resources.iter().map(Resource::id).filter(|id| id.kind == wanted.kind).collect();
            let mut problem = Problem::new(&document.place, format!("there is no {wanted} to patch"));
            if let Some(near) = nearest(&wanted.name, of_kind.iter().map(|id| id.name.as_str())) {
                problem = problem.help(format!("did you mean `{near}`?"));
            } else if let Some(same) = of_kind.iter().find(|id| id.name == wanted.name) {
                problem = problem.help(format!("there is {same} of {}/{}", same.group, same.version));
            }
            problem
        }
    }
}
