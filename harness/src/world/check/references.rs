//! What the environment of a container refers to: ConfigMaps, Secrets and fields of the pod.

use meshquake_xds::object::{Node, Object};

use super::super::{listed, with_nearest};
use super::Objects;
use crate::problem::{Problem, Problems};

/// The fields of a pod that a process on this machine can be told.
const FIELDS: [&str; 7] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
];

/// Variables that `local` sets itself, whatever the container says.
const OURS: [&str; 2] = ["BIND_IP", "MESHQUAKE_HOSTS"];

pub(super) fn environment(
    container: &Node<'_>,
    namespace: &str,
    objects: &Objects<'_>,
    problems: &mut Problems,
) {
    let references = [("configMapRef", "ConfigMap"), ("secretRef", "Secret")];
    for source in container.items("envFrom") {
        let given: Vec<_> =
            references.iter().filter_map(|(field, kind)| Some((source.get(field)?, *kind))).collect();
        if given.len() != 1 {
            let problem =
                Problem::new(source.place(), format!("an entry of `envFrom` names {} sources", given.len()));
            problems.push(problem.allowed("one of `configMapRef`, `secretRef`"));
        }
        for (reference, kind) in given {
            object(&reference, kind, namespace, objects, problems);
        }
    }
    let variables = container.items("env");
    for (index, variable) in variables.iter().enumerate() {
        let name = variable.text("name").unwrap_or_default();
        if let Some(first) = variables[..index].iter().find(|earlier| earlier.text("name") == Some(name)) {
            let problem = Problem::new(variable.place(), format!("the variable `{name}` is set twice"));
            problems.push(problem.help(format!("first at {}", first.place())));
        }
        if OURS.contains(&name) {
            let problem =
                Problem::new(variable.place(), format!("the variable `{name}` is set by the backend"));
            problems.push(problem.help("it says where the process lives on this machine; leave it out"));
        }
        let Some(from) = variable.get("valueFrom") else { continue };
        if variable.get("value").is_some() {
            problems.push(Problem::new(
                variable.place(),
                format!("the variable `{name}` has `value` and `valueFrom`"),
            ));
        }
        if let Some(field) = from.path("fieldRef.fieldPath") {
            self::field(&field, problems);
        }
        for (reference, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
            if let Some(reference) = from.get(reference) {
                key(&reference, kind, namespace, objects, problems);
            }
        }
    }
}

/// Values under `data` are base64.
pub(super) fn secret(object: &Object, problems: &mut Problems) {
    for (name, value) in object.root().entries("data") {
        let text: String = value.as_str().chars().filter(|c| !c.is_whitespace()).collect();
        let letters = text.trim_end_matches('=');
        let good = text.len().is_multiple_of(4)
            && text.len() - letters.len() <= 2
            && letters.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/');
        if !good {
            // The value itself may be the secret, so it is not repeated here.
            let problem = Problem::new(value.place(), format!("the value of `{name}` is not base64"));
            problems.push(problem.help("write plain text under `stringData`"));
        }
    }
}

fn field(field: &Node<'_>, problems: &mut Problems) {
    let path = field.as_str();
    let of_map = ["metadata.labels", "metadata.annotations"]
        .iter()
        .any(|map| path.strip_prefix(map).is_some_and(|rest| rest.starts_with("['") && rest.ends_with("']")));
    if of_map || FIELDS.contains(&path) {
        return;
    }
    let problem = Problem::new(field.place(), format!("a process cannot be told the field `{path}`"))
        .allowed(format!("{}, `metadata.labels['NAME']`, `metadata.annotations['NAME']`", listed(FIELDS)));
    problems.push(with_nearest(problem, path, FIELDS).beyond_local());
}

fn object<'o>(
    reference: &Node<'_>,
    kind: &str,
    namespace: &str,
    objects: &Objects<'o>,
    problems: &mut Problems,
) -> Option<&'o Object> {
    let name = reference.get("name")?;
    let found = objects.named(kind, namespace, name.as_str());
    if found.is_none() && reference.boolean("optional") != Some(true) {
        let known = objects.names(kind, namespace);
        let title = format!("there is no {kind} `{}` in namespace {namespace}", name.as_str());
        let problem = Problem::new(name.place(), title).allowed(listed(known.iter().copied()));
        problems.push(with_nearest(problem, name.as_str(), known));
    }
    found
}

fn key(reference: &Node<'_>, kind: &str, namespace: &str, objects: &Objects<'_>, problems: &mut Problems) {
    let Some(found) = object(reference, kind, namespace, objects, problems) else { return };
    let Some(key) = reference.get("key") else { return };
    let root = found.root();
    let known: Vec<&str> =
        ["data", "stringData"].iter().flat_map(|field| root.entries(field)).map(|(name, _)| name).collect();
    if known.contains(&key.as_str()) || reference.boolean("optional") == Some(true) {
        return;
    }
    let title = format!("{} has no key `{}`", found.title(), key.as_str());
    let problem = Problem::new(key.place(), title).allowed(listed(known.iter().copied()));
    problems.push(with_nearest(problem, key.as_str(), known));
}
