//! Each object in the namespace, or namespaces, in which its layout wants it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::homes::Homes;
use super::hosts::Reader;
use super::node::{at, into_namespace, items, kind_of, name_of, namespace_of, replace};
use crate::problem::{Place, Problem, Problems};
use crate::world::kustomize::edit;
use crate::yaml::{Entry, Node, Value};

/// The objects that take the place of one, the first of them where it was if it stays.
pub(super) fn move_out(object: Node, homes: &Homes, problems: &mut Problems) -> Vec<Node> {
    let (kind, name) = (kind_of(&object).to_owned(), name_of(&object).to_owned());
    let old = namespace_of(&object).to_owned();
    let old = old.as_str();
    match kind.as_str() {
        "Namespace" => namespaces(object, &name, homes),
        "Deployment" => match homes.of_deployment(old, &name) {
            Some(new) => vec![deployment(&object, homes, old, new)],
            None => vec![object],
        },
        "Service" => copies(object, homes.of_service(old, &name)),
        "ServiceAccount" => copies(object, homes.running_as(old, &name)),
        "ConfigMap" | "Secret" => {
            let readers = homes.reading(old, &kind, &name);
            if readers.is_empty() {
                return vec![object];
            }
            readers.into_iter().map(|new| configuration(&object, homes, old, new)).collect()
        }
        "VirtualService" => {
            let new = homes.of_virtual_service(&object, old);
            let mut object = object;
            homes.virtual_service(&mut object, old);
            copies(object, new)
        }
        "DestinationRule" => destination_rules(object, homes, old, problems),
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" | "Telemetry" => {
            policies(&object, homes, old)
        }
        // What is at the edge belongs to no app.
        "Gateway" | "ServiceEntry" => vec![object],
        _ if !homes.split(old) => vec![object],
        _ => {
            let title = format!("no namespace is known for {kind} `{name}` in the layout `per-service`");
            problems.push(Problem::new(&object.place, title).help("leave the layout `single`"));
            vec![]
        }
    }
}

/// Namespaces that apps leave and that no object describes; what they are split into needs an object all the same.
pub(super) fn unwritten_namespaces(objects: &[Node], homes: &Homes) -> Vec<Node> {
    let written: BTreeSet<&str> =
        objects.iter().filter(|object| kind_of(object) == "Namespace").map(name_of).collect();
    let unwritten = homes.old().into_iter().filter(|(old, _)| !written.contains(old));
    unwritten.flat_map(|(old, place)| homes.all(old).into_iter().map(|new| namespace(new, place))).collect()
}

fn namespace(name: &str, place: &Place) -> Node {
    let map = |fields: Vec<(&str, Node)>| {
        let entry = |(key, node): (&str, Node)| Entry { key: key.to_owned(), place: place.clone(), node };
        Node { place: place.clone(), value: Value::Map(fields.into_iter().map(entry).collect()) }
    };
    map(vec![
        ("apiVersion", edit::text("v1", place)),
        ("kind", edit::text("Namespace", place)),
        ("metadata", map(vec![("name", edit::text(name, place))])),
    ])
}

/// The namespace itself, and each that is split from it with the same labels.
fn namespaces(object: Node, name: &str, homes: &Homes) -> Vec<Node> {
    let mut all = vec![object];
    for new in homes.all(name) {
        let mut copy = all[0].clone();
        replace(at(&mut copy, &["metadata", "name"]), |_| Some(new.to_owned()));
        replace(at(&mut copy, &["metadata", "labels", "kubernetes.io/metadata.name"]), |_| {
            Some(new.to_owned())
        });
        all.push(copy);
    }
    all
}

/// The object in each of these namespaces, or where it is if there is none.
fn copies<'n>(object: Node, namespaces: impl IntoIterator<Item = &'n str>) -> Vec<Node> {
    let moved: Vec<Node> = namespaces.into_iter().map(|new| into_namespace(&object, new)).collect();
    if moved.is_empty() { vec![object] } else { moved }
}

fn deployment(object: &Node, homes: &Homes, old: &str, new: &str) -> Node {
    let mut object = into_namespace(object, new);
    let Some(pod) = at(&mut object, &["spec", "template", "spec"]) else { return object };
    for list in ["initContainers", "containers"] {
        for container in items(pod, list) {
            let own_namespace = own_namespace(container);
            let reader = Reader { old, new, own_namespace: &own_namespace };
            let follow = |node: Option<&mut Node>| replace(node, |text| homes.text(text, &reader));
            items(container, "env").iter_mut().for_each(|one| follow(edit::field_mut(one, "value")));
            for words in ["command", "args"] {
                items(container, words).iter_mut().for_each(|word| follow(Some(word)));
            }
        }
    }
    object
}

/// Variables of a container that hold the namespace of its pod.
fn own_namespace(container: &Node) -> Vec<String> {
    let object = container.to_object();
    let variables = object.root().items("env").into_iter().filter(|variable| {
        let field = variable.path("valueFrom.fieldRef.fieldPath");
        field.is_some_and(|field| field.as_str() == "metadata.namespace")
    });
    variables.filter_map(|variable| Some(variable.text("name")?.to_owned())).collect()
}

/// A ConfigMap or Secret for the readers in one namespace.
fn configuration(object: &Node, homes: &Homes, old: &str, new: &str) -> Node {
    let mut copy = into_namespace(object, new);
    let secret = kind_of(object) == "Secret";
    let reader = Reader { old, new, own_namespace: &[] };
    for (field, encoded) in [("data", secret), ("stringData", false)] {
        let Some(Value::Map(entries)) = edit::field_mut(&mut copy, field).map(|node| &mut node.value) else {
            continue;
        };
        for entry in entries {
            replace(Some(&mut entry.node), |text| {
                if !encoded {
                    return homes.text(text, &reader);
                }
                let letters: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                let plain = String::from_utf8(STANDARD.decode(letters).ok()?).ok()?;
                homes.text(&plain, &reader).map(|text| STANDARD.encode(text))
            });
        }
    }
    copy
}

/// A rule for a service beside it goes with it, one for some callers to these, one for many hosts to all callers.
fn destination_rules(object: Node, homes: &Homes, old: &str, problems: &mut Problems) -> Vec<Node> {
    let read = object.to_object();
    let root = read.root();
    let host = root.path("spec.host");
    let host = host.as_ref().map(|host| host.as_str()).unwrap_or_default();
    let callers = root.path("spec.workloadSelector").map(|selector| selector.texts("matchLabels"));
    let mut followed = object;
    homes.destination_rule(&mut followed, old);
    match (callers, homes.of_pattern(host)) {
        (None, Some(namespace)) if namespace == old => {
            let of = |(new, pattern): (&str, String)| {
                let mut copy = into_namespace(&followed, new);
                replace(at(&mut copy, &["spec", "host"]), |_| Some(pattern.clone()));
                copy
            };
            homes.all(old).into_iter().zip(homes.patterns(host)).map(of).collect()
        }
        (_, Some(_)) => {
            let title = format!("`{host}` would be several hosts, and a DestinationRule is for one");
            let help = "write a rule for each service, or leave the layout `single`";
            problems.push(Problem::new(read.place("/spec/host"), title).help(help));
            vec![]
        }
        (Some(labels), None) => copies(followed, homes.selected(old, &labels)),
        (None, None) => match homes.beside(host, old) {
            Some(new) => copies(followed, [new]),
            None => everywhere(&followed, homes, old),
        },
    }
}

/// A policy goes to those whom it selects. One for the whole namespace is for all that this one was split into.
fn policies(object: &Node, homes: &Homes, old: &str) -> Vec<Node> {
    let read = object.to_object();
    let selector = read.root().path("spec.selector").map(|selector| selector.texts("matchLabels"));
    let mut all = match selector.filter(|labels| !labels.is_empty()) {
        Some(labels) => copies(object.clone(), homes.selected(old, &labels)),
        None => everywhere(object, homes, old),
    };
    if kind_of(object) == "AuthorizationPolicy" {
        all.iter_mut().for_each(|policy| homes.authorization_policy(policy, old));
    }
    all
}

/// The object where it is, and in every namespace that was split from there.
fn everywhere(object: &Node, homes: &Homes, old: &str) -> Vec<Node> {
    let split = homes.all(old).into_iter().map(|new| into_namespace(object, new));
    std::iter::once(object.clone()).chain(split).collect()
}
