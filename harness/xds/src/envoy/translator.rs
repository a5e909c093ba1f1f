//! All resources of a proxy, and only what changed anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::interception::Interception;
use super::{Error, clusters, endpoints, inbound, listeners, routes};
use crate::ads::{Kind, Resource, Snapshot};
use crate::intent::{Endpoint, ProxyIntent};

/// Everything that an intent means to Envoy, without secrets.
pub fn translate(intent: &ProxyIntent, interception: &Interception) -> Result<Snapshot, Error> {
    Translator::default().translate(Arc::new(intent.clone()), interception)
}

/// Remembers what it made, so that a change costs no more than what it touches.
#[derive(Debug, Default)]
pub struct Translator {
    proxies: BTreeMap<String, Translated>,
    /// The same for all proxies that go by the same rule.
    endpoints: BTreeMap<String, (Arc<Vec<Endpoint>>, Arc<Resource>)>,
}

#[derive(Debug)]
struct Translated {
    intent: Arc<ProxyIntent>,
    interception: Interception,
    snapshot: Snapshot,
}

impl Translator {
    /// The resources of a proxy; those that an earlier call made from equal parts are the same ones.
    pub fn translate(
        &mut self,
        intent: Arc<ProxyIntent>,
        interception: &Interception,
    ) -> Result<Snapshot, Error> {
        let previous = self.proxies.get(&intent.id);
        if let Some(previous) = previous
            && previous.interception == *interception
            && previous.intent == intent
        {
            return Ok(previous.snapshot.clone());
        }
        let previous = previous.filter(|previous| {
            // What every resource depends on.
            previous.intent.peer == intent.peer
                && previous.intent.address == intent.address
                && previous.intent.disabled_metrics.keys().eq(intent.disabled_metrics.keys())
                && previous.interception == *interception
        });
        let mut out = Builder { previous, snapshot: Snapshot::new() };
        let old = previous.map(|previous| previous.intent.as_ref());
        for (name, cluster) in intent.clusters.iter() {
            let same = old.and_then(|old| old.clusters.get(name)) == Some(cluster);
            out.put(Kind::Cluster, name, same, || {
                Ok(Resource::pack(clusters::outbound(cluster, intent.address)))
            })?;
        }
        for (name, list) in intent.endpoints.iter() {
            let resource = self.endpoints.get(name).filter(|(known, _)| known == list);
            let resource = match resource {
                Some((_, resource)) => Arc::clone(resource),
                None => {
                    let resource = Arc::new(Resource::pack(endpoints::assignment(name, list)));
                    self.endpoints.insert(name.clone(), (Arc::clone(list), Arc::clone(&resource)));
                    resource
                }
            };
            out.snapshot.insert(Kind::Endpoints, resource);
        }
        let same_access = old.is_some_and(|old| old.authorization == intent.authorization);
        for port in &intent.inbound {
            let same = old.is_some_and(|old| old.inbound.contains(port));
            let name = clusters::inbound_name(port.port);
            out.put(Kind::Cluster, &name, same, || Ok(Resource::pack(clusters::inbound(port))))?;
            out.put(Kind::Listener, &name, same && same_access, || {
                Ok(Resource::pack(inbound::listener(port, &intent)))
            })?;
        }
        for port in &intent.outbound {
            let same = old.is_some_and(|old| old.outbound.contains(port));
            let name = format!("outbound|{}||{}", port.port, port.host);
            out.put(Kind::Listener, &name, same, || {
                Ok(Resource::pack(listeners::outbound(port, &intent, interception)?))
            })?;
        }
        for entry in &intent.entries {
            let same = same_access && old.is_some_and(|old| old.entries.contains(entry));
            let name = format!("gateway|{}", entry.port);
            out.put(Kind::Listener, &name, same, || Ok(Resource::pack(listeners::entry(entry, &intent))))?;
        }
        for (name, table) in &intent.routes {
            let same = old.and_then(|old| old.routes.get(name)) == Some(table);
            out.put(Kind::Route, name, same, || {
                Ok(Resource::pack(routes::table(table, &intent.peer, interception)))
            })?;
        }
        let snapshot = out.snapshot;
        let translated =
            Translated { interception: interception.clone(), snapshot: snapshot.clone(), intent };
        self.proxies.insert(translated.intent.id.clone(), translated);
        Ok(snapshot)
    }

    /// A proxy is gone for good.
    pub fn forget(&mut self, proxy: &str) {
        self.proxies.remove(proxy);
    }
}

struct Builder<'a> {
    previous: Option<&'a Translated>,
    snapshot: Snapshot,
}

impl Builder<'_> {
    fn put(
        &mut self,
        kind: Kind,
        name: &str,
        same: bool,
        make: impl FnOnce() -> Result<Resource, Error>,
    ) -> Result<(), Error> {
        let kept = self.previous.filter(|_| same).and_then(|previous| previous.snapshot.get(kind, name));
        let resource = match kept {
            Some(resource) => Arc::clone(resource),
            None => Arc::new(make()?),
        };
        self.snapshot.insert(kind, resource);
        Ok(())
    }
}
