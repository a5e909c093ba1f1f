//! Changes to a tree of YAML that keep, for every value, the place where it was written.

use crate::problem::Place;
use crate::yaml::{Entry, Node, Value};

pub(in crate::world) fn field_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node),
        _ => None,
    }
}

/// Sets a field of a map; `place` is where the field was set. Does nothing to what is no map.
pub(in crate::world) fn set(node: &mut Node, key: &str, value: Node, place: &Place) {
    let Value::Map(entries) = &mut node.value else { return };
    let entry = Entry { key: key.to_owned(), place: place.clone(), node: value };
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(known) => *known = entry,
        None => entries.push(entry),
    }
}

pub(super) fn remove(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(index).node)
}

/// The value of a field, the rest of the map dropped.
pub(super) fn take(mut node: Node, key: &str) -> Option<Node> {
    remove(&mut node, key)
}

/// The map under a path of fields. Where a field is missing it is made, or `None` is returned without `create`.
pub(super) fn map_at<'n>(
    node: &'n mut Node,
    path: &[&str],
    create: bool,
    place: &Place,
) -> Option<&'n mut Node> {
    let mut node = node;
    for key in path {
        if field_mut(node, key).is_none_or(|field| field.is_null()) {
            if !create || node.as_map().is_none() {
                return None;
            }
            set(node, key, Node { place: place.clone(), value: Value::Map(Vec::new()) }, place);
        }
        node = field_mut(node, key)?;
    }
    node.as_map().is_some().then_some(node)
}

pub(in crate::world) fn text(value: &str, place: &Place) -> Node {
    Node { place: place.clone(), value: Value::Text(value.to_owned()) }
}

/// Changes every place in a tree.
pub(super) fn each_place(node: &mut Node, change: &impl Fn(&mut Place)) {
    change(&mut node.place);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| each_place(item, change)),
        Value::Map(entries) => {
            for entry in entries {
                change(&mut entry.place);
                each_place(&mut entry.node, change);
            }
        }
        _ => {}
    }
}
