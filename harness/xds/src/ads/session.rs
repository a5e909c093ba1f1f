//! One stream's side of the delta protocol, as a value: requests and snapshots go in, responses come out.
//!
//! Nothing here waits or sends; `server.rs` does. The table in the module's documentation is this file.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use tokio::time::Instant;

use super::snapshot::{Kind, Snapshot};
use super::subscription::{Batch, Subscription, version_of};

/// What a stream has been told and has answered.
#[derive(Debug, Default)]
pub(super) struct Session {
    kinds: BTreeMap<Kind, Subscription>,
    nonces: u64,
}

/// What a stream still owes or was refused, measured against a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// Both wildcard kinds have been asked for: Envoy is past the start of its configuration.
    pub begun: bool,
    pub unacknowledged: Vec<Unacknowledged>,
    /// Kinds with something still to send, held back by the order or by a pause.
    pub unsent: Vec<Kind>,
    pub rejected: Vec<(Kind, String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unacknowledged {
    pub kind: Kind,
    pub names: Vec<String>,
    pub since: Instant,
}

impl Standing {
    pub fn is_settled(&self) -> bool {
        self.is_decided() && self.rejected.is_empty()
    }

    /// Nothing is under way: all was accepted or refused.
    pub fn is_decided(&self) -> bool {
        self.begun && self.unacknowledged.is_empty() && self.unsent.is_empty()
    }
}

impl Session {
    /// Takes a request in. A kind that is not served is answered at once: its names do not exist.
    pub fn receive(&mut self, request: DeltaDiscoveryRequest) -> Option<DeltaDiscoveryResponse> {
        let Some(kind) = Kind::from_type_url(&request.type_url) else {
            let names = request.resource_names_subscribe;
            return (request.response_nonce.is_empty() || !names.is_empty()).then(|| {
                tracing::warn!(
                    type_url = request.type_url,
                    "asked for a kind of resource that is not served"
                );
                DeltaDiscoveryResponse {
                    type_url: request.type_url,
                    removed_resources: names,
                    nonce: self.nonce(),
                    ..DeltaDiscoveryResponse::default()
                }
            });
        };
        let first = !self.kinds.contains_key(&kind);
        let subscription = self.kinds.entry(kind).or_default();
        if first {
            subscription.begin(&request);
        } else {
            subscription.hear(&request);
        }
        for name in request.resource_names_unsubscribe {
            subscription.unsubscribe(&name);
        }
        None
    }

    /// The next response that may be sent now; call until there is none.
    pub fn next(&mut self, snapshot: &Snapshot, system_version: &str) -> Option<DeltaDiscoveryResponse> {
        for subscription in self.kinds.iter_mut() {
            subscription.1.forget_old_rejections(*subscription.0, snapshot);
        }
        let (kind, batch) =
            Kind::ALL.into_iter().find_map(|kind| Some((kind, self.batch(kind, snapshot)?)))?;
        if kind == Kind::Cluster {
            self.owe_endpoints_of(&batch, snapshot);
        }
        let nonce = self.nonce();
        let subscription = self.kinds.get_mut(&kind)?;
        Some(subscription.send(kind, batch, snapshot, nonce, system_version))
    }

    pub fn standing(&self, snapshot: &Snapshot) -> Standing {
        let mut standing = Standing {
            begun: self.kinds.contains_key(&Kind::Cluster) && self.kinds.contains_key(&Kind::Listener),
            ..Standing::default()
        };
        for (&kind, subscription) in &self.kinds {
            if let Some(outstanding) = &subscription.outstanding {
                standing.unacknowledged.push(Unacknowledged {
                    kind,
                    names: outstanding.sent.keys().chain(&outstanding.removed).cloned().collect(),
                    since: outstanding.since,
                });
            } else if subscription.has_pending(kind, snapshot) {
                standing.unsent.push(kind);
            }
            for (name, rejection) in &subscription.rejected {
                if rejection.version.as_deref() == version_of(snapshot, kind, name) {
                    standing.rejected.push((kind, name.clone(), rejection.message.clone()));
                }
            }
        }
        standing
    }

    /// What of a kind may be sent now. Nothing before the last response of that kind was answered.
    fn batch(&self, kind: Kind, snapshot: &Snapshot) -> Option<Batch> {
        let subscription = self.kinds.get(&kind)?;
        if subscription.outstanding.is_some() {
            return None;
        }
        let updates_may_go = self.updates_may_go(kind, snapshot);
        let removals_may_go = self.removals_may_go(kind, snapshot);
        let mut batch = Batch::default();
        for name in subscription.updates(kind, snapshot) {
            // Who asks for a name is answered at once: Envoy is waiting for it.
            if updates_may_go || subscription.owed.contains(name) {
                batch.updates.insert(name.to_owned());
            }
        }
        if let Some(one) = batch.updates.iter().find(|name| subscription.alone.contains(*name)).cloned() {
            return Some(Batch { updates: BTreeSet::from([one]), removals: BTreeSet::new() });
        }
        for name in subscription.removals(kind, snapshot) {
            if removals_may_go || subscription.owed.contains(name) {
                batch.removals.insert(name.to_owned());
            }
        }
        let answers_first = subscription.owes_first && updates_may_go;
        (answers_first || !batch.updates.is_empty() || !batch.removals.is_empty()).then_some(batch)
    }

    /// Make before break: a listener or route may refer to a new cluster only once that is warm. Envoy holds the
    /// acknowledgement of clusters back until then, so waiting for it is enough.
    fn updates_may_go(&self, kind: Kind, snapshot: &Snapshot) -> bool {
        let earlier: &[Kind] = match kind {
            Kind::Cluster | Kind::Endpoints | Kind::Secret => &[],
            Kind::Listener => &[Kind::Cluster, Kind::Endpoints],
            Kind::Route => &[Kind::Cluster, Kind::Endpoints, Kind::Listener],
        };
        !earlier.iter().any(|&kind| self.is_updating(kind, snapshot))
    }

    /// Removals go last, once nothing refers to the removed any more. Nothing refers to a listener, and its
    /// address may be wanted by another: it goes with the updates.
    fn removals_may_go(&self, kind: Kind, snapshot: &Snapshot) -> bool {
        match kind {
            Kind::Listener => self.updates_may_go(kind, snapshot),
            Kind::Cluster | Kind::Endpoints | Kind::Route | Kind::Secret => {
                !Kind::ALL.into_iter().any(|kind| self.is_updating(kind, snapshot))
            }
        }
    }

    fn is_updating(&self, kind: Kind, snapshot: &Snapshot) -> bool {
        self.kinds.get(&kind).is_some_and(|subscription| {
            subscription.outstanding.is_some() || subscription.updates(kind, snapshot).next().is_some()
        })
    }

    /// A changed cluster is a new one to Envoy, which warms until it has endpoints, but does not ask for them
    /// again where it already subscribes to their name.
    fn owe_endpoints_of(&mut self, batch: &Batch, snapshot: &Snapshot) {
        let Some(endpoints) = self.kinds.get_mut(&Kind::Endpoints) else { return };
        for name in &batch.updates {
            let cluster = snapshot.get(Kind::Cluster, name).and_then(|resource| resource.unpack::<Cluster>());
            if let Some(name) = cluster.as_ref().and_then(endpoints_name)
                && endpoints.names.contains(name)
            {
                endpoints.owed.insert(name.to_owned());
            }
        }
    }

    fn nonce(&mut self) -> String {
        self.nonces += 1;
        self.nonces.to_string()
    }
}

/// The name under which a cluster asks for its endpoints, where it does.
fn endpoints_name(cluster: &Cluster) -> Option<&str> {
    let eds = cluster::DiscoveryType::Eds as i32;
    if !matches!(cluster.cluster_discovery_type, Some(cluster::ClusterDiscoveryType::Type(kind)) if kind == eds)
    {
        return None;
    }
    match &cluster.eds_cluster_config {
        Some(config) if !config.service_name.is_empty() => Some(&config.service_name),
        _ => Some(&cluster.name),
    }
}
