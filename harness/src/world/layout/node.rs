//! Looks into a tree of YAML that change it in place.

use crate::world::kustomize::edit;
use crate::yaml::{Node, Value};

/// The value under a path of fields.
pub(super) fn at<'n>(node: &'n mut Node, path: &[&str]) -> Option<&'n mut Node> {
    path.iter().try_fold(node, |node, key| edit::field_mut(node, key))
}

/// The items of the list in a field; none where it is absent.
pub(super) fn items<'n>(node: &'n mut Node, field: &str) -> &'n mut [Node] {
    match edit::field_mut(node, field).map(|node| &mut node.value) {
        Some(Value::List(items)) => items,
        _ => &mut [],
    }
}

/// The texts of the list in a field.
pub(super) fn texts<'n>(node: &'n Node, field: &str) -> Vec<&'n str> {
    let items = node.get(field).and_then(Node::as_list).unwrap_or_default();
    items.iter().filter_map(Node::as_text).collect()
}

/// Each item of a list becomes what `change` makes of it; where it makes nothing, the item stays.
pub(super) fn expand(list: &mut Node, change: impl Fn(&Node) -> Vec<Node>) {
    let Value::List(items) = &mut list.value else { return };
    let old = std::mem::take(items);
    for item in old {
        let new = change(&item);
        if new.is_empty() {
            items.push(item);
        } else {
            items.extend(new);
        }
    }
}

/// As [`expand`], for texts.
pub(super) fn expand_texts(list: &mut Node, change: impl Fn(&str) -> Vec<String>) {
    expand(list, |item| {
        let texts = item.as_text().map(&change).unwrap_or_default();
        texts.iter().map(|text| edit::text(text, &item.place)).collect()
    });
}

/// Replaces a text by what `change` makes of it, if it makes something.
pub(super) fn replace(node: Option<&mut Node>, change: impl Fn(&str) -> Option<String>) {
    if let Some(Value::Text(text)) = node.map(|node| &mut node.value)
        && let Some(new) = change(text)
    {
        *text = new;
    }
}

/// Every field of this name, however deep.
pub(super) fn each_field(node: &mut Node, name: &str, change: &impl Fn(&mut Node)) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| each_field(item, name, change)),
        Value::Map(entries) => {
            for entry in entries {
                if entry.key == name {
                    change(&mut entry.node);
                } else {
                    each_field(&mut entry.node, name, change);
                }
            }
        }
        _ => {}
    }
}

/// The namespace in which an object was written.
pub(super) fn namespace_of(object: &Node) -> &str {
    let namespace = object.get("metadata").and_then(|metadata| metadata.get("namespace"));
    namespace.and_then(Node::as_text).filter(|namespace| !namespace.is_empty()).unwrap_or("default")
}

pub(super) fn name_of(object: &Node) -> &str {
    let name = object.get("metadata").and_then(|metadata| metadata.get("name"));
    name.and_then(Node::as_text).unwrap_or_default()
}

pub(super) fn kind_of(object: &Node) -> &str {
    object.get("kind").and_then(Node::as_text).unwrap_or_default()
}

/// A copy of the object in that namespace.
pub(super) fn into_namespace(object: &Node, namespace: &str) -> Node {
    let mut copy = object.clone();
    if let Some(metadata) = edit::field_mut(&mut copy, "metadata") {
        let place = metadata.get("namespace").unwrap_or(metadata).place.clone();
        edit::set(metadata, "namespace", edit::text(namespace, &place), &place);
    }
    copy
}
