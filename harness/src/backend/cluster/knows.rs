//! Whether every proxy lists the endpoints that Kubernetes has: what a call can reach is then what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};

use super::proxies::{self, Whose};
use crate::wait::{self, NotReached, Seen};

const CLUSTERS: &str = "/clusters?format=json";

/// Addresses by the host of a service.
type Endpoints = BTreeMap<String, BTreeSet<String>>;

/// Waits until every live proxy lists, for each service of the world that it knows, exactly the ready endpoints.
pub async fn wait(client: &kube::Client, whose: &Whose, limit: Duration) -> Result<(), NotReached> {
    wait::until("every proxy with all endpoints", limit, async || match missing(client, whose).await {
        Ok(None) => Seen::Done(()),
        Ok(Some(why)) => Seen::NotYet(why),
        Err(error) => Seen::NotYet(crate::error::chain(&error)),
    })
    .await
}

async fn missing(client: &kube::Client, whose: &Whose) -> Result<Option<String>, proxies::Error> {
    let ready = ready(client, &whose.namespaces).await?;
    let live = proxies::live(client, whose).await?;
    for (proxy, clusters) in proxies::ask(client, &live, CLUSTERS).await? {
        for (host, listed) in by_host(&proxies::endpoints(&clusters)) {
            let Some(ready) = ready.get(&host).filter(|ready| **ready != listed) else { continue };
            let text = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
            let (listed, ready) = (text(&listed), text(ready));
            return Ok(Some(format!("pod {} lists [{listed}] for {host}, ready are [{ready}]", proxy.pod)));
        }
    }
    Ok(None)
}

/// Every address that some live proxy of the world lists.
pub async fn members(client: &kube::Client, whose: &Whose) -> Result<BTreeSet<String>, proxies::Error> {
    let live = proxies::live(client, whose).await?;
    let answers = proxies::ask(client, &live, CLUSTERS).await?;
    // A proxy lists itself as the place where its inbound calls go on.
    let listed = answers.iter().flat_map(|(_, clusters)| proxies::endpoints(clusters));
    Ok(listed.filter(|(cluster, _)| cluster.starts_with("outbound|")).flat_map(|(_, hosts)| hosts).collect())
}

/// `outbound|8080|v1|web.shop.svc.cluster.local`: all ports and subsets of a host together.
fn by_host(clusters: &Endpoints) -> Endpoints {
    let mut hosts = Endpoints::new();
    for (name, addresses) in clusters {
        let mut parts = name.splitn(4, '|');
        if parts.next() == Some("outbound")
            && let Some(host) = parts.nth(2)
        {
            hosts.entry(host.to_owned()).or_default().extend(addresses.iter().cloned());
        }
    }
    hosts
}

/// The ready endpoints of each service that has an address of its own; a headless one is resolved by its callers.
async fn ready(client: &kube::Client, namespaces: &[String]) -> Result<Endpoints, kube::Error> {
    let mut found = Endpoints::new();
    for namespace in namespaces {
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        for service in services.list(&ListParams::default()).await? {
            let address = service.spec.and_then(|spec| spec.cluster_ip);
            if address.is_some_and(|address| address != "None") {
                found.insert(host(&service.metadata.name.unwrap_or_default(), namespace), BTreeSet::new());
            }
        }
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        for slice in slices.list(&ListParams::default()).await? {
            let labels = slice.metadata.labels.unwrap_or_default();
            let Some(service) = labels.get("kubernetes.io/service-name") else { continue };
            let Some(addresses) = found.get_mut(&host(service, namespace)) else { continue };
            for endpoint in slice.endpoints {
                if endpoint.conditions.and_then(|conditions| conditions.ready).unwrap_or(true) {
                    addresses.extend(endpoint.addresses);
                }
            }
        }
    }
    Ok(found)
}

fn host(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.cluster.local")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_and_ports_of_a_host_are_one() {
        let set = |addresses: &[&str]| addresses.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<_>>();
        let clusters = Endpoints::from([
            ("outbound|80|v1|web.shop.svc.cluster.local".to_owned(), set(&["10.0.0.1"])),
            ("outbound|80|v2|web.shop.svc.cluster.local".to_owned(), set(&["10.0.0.2"])),
            ("inbound|80||".to_owned(), set(&["127.0.0.1"])),
        ]);
        let hosts = Endpoints::from([(host("web", "shop"), set(&["10.0.0.1", "10.0.0.2"]))]);
        assert_eq!(by_host(&clusters), hosts);
    }
}
