//! A transaction in the making: the objects as they would be, and the changes that lead there.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshquake_xds::object::Object;
use meshquake_xds::source::{Problem, Problems};
use serde_json::{Value, json};

use super::kind::{Access, CONFIG_MAP, DEPLOYMENT, Kind, NAMESPACE, POD};
use super::ownership::{self, Owners};
use super::{Change, Entry, Error, Key};

/// Namespaces that every cluster has, and the one of the mesh.
const GIVEN_NAMESPACES: [&str; 3] = ["default", "kube-system", "istio-system"];

/// The objects as they would be after the transaction.
pub struct Draft {
    pub(super) objects: BTreeMap<Key, Arc<Entry>>,
    version: u64,
    changes: Vec<Change>,
    check: bool,
}

impl Draft {
    pub(super) fn new(objects: BTreeMap<Key, Arc<Entry>>, version: u64) -> Self {
        Self { objects, version, changes: Vec::new(), check: false }
    }

    pub(super) fn finish(self) -> (BTreeMap<Key, Arc<Entry>>, u64, Vec<Change>) {
        (self.objects, self.version, self.changes)
    }

    /// Whether anything that people write has changed.
    pub(super) fn wants_check(&self) -> bool {
        self.check
    }

    pub fn get(&self, key: &Key) -> Result<&Arc<Entry>, Error> {
        self.objects.get(key).ok_or_else(|| Error::NotFound(key.clone()))
    }

    /// Where an object belongs; `namespace` is the one that the request names, if any.
    pub fn key_of(&self, object: &Object, namespace: Option<&str>) -> Result<Key, Error> {
        let kind = Kind::of(object.api_version(), object.kind()).ok_or_else(|| refused_kind(object))?;
        let namespace = match (object.namespace(), namespace) {
            ("", given) => given.unwrap_or("default"),
            (own, Some(given)) if own != given => {
                let said = format!("{} does not belong to namespace {given}", object.title());
                return Err(Error::Bad(said));
            }
            (own, _) => own,
        };
        if object.name().is_empty() {
            return Err(Error::Bad(format!("{} without a name", kind.kind)));
        }
        let known = Key::new(&NAMESPACE, "", namespace);
        if kind.namespaced && !GIVEN_NAMESPACES.contains(&namespace) && !self.objects.contains_key(&known) {
            let problem = Problem::new(
                object.place("/metadata/namespace"),
                format!("namespace `{namespace}` does not exist"),
            );
            return Err(Error::Invalid(Problems(vec![problem.help("add the Namespace to the world")])));
        }
        Ok(Key::new(kind, namespace, object.name()))
    }

    pub fn create(&mut self, key: Key, object: Object, manager: &str) -> Result<Arc<Entry>, Error> {
        if self.objects.contains_key(&key) {
            return Err(Error::Exists(key));
        }
        let mut owners = Owners::new();
        ownership::take_over(&mut owners, &Value::Null, &object.value, manager);
        Ok(self.put(key, object, owners))
    }

    /// Server-side apply. What stands at places no longer known keeps the place it had.
    pub fn apply(
        &mut self,
        key: Key,
        object: &Object,
        manager: &str,
        force: bool,
    ) -> Result<Arc<Entry>, Error> {
        let (mut live, mut owners) = match self.objects.get(&key) {
            Some(entry) => (entry.object.clone(), entry.owners.clone()),
            None => (Object { value: json!({}), places: object.places.clone() }, Owners::new()),
        };
        let status = live.value.as_object_mut().and_then(|fields| fields.shift_remove("status"));
        ownership::apply(&mut live.value, &mut owners, &object.value, manager, force)
            .map_err(Error::Fields)?;
        if let Some(status) = status {
            live.value["status"] = status;
        }
        live.places = object.places.clone();
        Ok(self.put(key, live, owners))
    }

    /// Replaces an object. A `resourceVersion` in it must be the current one.
    pub fn replace(&mut self, key: Key, mut object: Object, manager: &str) -> Result<Arc<Entry>, Error> {
        let entry = self.get(&key)?.clone();
        let current = entry.value()["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if let Some(given) = object.value["metadata"]["resourceVersion"].as_str()
            && given != current
        {
            return Err(Error::Stale { key, given: given.to_owned(), current: current.to_owned() });
        }
        if let Some(status) = entry.value().get("status") {
            object.value["status"] = status.clone();
        }
        let mut owners = entry.owners.clone();
        ownership::take_over(&mut owners, entry.value(), &object.value, manager);
        Ok(self.put(key, object, owners))
    }

    /// A controller's own change: status, or the marks of deletion. Not checked and owned by nobody.
    pub fn adjust(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> Result<Arc<Entry>, Error> {
        let entry = self.get(key)?.clone();
        let mut object = entry.object.clone();
        change(&mut object.value);
        if object == entry.object {
            return Ok(entry);
        }
        Ok(self.commit(key.clone(), object, entry.owners.clone()))
    }

    pub fn delete(&mut self, key: &Key) -> Result<Arc<Entry>, Error> {
        let entry = self.get(key)?.clone();
        if key.kind == &NAMESPACE {
            let inside: Vec<Key> = self.objects.keys().filter(|k| k.namespace == key.name).cloned().collect();
            for key in inside.iter().filter(|key| key.kind != &POD) {
                self.delete(key)?;
            }
        }
        self.objects.remove(key);
        self.version += 1;
        self.check |= key.kind.access == Access::Written;
        let version = self.version;
        self.changes.push(Change { version, key: key.clone(), before: Some(entry.clone()), after: None });
        Ok(entry)
    }

    /// Fills in what the store itself decides, and commits if anything differs.
    fn put(&mut self, key: Key, mut object: Object, owners: Owners) -> Arc<Entry> {
        let before = self.objects.get(&key).cloned();
        fill_in(&key, &mut object.value, before.as_deref());
        if let Some(before) = before
            && before.object.value == object.value
        {
            // Nothing changed, so the version stays, as in Kubernetes; places and owners may still differ.
            let entry = Arc::new(Entry::new(object, owners));
            self.objects.insert(key, entry.clone());
            return entry;
        }
        self.check |= key.kind.access == Access::Written;
        self.commit(key, object, owners)
    }

    fn commit(&mut self, key: Key, mut object: Object, owners: Owners) -> Arc<Entry> {
        self.version += 1;
        object.value["metadata"]["resourceVersion"] = self.version.to_string().into();
        let after = Arc::new(Entry::new(object, owners));
        let before = self.objects.insert(key.clone(), after.clone());
        self.changes.push(Change { version: self.version, key, before, after: Some(after.clone()) });
        after
    }
}

fn refused_kind(object: &Object) -> Error {
    let title = format!("kind `{}` ({}) is not supported on local", object.kind(), object.api_version());
    let kinds = super::kind::KINDS.iter().filter(|k| k.access == Access::Written);
    let allowed = kinds.map(|k| k.kind).collect::<Vec<_>>().join(", ");
    Error::Invalid(Problems(vec![Problem::new(object.place("/kind"), title).allowed(allowed)]))
}

fn fill_in(key: &Key, value: &mut Value, before: Option<&Entry>) {
    if key.kind == &DEPLOYMENT && value["spec"].get("replicas").is_none_or(Value::is_null) {
        value["spec"]["replicas"] = 1.into();
    }
    let old = before.map(|entry| entry.value());
    let old_field = |field: &str| old.and_then(|old| old["metadata"].get(field)).cloned();
    let generation = match old {
        Some(old) => {
            let count = old["metadata"]["generation"].as_i64().unwrap_or(1);
            count + i64::from(content(old) != content(value))
        }
        None => 1,
    };
    let metadata = &mut value["metadata"];
    if key.kind.namespaced {
        metadata["namespace"] = key.namespace.clone().into();
    }
    metadata["name"] = key.name.clone().into();
    metadata["uid"] = old_field("uid").unwrap_or_else(|| uid().into());
    metadata["creationTimestamp"] = old_field("creationTimestamp").unwrap_or_else(|| now().into());
    if key.kind != &CONFIG_MAP {
        metadata["generation"] = generation.into();
    }
    if let Some(fields) = metadata.as_object_mut() {
        fields.shift_remove("managedFields");
        match old_field("resourceVersion") {
            Some(version) => fields.insert("resourceVersion".to_owned(), version),
            None => fields.shift_remove("resourceVersion"),
        };
        fields.retain(|_, value| !value.is_null());
    }
}

/// What a generation counts: everything but metadata and status.
fn content(value: &Value) -> Vec<(&String, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status" | "apiVersion")).collect()
}

/// The time as Kubernetes writes it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random UUID; Linux draws them for us.
pub fn uid() -> String {
    let drawn = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    drawn.map_or_else(|_| now(), |text| text.trim().to_owned())
}
