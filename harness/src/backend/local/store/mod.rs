//! The object store: what an API server keeps, in memory.
//!
//! All writes are transactions on a [`Draft`]: a bad object leaves everything as it was. A version counts every
//! change; the history of changes is what watchers read, so that a watch never misses one between list and watch.

pub mod draft;
pub mod kind;
pub mod ownership;
pub mod selector;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use meshquake_xds::model::Mesh;
use meshquake_xds::object::Object;
use meshquake_xds::source::{Place, Problems};
use serde_json::Value;
use tokio::sync::watch;

pub use self::draft::Draft;
use self::kind::{Access, Kind};
use self::ownership::{Conflict, Owners};
use self::selector::Selector;
use crate::world::Written;

/// The annotation in which the places of an object travel over the API: a JSON object from pointer to `file:line`.
pub const PLACES: &str = "meshquake.dev/places";

/// Changes kept for watchers, each with its objects, which take some 20 KB. A watcher that is further behind must list
/// again.
const HISTORY: usize = 1_000;

/// What an object is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: &'static Kind,
    /// Empty for kinds without a namespace.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced { namespace.to_owned() } else { String::new() };
        Self { kind, namespace, name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind.kind, self.name),
        }
    }
}

/// An object as stored: its value as the API shows it, where it was written, and who owns which field.
#[derive(Debug)]
pub struct Entry {
    pub object: Object,
    owners: Owners,
    /// Made when it is first asked for: every transaction looks at all objects, and few of them change.
    as_written: OnceLock<Written>,
}

impl Entry {
    fn new(object: Object, owners: Owners) -> Self {
        Self { object, owners, as_written: OnceLock::new() }
    }

    pub fn value(&self) -> &Value {
        &self.object.value
    }

    /// What was written, without what the store and the controllers added: the form in which objects are checked.
    pub fn as_written(&self) -> &Written {
        self.as_written.get_or_init(|| Written::new(self.strip()))
    }

    /// Entries are replaced, never changed in place.
    pub fn are_same(some: &[Arc<Self>], others: &[Arc<Self>]) -> bool {
        some.len() == others.len() && some.iter().zip(others).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    fn strip(&self) -> Object {
        let mut object = self.object.clone();
        if let Some(fields) = object.value.as_object_mut() {
            fields.shift_remove("status");
        }
        if let Some(metadata) = object.value["metadata"].as_object_mut() {
            metadata.retain(|field, _| {
                // The age decides between objects that say the same thing twice.
                matches!(
                    field.as_str(),
                    "name" | "namespace" | "labels" | "annotations" | "creationTimestamp"
                )
            });
        }
        object
    }
}

/// One step of the history.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Arc<Entry>>,
    pub after: Option<Arc<Entry>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} not found")]
    NotFound(Key),
    #[error("{0} already exists")]
    Exists(Key),
    #[error("{key} is at version {current}, the write was for version {given}")]
    Stale { key: Key, given: String, current: String },
    #[error("{}", show_conflicts(.0))]
    Fields(Vec<Conflict>),
    #[error("{}", .0.to_string().trim_end())]
    Invalid(Problems),
    #[error("version {asked} is too old, the history begins at {oldest}")]
    Expired { asked: u64, oldest: u64 },
    #[error("{0}")]
    Bad(String),
}

fn show_conflicts(conflicts: &[Conflict]) -> String {
    let fields: Vec<String> =
        conflicts.iter().map(|c| format!("{} is owned by \"{}\"", c.field, c.manager)).collect();
    format!("apply failed with {} conflict(s): {}", conflicts.len(), fields.join(", "))
}

/// Looks at all written objects together, before a transaction takes effect, and makes a mesh of them.
pub type Check = dyn Fn(&[&Written]) -> Result<Option<Mesh>, Problems> + Send + Sync;

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Mutex<Inner>>,
    version: watch::Sender<u64>,
    check: Arc<Check>,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Key, Arc<Entry>>,
    version: u64,
    /// What the last check made of all that people write.
    mesh: Option<Arc<Mesh>>,
    history: VecDeque<Arc<Change>>,
}

impl Store {
    pub fn new(
        check: impl Fn(&[&Written]) -> Result<Option<Mesh>, Problems> + Send + Sync + 'static,
    ) -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        Self { inner, version: watch::Sender::new(0), check: Arc::new(check) }
    }

    /// A poisoned lock is taken over: a draft is committed in one step, so the objects are whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the version: wakes its reader at every change.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// The mesh that the written objects make.
    pub fn mesh(&self) -> Option<Arc<Mesh>> {
        self.lock().mesh.clone()
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.lock().objects.get(key).cloned()
    }

    /// The selected objects of a kind, in all namespaces or in one, and the version at which this was true.
    pub fn list(&self, kind: &Kind, namespace: Option<&str>, selector: &Selector) -> (Vec<Arc<Entry>>, u64) {
        let inner = self.lock();
        let wanted = |key: &Key| key.kind == kind && namespace.is_none_or(|n| key.namespace == n);
        let objects = inner.objects.iter().filter(|(key, _)| wanted(key));
        let found = objects.map(|(_, e)| e).filter(|e| selector.matches(e.value())).cloned().collect();
        (found, inner.version)
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &Kind) -> Vec<Arc<Entry>> {
        self.list(kind, None, &Selector::default()).0
    }

    /// What happened after `version`, oldest first.
    pub fn since(&self, version: u64) -> Result<Vec<Arc<Change>>, Error> {
        let inner = self.lock();
        let oldest = inner.history.front().map_or(inner.version + 1, |change| change.version);
        if version + 1 < oldest {
            return Err(Error::Expired { asked: version, oldest });
        }
        let from = inner.history.partition_point(|change| change.version <= version);
        Ok(inner.history.iter().skip(from).cloned().collect())
    }

    /// Runs `write` on a draft and takes its changes over, all or none. Returns what `write` returned and the
    /// version after it.
    pub fn transact<T>(&self, write: impl FnOnce(&mut Draft) -> Result<T, Error>) -> Result<(T, u64), Error> {
        self.attempt(write, true)
    }

    /// Like [`Store::transact`], with every check, but nothing is taken over.
    pub fn rehearse<T>(&self, write: impl FnOnce(&mut Draft) -> Result<T, Error>) -> Result<(T, u64), Error> {
        self.attempt(write, false)
    }

    fn attempt<T>(
        &self,
        write: impl FnOnce(&mut Draft) -> Result<T, Error>,
        for_good: bool,
    ) -> Result<(T, u64), Error> {
        let mut inner = self.lock();
        let mut draft = Draft::new(inner.objects.clone(), inner.version);
        let outcome = write(&mut draft)?;
        let checked = match draft.wants_check() {
            true => Some((self.check)(&written(&draft.objects)).map_err(Error::Invalid)?),
            false => None,
        };
        let (objects, version, changes) = draft.finish();
        if !for_good {
            return Ok((outcome, version));
        }
        inner.objects = objects;
        let changed = inner.version != version;
        inner.version = version;
        if let Some(mesh) = checked {
            inner.mesh = mesh.map(Arc::new);
        }
        inner.history.extend(changes.into_iter().map(Arc::new));
        let excess = inner.history.len().saturating_sub(HISTORY);
        inner.history.drain(..excess);
        drop(inner);
        if changed {
            self.version.send_replace(version);
        }
        Ok((outcome, version))
    }
}

fn written(objects: &BTreeMap<Key, Arc<Entry>>) -> Vec<&Written> {
    let written = objects.iter().filter(|(key, _)| key.kind.access == Access::Written);
    written.map(|(_, entry)| entry.as_written()).collect()
}

/// Takes the places out of an object's annotations; `fallback` stands for objects that came without any.
pub fn unpack(mut value: Value, fallback: &str) -> Object {
    let mut known = BTreeMap::<String, String>::new();
    if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        if let Some(Value::String(text)) = annotations.shift_remove(PLACES) {
            known = serde_json::from_str(&text).unwrap_or_default();
        }
        if annotations.is_empty()
            && let Some(metadata) = value["metadata"].as_object_mut()
        {
            metadata.shift_remove("annotations");
        }
    }
    let root = known.remove("").and_then(|p| Place::parse(&p)).unwrap_or_else(|| Place::new(fallback, 1));
    let mut places = meshquake_xds::object::Places::new(root);
    for (pointer, place) in known {
        if let Some(place) = Place::parse(&place) {
            places.set(pointer, place);
        }
    }
    Object { value, places }
}

/// The object with its places as an annotation: the form in which it is sent.
pub fn pack(object: &Object) -> Value {
    let places: BTreeMap<&str, String> =
        object.places.iter().map(|(pointer, place)| (pointer, place.to_string())).collect();
    let mut value = object.value.clone();
    value["metadata"]["annotations"][PLACES] = serde_json::json!(places).to_string().into();
    value
}
