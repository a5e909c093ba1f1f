//! Who owns which field: server-side apply, kept as simple as it can be and still take back what was applied.
//!
//! Every manager has a set of field paths. Applying gives the manager the fields that it names; what it named last
//! time and no longer names is removed, unless another manager owns it too. A different value for a field of another
//! manager is a conflict. Other writes (replace, merge patch) take over the fields that they change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Steps from the root of an object to a field. Members of a keyed list are named by their key: `[name=web]`.
pub type Path = Vec<String>;

/// Manager to the fields that it owns.
pub type Owners = BTreeMap<String, BTreeSet<Path>>;

/// A field that two managers want to set differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    pub field: String,
}

/// The key of a list that is merged member by member; every other list is one value.
fn list_key(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some(&["name"]),
        "ports" => Some(&["containerPort", "port"]),
        "volumeMounts" => Some(&["mountPath"]),
        "subsets" => None,
        _ => None,
    }
}

/// `[name=web]` of a member, if the list under `name` is keyed and the member has the key.
fn member_step(list: &str, member: &Value) -> Option<String> {
    let key = list_key(list)?.iter().find(|key| member.get(**key).is_some())?;
    Some(format!("[{key}={}]", plain(&member[*key])))
}

/// A scalar without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn keyed(list: &str, members: &[Value]) -> bool {
    list_key(list).is_some() && members.iter().all(|m| member_step(list, m).is_some())
}

/// Every leaf of an object with its value. Identity is not owned by anybody.
pub fn leaves(object: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    walk("", object, &mut Vec::new(), &mut found);
    found.retain(|path, _| !path.is_empty() && !is_identity(path));
    found
}

fn is_identity(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["apiVersion" | "kind"] | ["status", ..] => true,
        ["metadata", field, ..] => !matches!(*field, "labels" | "annotations"),
        _ => false,
    }
}

fn walk(name: &str, value: &Value, path: &mut Path, found: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                path.push(field.clone());
                walk(field, value, path, found);
                path.pop();
            }
        }
        Value::Array(members) if !members.is_empty() && keyed(name, members) => {
            for member in members {
                path.extend(member_step(name, member));
                walk("", member, path, found);
                path.pop();
            }
        }
        leaf => {
            found.insert(path.clone(), leaf.clone());
        }
    }
}

/// Applies `config` for `manager` to `live`; on conflict nothing has changed.
pub fn apply(
    live: &mut Value,
    owners: &mut Owners,
    config: &Value,
    manager: &str,
    force: bool,
) -> Result<(), Vec<Conflict>> {
    let wanted = leaves(config);
    let present = leaves(live);
    let mut conflicts = Vec::new();
    for (path, value) in &wanted {
        if present.get(path) == Some(value) {
            continue;
        }
        for (other, owned) in owners.iter().filter(|(other, _)| *other != manager) {
            if owned.iter().any(|field| overlaps(field, path)) {
                conflicts.push(Conflict { manager: other.clone(), field: show(path) });
            }
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    for (other, owned) in owners.iter_mut().filter(|(other, _)| *other != manager) {
        owned.retain(|field| {
            let lost = conflicts.iter().any(|c| &c.manager == other)
                && wanted
                    .iter()
                    .any(|(path, value)| overlaps(field, path) && present.get(path) != Some(value));
            !lost
        });
    }
    merge("", live, config);
    let before = owners.insert(manager.to_owned(), wanted.keys().cloned().collect()).unwrap_or_default();
    // A list member is found by its key, so the keys go last.
    let (keys, others): (Vec<Path>, Vec<Path>) = before.into_iter().partition(|path| is_key(path));
    for path in others.into_iter().chain(keys) {
        let still_wanted = owners.values().flatten().any(|field| overlaps(field, &path));
        if !still_wanted {
            remove(live, &path);
        }
    }
    owners.retain(|_, fields| !fields.is_empty());
    Ok(())
}

/// After a write that was no apply: `manager` owns what it changed, nobody owns what is gone.
pub fn take_over(owners: &mut Owners, before: &Value, after: &Value, manager: &str) {
    let (before, after) = (leaves(before), leaves(after));
    let changed: Vec<Path> = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value))
        .map(|(p, _)| p.clone())
        .collect();
    for (owner, fields) in owners.iter_mut() {
        fields.retain(|field| after.contains_key(field) && (owner == manager || !changed.contains(field)));
    }
    if !changed.is_empty() {
        owners.entry(manager.to_owned()).or_default().extend(changed);
    }
    owners.retain(|_, fields| !fields.is_empty());
}

/// Whether one field is the other or lies inside it.
fn overlaps(one: &[String], other: &[String]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// `.spec.template.spec.containers[name=web].image`, as Kubernetes shows it in a conflict.
fn show(path: &[String]) -> String {
    path.iter().map(|step| if step.starts_with('[') { step.clone() } else { format!(".{step}") }).collect()
}

fn is_key(path: &[String]) -> bool {
    matches!(path, [.., member, field] if member.strip_prefix('[').is_some_and(|m| m.starts_with(&format!("{field}="))))
}

fn merge(name: &str, live: &mut Value, config: &Value) {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) => {
            for (field, value) in config {
                merge(field, live.entry(field.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(live), Value::Array(config)) if keyed(name, live) && keyed(name, config) => {
            for member in config {
                let step = member_step(name, member);
                match live.iter_mut().find(|have| member_step(name, have) == step) {
                    Some(have) => merge("", have, member),
                    None => live.push(member.clone()),
                }
            }
        }
        (live, config) => *live = config.clone(),
    }
}

/// Removes a leaf and every parent that is empty after that. A list member goes when only its key is left.
fn remove(live: &mut Value, path: &[String]) {
    let [step, rest @ ..] = path else { return };
    match live {
        Value::Object(fields) => remove_field(fields, step, rest),
        Value::Array(members) => {
            let Some((key, value)) = step.trim_matches(['[', ']']).split_once('=') else { return };
            let step = format!("[{key}={value}]");
            let is_it = |m: &Value| m.get(key).is_some_and(|v| format!("[{key}={}]", plain(v)) == step);
            if let Some(member) = members.iter_mut().find(|m| is_it(m)) {
                remove(member, rest);
            }
            members.retain(|m| !m.as_object().is_some_and(Map::is_empty));
        }
        _ => {}
    }
}

fn remove_field(fields: &mut Map<String, Value>, step: &str, rest: &[String]) {
    if rest.is_empty() {
        fields.shift_remove(step);
        return;
    }
    let Some(child) = fields.get_mut(step) else { return };
    remove(child, rest);
    let empty = child.as_object().is_some_and(Map::is_empty) || child.as_array().is_some_and(Vec::is_empty);
    if empty {
        fields.shift_remove(step);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(image: &str, env: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image, "env": env}]}}}})
    }

    #[test]
    fn what_a_manager_no_longer_applies_is_taken_away() {
        let mut live = Value::Null;
        let mut owners = Owners::new();
        let two = deployment("one", json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]));
        apply(&mut live, &mut owners, &two, "world", false).unwrap();
        assert_eq!(live, two);
        let one = deployment("one", json!([{"name": "A", "value": "1"}]));
        apply(&mut live, &mut owners, &one, "world", false).unwrap();
        assert_eq!(live, one, "B was applied before and is not applied any more");
    }

    #[test]
    fn fields_of_another_manager_stay_or_conflict() {
        let mut live = Value::Null;
        let mut owners = Owners::new();
        apply(&mut live, &mut owners, &deployment("one", json!([])), "world", false).unwrap();
        let scale = json!({"spec": {"replicas": 3}});
        apply(&mut live, &mut owners, &scale, "action", false).unwrap();
        apply(&mut live, &mut owners, &deployment("one", json!([])), "world", false).unwrap();
        assert_eq!(live["spec"]["replicas"], 3, "the action's field is not the world's to remove");

        let other = deployment("two", json!([]));
        let conflict = apply(&mut live, &mut owners, &other, "action", false).unwrap_err();
        let field = ".spec.template.spec.containers[name=app].image".to_owned();
        assert_eq!(conflict, [Conflict { manager: "world".to_owned(), field }]);
        apply(&mut live, &mut owners, &other, "action", true).unwrap();
        assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "two");
        apply(&mut live, &mut owners, &deployment("two", json!([])), "world", false).unwrap();
        apply(&mut live, &mut owners, &json!({}), "action", false).unwrap();
        assert_eq!(
            live,
            deployment("two", json!([])),
            "shared fields stay with the one who still applies them"
        );
    }

    #[test]
    fn a_replace_takes_over_what_it_changes() {
        let mut live = Value::Null;
        let mut owners = Owners::new();
        apply(&mut live, &mut owners, &deployment("one", json!([])), "world", false).unwrap();
        let replaced = deployment("two", json!([]));
        take_over(&mut owners, &live, &replaced, "hand");
        live = replaced;
        assert!(apply(&mut live, &mut owners, &deployment("one", json!([])), "world", false).is_err());
    }

    #[test]
    fn other_lists_are_one_value() {
        let route =
            |subset: &str| json!({"spec": {"http": [{"route": [{"destination": {"subset": subset}}]}]}});
        let mut live = Value::Null;
        let mut owners = Owners::new();
        apply(&mut live, &mut owners, &route("v1"), "world", false).unwrap();
        apply(&mut live, &mut owners, &route("v2"), "world", false).unwrap();
        assert_eq!(live, route("v2"));
        assert_eq!(leaves(&live).len(), 1);
    }
}
