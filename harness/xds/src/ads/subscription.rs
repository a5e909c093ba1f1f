//! One kind of resource on one stream: what the client wants of it, what it has, what is on its way, what it refused.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Delivered,
};
use tokio::time::Instant;

use super::snapshot::{Kind, Snapshot};

const WILDCARD: &str = "*";

/// What the client wants of one kind, and what it has.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub wildcard: bool,
    pub names: BTreeSet<String>,
    /// Acknowledged on this stream, or said to be held when the stream began.
    pub held: BTreeMap<String, String>,
    /// Asked for by name and not yet answered: answered even if unchanged or unknown.
    pub owed: BTreeSet<String>,
    /// A wildcard's first request is answered even if there is nothing, or Envoy never finishes its start.
    pub owes_first: bool,
    pub outstanding: Option<Outstanding>,
    /// Resources of a refused response that held several: sent again one by one, to know which one is at fault.
    pub alone: BTreeSet<String>,
    pub rejected: BTreeMap<String, Rejection>,
}

#[derive(Debug)]
pub(super) struct Outstanding {
    pub nonce: String,
    pub sent: BTreeMap<String, String>,
    pub removed: BTreeSet<String>,
    pub since: Instant,
}

/// Envoy's refusal of one version of a resource (`None`: of its removal).
#[derive(Clone, Debug)]
pub(super) struct Rejection {
    pub version: Option<String>,
    pub message: String,
}

#[derive(Debug, Default)]
pub(super) struct Batch {
    pub updates: BTreeSet<String>,
    pub removals: BTreeSet<String>,
}

impl Subscription {
    /// The first request of a kind on a stream: no names mean all of them.
    pub fn begin(&mut self, request: &DeltaDiscoveryRequest) {
        let names = &request.resource_names_subscribe;
        self.wildcard = names.is_empty() || names.iter().any(|name| name == WILDCARD);
        self.names = names.iter().filter(|name| *name != WILDCARD).cloned().collect();
        for (name, version) in &request.initial_resource_versions {
            if self.wants(name) {
                self.held.insert(name.clone(), version.clone());
            }
        }
        self.owed = self.names.iter().filter(|name| !self.held.contains_key(*name)).cloned().collect();
        self.owes_first = self.wildcard && self.held.is_empty();
    }

    /// A later request: an answer, or a change of what is wanted, or both.
    pub fn hear(&mut self, request: &DeltaDiscoveryRequest) {
        match self.outstanding.take() {
            Some(outstanding) if outstanding.nonce == request.response_nonce => match &request.error_detail {
                None => self.acknowledge(outstanding),
                Some(error) => self.reject(outstanding, &error.message),
            },
            // No answer, or one to a response of an earlier time: says nothing about the outstanding one.
            outstanding => self.outstanding = outstanding,
        }
        for name in &request.resource_names_subscribe {
            if name == WILDCARD {
                self.wildcard = true;
            } else {
                self.names.insert(name.clone());
                self.owed.insert(name.clone());
            }
        }
    }

    pub fn acknowledge(&mut self, outstanding: Outstanding) {
        for name in &outstanding.removed {
            self.held.remove(name);
            self.rejected.remove(name);
        }
        for (name, version) in outstanding.sent {
            self.alone.remove(&name);
            self.rejected.remove(&name);
            if self.wants(&name) {
                self.held.insert(name, version);
            }
        }
    }

    pub fn reject(&mut self, outstanding: Outstanding, message: &str) {
        let refusal = |version| Rejection { version, message: message.to_owned() };
        if outstanding.sent.is_empty() {
            // Not seen from Envoy, which removes whatever it is told to; kept so that nothing passes unseen.
            for name in &outstanding.removed {
                self.rejected.insert(name.clone(), refusal(None));
            }
        }
        for name in outstanding.removed {
            self.held.remove(&name);
        }
        if outstanding.sent.len() > 1 {
            self.alone.extend(outstanding.sent.into_keys());
            return;
        }
        for (name, version) in outstanding.sent {
            self.alone.remove(&name);
            self.rejected.insert(name, refusal(Some(version)));
        }
    }

    pub fn unsubscribe(&mut self, name: &str) {
        if name == WILDCARD {
            self.wildcard = false;
        }
        self.names.remove(name);
        self.owed.remove(name);
        if !self.wildcard {
            let names = &self.names;
            self.held.retain(|name, _| names.contains(name));
            self.rejected.retain(|name, _| names.contains(name));
            self.alone.retain(|name| names.contains(name));
        }
    }

    pub fn send(
        &mut self,
        kind: Kind,
        batch: Batch,
        snapshot: &Snapshot,
        nonce: String,
        system_version: &str,
    ) -> DeltaDiscoveryResponse {
        let mut resources = Vec::with_capacity(batch.updates.len());
        let mut sent = BTreeMap::new();
        for name in &batch.updates {
            let Some(resource) = snapshot.get(kind, name) else { continue };
            sent.insert(name.clone(), resource.version.clone());
            resources.push(Delivered {
                name: name.clone(),
                version: resource.version.clone(),
                resource: Some(resource.any.clone()),
                ..Delivered::default()
            });
        }
        self.owes_first = false;
        self.owed.retain(|name| !batch.updates.contains(name) && !batch.removals.contains(name));
        self.outstanding = Some(Outstanding {
            nonce: nonce.clone(),
            sent,
            removed: batch.removals.clone(),
            since: Instant::now(),
        });
        DeltaDiscoveryResponse {
            system_version_info: system_version.to_owned(),
            resources,
            type_url: kind.type_url().to_owned(),
            removed_resources: batch.removals.into_iter().collect(),
            nonce,
            control_plane: Some(ControlPlane { identifier: "meshquake".to_owned() }),
            ..DeltaDiscoveryResponse::default()
        }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Names that exist and are wanted, and that the client lacks, has in another version, or asked for.
    pub fn updates<'a>(&'a self, kind: Kind, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a str> {
        snapshot.of(kind).filter_map(|(name, resource)| {
            let version = Some(resource.version.as_str());
            let lacking = self.held.get(name).map(String::as_str) != version
                && self.rejected.get(name).is_none_or(|rejection| rejection.version.as_deref() != version);
            (self.owed.contains(name) || (self.wants(name) && lacking)).then_some(name)
        })
    }

    /// Names that the client has or asked for, and that do not exist.
    pub fn removals<'a>(&'a self, kind: Kind, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a str> {
        let known: BTreeSet<&str> = self.held.keys().chain(&self.owed).map(String::as_str).collect();
        known.into_iter().filter(move |name| snapshot.get(kind, name).is_none())
    }

    pub fn has_pending(&self, kind: Kind, snapshot: &Snapshot) -> bool {
        self.owes_first
            || self.updates(kind, snapshot).next().is_some()
            || self.removals(kind, snapshot).next().is_some()
    }

    pub fn forget_old_rejections(&mut self, kind: Kind, snapshot: &Snapshot) {
        self.rejected
            .retain(|name, rejection| rejection.version.as_deref() == version_of(snapshot, kind, name));
        self.alone.retain(|name| snapshot.get(kind, name).is_some());
    }
}

pub(super) fn version_of<'a>(snapshot: &'a Snapshot, kind: Kind, name: &str) -> Option<&'a str> {
    snapshot.get(kind, name).map(|resource| resource.version.as_str())
}
