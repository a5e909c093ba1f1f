//! Strategic merge: maps are merged, nulls delete, and the lists that Kubernetes keys by a field are merged by it.
//!
//! As kustomize does it: in a keyed list the patch's items come first, in the patch's order; all other lists, and
//! every list of a kind that is not Kubernetes' own, are replaced.

use super::{Resource, edit};
use crate::problem::{Problem, Problems};
use crate::yaml::{Entry, Node, Value};

const DIRECTIVE: &str = "$patch";

#[derive(Clone, Copy, PartialEq)]
enum Directive {
    Merge,
    Delete,
    Replace,
}

/// Merges the patch into the object; true when the patch deletes the object as a whole.
pub(super) fn apply(patch: &Node, resource: &mut Resource, problems: &mut Problems) -> bool {
    let id = resource.id().clone();
    let ours = !id.group.contains('.') || id.group.ends_with(".k8s.io");
    let mut merge = Merge { keyed: ours, service: id.kind == "Service", problems };
    match merge.directive(patch) {
        Directive::Delete => return true,
        Directive::Merge => merge.maps(&mut resource.node, &nameless(patch)),
        Directive::Replace => {
            // What the object is called outlives all that is said about it.
            let old = std::mem::replace(&mut resource.node, nameless(&stripped(patch)));
            keep_identity(&old, &mut resource.node);
        }
    }
    false
}

const IDENTITY: [&[&str]; 4] =
    [&["apiVersion"], &["kind"], &["metadata", "name"], &["metadata", "namespace"]];

/// The patch without the names by which it found its object: with a target these are somebody else's.
fn nameless(patch: &Node) -> Node {
    let mut patch = patch.clone();
    let place = patch.place.clone();
    for path in IDENTITY {
        let (key, parents) = path.split_last().expect("no path is empty");
        if let Some(map) = edit::map_at(&mut patch, parents, false, &place) {
            edit::remove(map, key);
        }
    }
    patch
}

fn keep_identity(old: &Node, new: &mut Node) {
    for path in IDENTITY {
        let (key, parents) = path.split_last().expect("no path is empty");
        let parent = parents.iter().try_fold(old, |node, key| node.get(key));
        let entry = parent.and_then(Node::as_map).and_then(|map| map.iter().find(|entry| entry.key == *key));
        if let Some(entry) = entry
            && let Some(map) = edit::map_at(new, parents, true, &entry.place)
        {
            edit::set(map, key, entry.node.clone(), &entry.place);
        }
    }
}

struct Merge<'p> {
    /// Whether lists are merged by their keys.
    keyed: bool,
    service: bool,
    problems: &'p mut Problems,
}

impl Merge<'_> {
    fn directive(&mut self, patch: &Node) -> Directive {
        for entry in patch.as_map().unwrap_or_default() {
            if entry.key.starts_with('$') && entry.key != DIRECTIVE {
                let problem = Problem::new(
                    &entry.place,
                    format!("kustomize does not know the directive `{}`", entry.key),
                );
                self.problems.push(problem.allowed("`$patch`"));
            }
        }
        let choices =
            [("merge", Directive::Merge), ("delete", Directive::Delete), ("replace", Directive::Replace)];
        patch.get(DIRECTIVE).and_then(|node| node.choice(&choices, self.problems)).unwrap_or(Directive::Merge)
    }

    fn maps(&mut self, into: &mut Node, patch: &Node) {
        for entry in patch.as_map().unwrap_or_default() {
            if entry.key.starts_with('$') {
                continue;
            }
            if entry.node.is_null() {
                edit::remove(into, &entry.key);
                continue;
            }
            let directive = self.directive(&entry.node);
            if directive == Directive::Delete {
                edit::remove(into, &entry.key);
                continue;
            }
            match (edit::field_mut(into, &entry.key), &entry.node.value) {
                (Some(known), Value::Map(_)) if directive == Directive::Merge && known.as_map().is_some() => {
                    self.maps(known, &entry.node);
                }
                (Some(known), Value::List(items)) if known.as_list().is_some() => {
                    self.lists(&entry.key, known, &entry.node, items);
                }
                _ => edit::set(into, &entry.key, stripped(&entry.node), &entry.place),
            }
        }
    }

    fn lists(&mut self, field: &str, into: &mut Node, patch: &Node, items: &[Node]) {
        let replaces = items.iter().any(|item| self.directive(item) == Directive::Replace);
        let keys = self.keys(field);
        let (false, Some((key, second))) = (replaces, keys) else {
            *into = stripped(patch);
            return;
        };
        let Value::List(known) = &mut into.value else { return };
        let mut rest: Vec<Node> = std::mem::take(known);
        let mut merged = Vec::new();
        for item in items {
            if item.get(key).is_none() {
                let problem =
                    Problem::new(&item.place, format!("an item of `{field}` in a patch needs its `{key}`"))
                        .help(format!("`{field}` is merged item by item, by `{key}`"));
                self.problems.push(problem);
                continue;
            }
            let found = rest.iter().position(|other| {
                let same = |key: &str| match (other.get(key), item.get(key)) {
                    (Some(other), Some(item)) => other.to_json() == item.to_json(),
                    _ => true,
                };
                other.get(key).is_some() && same(key) && second.is_none_or(same)
            });
            let known = found.map(|index| rest.remove(index));
            if self.directive(item) == Directive::Delete {
                continue;
            }
            match known {
                Some(mut known) => {
                    self.maps(&mut known, item);
                    merged.push(known);
                }
                None => merged.push(stripped(item)),
            }
        }
        merged.extend(rest);
        into.value = Value::List(merged);
    }

    /// The field, and perhaps a second one, by which Kubernetes tells the items of a list apart.
    fn keys(&self, field: &str) -> Option<(&'static str, Option<&'static str>)> {
        if !self.keyed {
            return None;
        }
        Some(match field {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "env"
            | "volumes"
            | "imagePullSecrets"
            | "secrets" => ("name", None),
            "volumeMounts" => ("mountPath", None),
            "volumeDevices" => ("devicePath", None),
            "hostAliases" => ("ip", None),
            "ports" if self.service => ("port", Some("protocol")),
            "ports" => ("containerPort", Some("protocol")),
            "topologySpreadConstraints" => ("topologyKey", Some("whenUnsatisfiable")),
            "conditions" => ("type", None),
            "ownerReferences" => ("uid", None),
            _ => return None,
        })
    }
}

/// The patch's value without its directives.
fn stripped(node: &Node) -> Node {
    let value = match &node.value {
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .filter(|entry| entry.key != DIRECTIVE)
                .map(|entry| Entry {
                    key: entry.key.clone(),
                    place: entry.place.clone(),
                    node: stripped(&entry.node),
                })
                .collect(),
        ),
        Value::List(items) => {
            // An item that is nothing but its directive stands for no item.
            let only_directive = |item: &Node| {
                item.as_map()
                    .is_some_and(|entries| entries.iter().any(|e| e.key == DIRECTIVE) && entries.len() == 1)
            };
            Value::List(items.iter().filter(|item| !only_directive(item)).map(stripped).collect())
        }
        plain => plain.clone(),
    };
    Node { place: node.place.clone(), value }
}
