//! What one Envoy should have: its resources by kind and name, each with a version that is a hash of its bytes.
//!
//! A snapshot is a value. Equal resources are shared between snapshots, and two snapshots can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use prost::{Message, Name};

/// The kinds of resources, in the order in which they are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Cluster,
    Endpoints,
    Listener,
    Route,
    Secret,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Cluster, Kind::Endpoints, Kind::Listener, Kind::Route, Kind::Secret];

    pub fn type_url(self) -> &'static str {
        match self {
            Kind::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Kind::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Kind::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Kind::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Kind::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    pub fn from_type_url(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// As a person reads it: `cluster`, `endpoints`, `listener`, `route`, `secret`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Cluster => "cluster",
            Kind::Endpoints => "endpoints",
            Kind::Listener => "listener",
            Kind::Route => "route",
            Kind::Secret => "secret",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A message that can stand in a snapshot on its own.
pub trait Discoverable: Message + Name + Default + PartialEq {
    const KIND: Kind;
    fn resource_name(&self) -> &str;
}

macro_rules! discoverable {
    ($($message:ident: $kind:ident by $name:ident),+ $(,)?) => {$(
        impl Discoverable for $message {
            const KIND: Kind = Kind::$kind;
            fn resource_name(&self) -> &str {
                &self.$name
            }
        }
    )+};
}

discoverable! {
    Cluster: Cluster by name,
    ClusterLoadAssignment: Endpoints by cluster_name,
    Listener: Listener by name,
    RouteConfiguration: Route by name,
    Secret: Secret by name,
}

/// One packed message.
#[derive(Clone)]
pub struct Resource {
    pub name: String,
    /// A hash of the packed bytes, in hexadecimal.
    pub version: String,
    pub any: Any,
}

impl Resource {
    pub fn pack<M: Discoverable>(message: M) -> Self {
        let name = message.resource_name().to_owned();
        let any = pack_any(message);
        let mut hasher = DefaultHasher::new();
        hasher.write(&any.value);
        Self { name, version: format!("{:016x}", hasher.finish()), any }
    }

    /// The message again, where it is of the asked type.
    pub fn unpack<M: Discoverable>(&self) -> Option<M> {
        (self.any.type_url == M::KIND.type_url()).then(|| M::decode(self.any.value.as_slice()).ok()).flatten()
    }

    /// Whether both say the same. The generated types keep protobuf maps in hash maps, so equal messages may be
    /// packed in another order of their map entries: bytes alone would call them different.
    fn same(&self, other: &Self, kind: Kind) -> bool {
        if self.version == other.version {
            return true;
        }
        fn equal<M: Discoverable>(a: &Resource, b: &Resource) -> bool {
            a.unpack::<M>().is_some_and(|message| Some(message) == b.unpack::<M>())
        }
        self.any.value.len() == other.any.value.len()
            && match kind {
                Kind::Cluster => equal::<Cluster>(self, other),
                Kind::Endpoints => equal::<ClusterLoadAssignment>(self, other),
                Kind::Listener => equal::<Listener>(self, other),
                Kind::Route => equal::<RouteConfiguration>(self, other),
                Kind::Secret => equal::<Secret>(self, other),
            }
    }
}

impl Eq for Resource {}

impl PartialEq for Resource {
    /// The version stands for the bytes.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.name == other.name
    }
}

impl fmt::Debug for Resource {
    /// Without the bytes: they may hold a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

type Named = BTreeMap<String, Arc<Resource>>;

/// Everything that one node should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Shared where all of a kind is the same.
    resources: BTreeMap<Kind, Arc<Named>>,
}

impl Snapshot {
    pub fn new() -> Self {
        Self::default()
    }

    /// Packs and adds a message; hands back what stood under its name before.
    pub fn add<M: Discoverable>(&mut self, message: M) -> Option<Arc<Resource>> {
        self.insert(M::KIND, Arc::new(Resource::pack(message)))
    }

    /// Adds a packed resource, for instance one shared with another snapshot.
    pub fn insert(&mut self, kind: Kind, resource: Arc<Resource>) -> Option<Arc<Resource>> {
        Arc::make_mut(self.resources.entry(kind).or_default()).insert(resource.name.clone(), resource)
    }

    pub fn remove(&mut self, kind: Kind, name: &str) -> Option<Arc<Resource>> {
        let named = Arc::make_mut(self.resources.get_mut(&kind)?);
        let removed = named.remove(name);
        if named.is_empty() {
            self.resources.remove(&kind);
        }
        removed
    }

    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&kind)?.get(name)
    }

    /// The resources of a kind by name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&str, &Arc<Resource>)> {
        self.resources
            .get(&kind)
            .into_iter()
            .flat_map(|named| named.iter())
            .map(|(name, resource)| (name.as_str(), resource))
    }

    pub fn len(&self) -> usize {
        self.resources.values().map(|named| named.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Puts in place of each resource the one of `previous` that says the same, so that no node is sent
    /// something it has.
    pub fn keep_from(&mut self, previous: &Snapshot) {
        for (kind, named) in &mut self.resources {
            let Some(before) = previous.resources.get(kind) else { continue };
            let said_before = |resource: &Arc<Resource>| {
                let old = before.get(&resource.name)?;
                (!Arc::ptr_eq(old, resource) && old.same(resource, *kind)).then(|| Arc::clone(old))
            };
            let kept: Vec<_> = named.values().filter_map(said_before).collect();
            if !kept.is_empty() {
                Arc::make_mut(named).extend(kept.into_iter().map(|old| (old.name.clone(), old)));
            }
            if named == before {
                *named = Arc::clone(before);
            }
        }
    }

    /// What is different from `previous`.
    pub fn diff(&self, previous: &Snapshot) -> Diff {
        let mut diff = Diff::default();
        for kind in Kind::ALL {
            if let (Some(now), Some(before)) = (self.resources.get(&kind), previous.resources.get(&kind))
                && Arc::ptr_eq(now, before)
            {
                continue;
            }
            for (name, resource) in self.of(kind) {
                if previous.get(kind, name).is_none_or(|old| !old.same(resource, kind)) {
                    diff.changed.insert((kind, name.to_owned()));
                }
            }
            for (name, _) in previous.of(kind) {
                if self.get(kind, name).is_none() {
                    diff.removed.insert((kind, name.to_owned()));
                }
            }
        }
        diff
    }
}

/// The difference between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// New, or with other content.
    pub changed: BTreeSet<(Kind, String)>,
    pub removed: BTreeSet<(Kind, String)>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::Metadata;
    use envoy_types::pb::google::protobuf::{Struct, Value, value};

    use super::*;

    fn cluster(name: &str, alt: &str) -> Cluster {
        Cluster { name: name.into(), alt_stat_name: alt.into(), ..Cluster::default() }
    }

    #[test]
    fn kinds_know_their_type_urls() {
        assert_eq!(Kind::Cluster.type_url(), Cluster::type_url());
        assert_eq!(Kind::Endpoints.type_url(), ClusterLoadAssignment::type_url());
        assert_eq!(Kind::Listener.type_url(), Listener::type_url());
        assert_eq!(Kind::Route.type_url(), RouteConfiguration::type_url());
        assert_eq!(Kind::Secret.type_url(), Secret::type_url());
        for kind in Kind::ALL {
            assert_eq!(Kind::from_type_url(kind.type_url()), Some(kind));
        }
    }

    #[test]
    fn a_resource_is_found_under_its_own_name_and_unpacks_again() {
        let mut snapshot = Snapshot::new();
        assert!(snapshot.add(cluster("a", "")).is_none());
        assert!(
            snapshot.add(ClusterLoadAssignment { cluster_name: "a".into(), ..Default::default() }).is_none()
        );
        assert_eq!(snapshot.len(), 2);
        assert_eq!(snapshot.get(Kind::Cluster, "a").and_then(|r| r.unpack()), Some(cluster("a", "")));
        assert_eq!(snapshot.get(Kind::Cluster, "a").and_then(|r| r.unpack::<Listener>()), None);
        assert!(snapshot.add(cluster("a", "x")).is_some(), "the displaced one is handed back");
    }

    #[test]
    fn a_diff_names_what_changed_and_what_went() {
        let mut old = Snapshot::new();
        old.add(cluster("same", ""));
        old.add(cluster("other", ""));
        old.add(cluster("gone", ""));
        let mut new = Snapshot::new();
        new.add(cluster("same", ""));
        new.add(cluster("other", "now"));
        new.add(cluster("fresh", ""));
        let diff = new.diff(&old);
        let names = |set: &BTreeSet<(Kind, String)>| set.iter().map(|(_, n)| n.clone()).collect::<Vec<_>>();
        assert_eq!(names(&diff.changed), ["fresh", "other"]);
        assert_eq!(names(&diff.removed), ["gone"]);
        assert!(new.diff(&new.clone()).is_empty());
    }

    /// Two maps with equal entries iterate in different orders; the snapshot must not call that a change.
    #[test]
    fn the_order_of_map_entries_is_no_change() {
        let build = || {
            let fields = (0..20).map(|i| {
                (format!("key-{i}"), Value { kind: Some(value::Kind::StringValue(format!("value-{i}"))) })
            });
            let metadata = Metadata {
                filter_metadata: [("istio".to_owned(), Struct { fields: fields.collect() })].into(),
                ..Metadata::default()
            };
            let mut snapshot = Snapshot::new();
            snapshot.add(Cluster { metadata: Some(metadata), ..cluster("a", "") });
            snapshot
        };
        let old = build();
        let bytes = |s: &Snapshot| s.get(Kind::Cluster, "a").map(|r| r.any.value.clone());
        let mut new = build();
        for _ in 0..50 {
            if bytes(&new) != bytes(&old) {
                break;
            }
            new = build();
        }
        assert_ne!(bytes(&new), bytes(&old), "the premise: packed in another order");
        assert!(new.diff(&old).is_empty());
        new.keep_from(&old);
        assert_eq!(new, old);
    }
}
