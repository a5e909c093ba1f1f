//! Gateways: what the proxies at the edge listen for.

use std::collections::BTreeMap;

use super::{ObjectId, host_matches};
use crate::object::Object;
use crate::source::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub id: ObjectId,
    pub place: Place,
    pub selector: BTreeMap<String, String>,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub place: Place,
    pub port: u16,
    pub hosts: Vec<ServerHost>,
}

/// A host that a server answers for, perhaps only for VirtualServices of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    pub namespace: Option<String>,
    pub host: String,
}

impl Gateway {
    pub(super) fn read(object: &Object) -> Self {
        let id = ObjectId::of(object);
        let spec = object.root().get("spec");
        let servers = spec.iter().flat_map(|spec| spec.items("servers")).map(|server| Server {
            place: server.place().clone(),
            port: server
                .path("port")
                .and_then(|port| port.integer("number"))
                .and_then(|number| u16::try_from(number).ok())
                .unwrap_or_default(),
            hosts: server
                .items("hosts")
                .iter()
                .map(|host| ServerHost::read(host.as_str(), &id.namespace))
                .collect(),
        });
        Self {
            place: object.place("").clone(),
            selector: spec.as_ref().map(|spec| spec.texts("selector")).unwrap_or_default(),
            servers: servers.collect(),
            id,
        }
    }
}

impl ServerHost {
    /// `host`, `namespace/host`, `./host` or `*/host`.
    fn read(text: &str, own: &str) -> Self {
        let (namespace, host) = match text.split_once('/') {
            None | Some(("*", _)) => (None, text.split_once('/').map_or(text, |(_, host)| host)),
            Some((".", host)) => (Some(own.to_owned()), host),
            Some((namespace, host)) => (Some(namespace.to_owned()), host),
        };
        Self { namespace, host: host.to_lowercase() }
    }

    /// The narrower of this host and a VirtualService's, where they have something in common.
    pub fn common(&self, namespace: &str, host: &str) -> Option<String> {
        if self.namespace.as_deref().is_some_and(|only| only != namespace) {
            return None;
        }
        if host == self.host || host_matches(&self.host, host) {
            Some(host.to_owned())
        } else if host_matches(host, &self.host) {
            Some(self.host.clone())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_host_is_the_common_one() {
        let common = |server: &str, host: &str| ServerHost::read(server, "edge").common("shop", host);
        assert_eq!(common("*", "*"), Some("*".to_owned()));
        assert_eq!(common("*", "shop.local"), Some("shop.local".to_owned()));
        assert_eq!(common("shop.local", "*"), Some("shop.local".to_owned()));
        assert_eq!(common("shop.local", "other.local"), None);
        assert_eq!(common("*.local", "shop.local"), Some("shop.local".to_owned()));
        assert_eq!(common("shop/shop.local", "shop.local"), Some("shop.local".to_owned()));
        assert_eq!(common("./shop.local", "shop.local"), None, "another namespace's VirtualService");
    }
}
