//! The intent of a gateway's proxy: its servers' ports, and the VirtualServices bound to them.

use std::collections::BTreeMap;

use super::clusters::OpenBook;
use super::routes::Caller;
use super::{Entry, ProxyIntent, RouteTable, VirtualHost};
use crate::model::{GatewayProxy, Mesh};

impl Mesh {
    pub(super) fn gateway(&self, proxy: &GatewayProxy, book: &mut OpenBook<'_>, intent: &mut ProxyIntent) {
        book.fill(&proxy.labels, intent);
        for gateway in self.gateways.values() {
            let selected = gateway.selector.iter().all(|(key, value)| proxy.labels.get(key) == Some(value));
            if !selected {
                continue;
            }
            let name = gateway.id.to_string();
            for server in &gateway.servers {
                let table = format!("http.{}", server.port);
                if !intent.entries.iter().any(|entry| entry.port == server.port) {
                    intent.entries.push(Entry {
                        port: server.port,
                        listens: proxy.listens(server.port),
                        table: table.clone(),
                        place: server.place.clone(),
                    });
                }
                let caller = Caller {
                    labels: &proxy.labels,
                    namespace: &proxy.namespace,
                    gateway: &name,
                    port: server.port,
                };
                let table = intent.routes.entry(table.clone()).or_insert_with(|| RouteTable {
                    name: table,
                    hosts: Vec::new(),
                    passthrough: Vec::new(),
                });
                let mut hosts: BTreeMap<String, VirtualHost> =
                    table.hosts.drain(..).map(|host| (host.domains.concat(), host)).collect();
                for rules in self.virtual_services.iter().filter(|rules| rules.bound_to(&name)) {
                    let common = rules.hosts.iter().flat_map(|(host, _)| {
                        server.hosts.iter().filter_map(|own| own.common(&rules.id.namespace, host))
                    });
                    let mut common: Vec<String> = common.collect();
                    common.sort();
                    common.dedup();
                    for domain in common {
                        let routes = self.http_routes(rules, &caller);
                        let host = hosts.entry(domain.clone()).or_insert_with(|| VirtualHost {
                            place: rules.place.clone(),
                            name: format!("{domain}:{}", server.port),
                            domains: vec![domain],
                            service: None,
                            routes: Vec::new(),
                        });
                        host.routes.extend(routes);
                    }
                }
                // A host without a rule for this gateway must not stand before a wider one that has some.
                table.hosts = hosts.into_values().filter(|host| !host.routes.is_empty()).collect();
            }
        }
        intent.entries.sort_by_key(|entry| entry.port);
    }
}
