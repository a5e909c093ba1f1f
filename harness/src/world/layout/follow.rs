//! What an object of Istio says about namespaces, hosts and identities, brought to where the apps are now.

use super::homes::Homes;
use super::hosts::Reader;
use super::node::{at, each_field, expand, expand_texts, items, replace, texts};
use crate::world::kustomize::edit;
use crate::yaml::Node;

/// Gateways that are meant where a VirtualService names none: all sidecars.
const MESH: &str = "mesh";

impl Homes {
    /// Where a VirtualService goes: with the one app whose hosts it routes. One of a gateway stays with it.
    pub fn of_virtual_service(&self, object: &Node, old: &str) -> Option<&str> {
        let spec = object.get("spec")?;
        if texts(spec, "gateways").iter().any(|gateway| *gateway != MESH) {
            return None;
        }
        let mut homes = texts(spec, "hosts").into_iter().map(|host| self.beside(host, old));
        let first = homes.next()??;
        homes.all(|home| home == Some(first)).then_some(first)
    }

    pub fn virtual_service(&self, object: &mut Node, old: &str) {
        let Some(spec) = edit::field_mut(object, "spec") else { return };
        if let Some(hosts) = edit::field_mut(spec, "hosts") {
            expand_texts(hosts, |host| match self.host(host, old) {
                Some(host) => vec![host],
                None => self.patterns(host),
            });
        }
        self.export(spec, old);
        let host = |node: Option<&mut Node>| replace(node, |host| self.host(host, old));
        for protocol in ["http", "tcp", "tls"] {
            for route in items(spec, protocol) {
                for list in ["route", "mirrors"] {
                    items(route, list).iter_mut().for_each(|to| host(at(to, &["destination", "host"])));
                }
                host(at(route, &["mirror", "host"]));
                replace(at(route, &["rewrite", "authority"]), |authority| self.authority(authority, old));
                if let Some(matches) = edit::field_mut(route, "match") {
                    expand(matches, |entry| self.callers(entry));
                    expand(matches, |entry| self.authorities(entry, old));
                }
            }
        }
    }

    pub fn destination_rule(&self, object: &mut Node, old: &str) {
        let Some(spec) = edit::field_mut(object, "spec") else { return };
        replace(edit::field_mut(spec, "host"), |host| self.host(host, old));
        self.export(spec, old);
        each_field(spec, "subjectAltNames", &|names| expand_texts(names, |name| self.identities(name)));
    }

    pub fn authorization_policy(&self, object: &mut Node, old: &str) {
        let Some(spec) = edit::field_mut(object, "spec") else { return };
        for name in ["principals", "notPrincipals"] {
            each_field(spec, name, &|list| expand_texts(list, |name| self.identities(name)));
        }
        for name in ["namespaces", "notNamespaces"] {
            each_field(spec, name, &|list| expand_texts(list, |name| self.namespaces(name)));
        }
        for name in ["serviceAccounts", "notServiceAccounts"] {
            each_field(spec, name, &|list| expand_texts(list, |name| self.accounts(name, old)));
        }
        for condition in items(spec, "rules").iter_mut().flat_map(|rule| items(rule, "when")) {
            let key = condition.get("key").and_then(Node::as_text).unwrap_or_default().to_owned();
            for list in ["values", "notValues"] {
                let Some(list) = edit::field_mut(condition, list) else { continue };
                match key.as_str() {
                    "source.namespace" => expand_texts(list, |name| self.namespaces(name)),
                    "source.principal" => expand_texts(list, |name| self.identities(name)),
                    _ => {}
                }
            }
        }
    }

    /// An object that was for its own namespace is for all that this one was split into.
    fn export(&self, spec: &mut Node, old: &str) {
        if let Some(list) = edit::field_mut(spec, "exportTo") {
            expand_texts(list, |to| self.namespaces(if to == "." { old } else { to }));
        }
    }

    /// A namespace with all that were split from it; nothing where none was.
    fn namespaces(&self, old: &str) -> Vec<String> {
        let all = self.all(old);
        if all.is_empty() { vec![] } else { all.into_iter().chain([old]).map(str::to_owned).collect() }
    }

    /// A match for callers of a namespace, once for each in which such callers are now.
    fn callers(&self, entry: &Node) -> Vec<Node> {
        let Some(namespace) = entry.get("sourceNamespace") else { return vec![] };
        let object = entry.to_object();
        let callers =
            self.selected(namespace.as_text().unwrap_or_default(), &object.root().texts("sourceLabels"));
        let with = |new: &&str| {
            let mut copy = entry.clone();
            edit::set(&mut copy, "sourceNamespace", edit::text(new, &namespace.place), &namespace.place);
            copy
        };
        callers.iter().map(with).collect()
    }

    /// A match for a service by its name, and for the whole name that callers elsewhere use now.
    fn authorities(&self, entry: &Node, old: &str) -> Vec<Node> {
        let exact = entry.get("authority").and_then(|authority| authority.get("exact"));
        let Some(whole) = exact.and_then(Node::as_text).and_then(|text| self.authority(text, old)) else {
            return vec![];
        };
        let mut copy = entry.clone();
        replace(at(&mut copy, &["authority", "exact"]), |_| Some(whole.clone()));
        vec![entry.clone(), copy]
    }

    fn authority(&self, text: &str, old: &str) -> Option<String> {
        self.text(text, &Reader { old, new: "", own_namespace: &[] })
    }

    /// `cluster.local/ns/pinning/sa/web`, also with `spiffe://` before it, where the account's pods are now.
    fn identities(&self, written: &str) -> Vec<String> {
        let Some((domain, rest)) = written.split_once("/ns/") else { return vec![] };
        let Some((namespace, account)) = rest.split_once("/sa/") else { return vec![] };
        let now = self.running_as(namespace, account);
        now.iter().map(|new| format!("{domain}/ns/{new}/sa/{account}")).collect()
    }

    /// `web` or `pinning/web`, where the account's pods are now; without a namespace it is the policy's own.
    fn accounts(&self, written: &str, old: &str) -> Vec<String> {
        let (namespace, account) = written.split_once('/').unwrap_or((old, written));
        self.running_as(namespace, account).iter().map(|home| format!("{home}/{account}")).collect()
    }
}
