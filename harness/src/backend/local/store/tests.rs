//! The store by itself: versions, history, transactions.

use serde_json::json;

use super::kind::CONFIG_MAP;
use super::*;

fn store() -> Store {
    Store::new(|objects| {
        let mut problems = Problems::default();
        for object in objects.iter().map(|o| &o.object).filter(|o| o.value["data"]["bad"] == "yes") {
            problems.push(meshquake_xds::source::Problem::new(object.place("/data/bad"), "bad data"));
        }
        problems.into_result(None)
    })
}

fn config(name: &str, data: Value) -> Object {
    unpack(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}), "test")
}

fn apply(store: &Store, object: &Object) -> Result<(Arc<Entry>, u64), Error> {
    store.transact(|draft| draft.apply(draft.key_of(object, None)?, object, "test", false))
}

#[test]
fn a_write_without_change_keeps_the_version() {
    let store = store();
    let (_, one) = apply(&store, &config("a", json!({"k": "1"}))).unwrap();
    let (_, two) = apply(&store, &config("a", json!({"k": "1"}))).unwrap();
    assert_eq!(one, two);
    let (entry, three) = apply(&store, &config("a", json!({"k": "2"}))).unwrap();
    assert_eq!(three, two + 1);
    assert_eq!(entry.value()["metadata"]["resourceVersion"], three.to_string());
}

#[test]
fn a_transaction_with_a_bad_object_changes_nothing() {
    let store = store();
    let refused = store.transact(|draft| {
        for object in [config("good", json!({})), config("bad", json!({"bad": "yes"}))] {
            draft.apply(draft.key_of(&object, None)?, &object, "test", false)?;
        }
        Ok(())
    });
    assert!(matches!(refused, Err(Error::Invalid(problems)) if problems.0.len() == 1));
    assert!(store.all(&CONFIG_MAP).is_empty());
    assert!(store.since(0).unwrap().is_empty());
}

#[test]
fn an_unknown_kind_is_refused_by_name() {
    let object =
        unpack(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}}), "world.yaml");
    let error = store().transact(|draft| draft.key_of(&object, None)).unwrap_err();
    assert_eq!(error.to_string(), "world.yaml:1: kind `CronJob` (batch/v1) is not supported on local");
}

#[test]
fn a_replace_for_an_old_version_is_refused() {
    let store = store();
    let (old, _) = apply(&store, &config("a", json!({"k": "1"}))).unwrap();
    apply(&store, &config("a", json!({"k": "2"}))).unwrap();
    let key = Key::new(&CONFIG_MAP, "default", "a");
    let stale = store.transact(|draft| draft.replace(key, old.object.clone(), "test"));
    assert!(matches!(stale, Err(Error::Stale { .. })));
}

#[test]
fn the_history_tells_every_change_once() {
    let store = store();
    apply(&store, &config("a", json!({"k": "1"}))).unwrap();
    let (_, version) = apply(&store, &config("a", json!({"k": "2"}))).unwrap();
    store.transact(|draft| draft.delete(&Key::new(&CONFIG_MAP, "default", "a"))).unwrap();
    let shape: Vec<_> =
        store.since(0).unwrap().iter().map(|c| (c.before.is_some(), c.after.is_some())).collect();
    assert_eq!(shape, [(false, true), (true, true), (true, false)]);
    assert_eq!(store.since(version).unwrap().len(), 1);
}

#[test]
fn places_travel_in_an_annotation() {
    let mut object = config("a", json!({"k": "1"}));
    object.places.set("/data/k", Place::new("world/a.yaml", 7));
    let back = unpack(pack(&object), "elsewhere");
    assert_eq!(back, object);
}
