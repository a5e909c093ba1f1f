//! The Envoys that matter to a world, its sidecars and the gateways before it, each asked by its own admin interface.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;

use super::forward::{self, Forward};
use super::world::RUN;
use crate::world::{SCRAPE, may_be_read};

pub const CONTAINER: &str = "istio-proxy";
const ADMIN: u16 = 15000;
/// How many proxies are asked at once.
const AT_ONCE: usize = 8;
pub const LIMIT: Duration = Duration::from_secs(5);

/// A pod with an Envoy that is ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    pub namespace: String,
    pub pod: String,
    /// Its labels by which a Gateway has chosen it; empty for a sidecar.
    pub gateway: bool,
    /// Whether its metrics may be read: its author can say that nobody should.
    pub scraped: bool,
    pub uid: String,
}

impl Proxy {
    pub fn admin(&self, client: &kube::Client) -> Forward {
        Forward::new(client.clone(), &self.namespace, &self.pod, ADMIN)
    }
}

/// Where a world's proxies are found.
#[derive(Clone, Debug)]
pub struct Whose {
    pub run: String,
    pub namespaces: Vec<String>,
    /// Labels of the pods that the world's Gateways choose.
    pub gateways: Vec<BTreeMap<String, String>>,
}

/// All proxies that live and are ready now.
pub async fn live(client: &kube::Client, whose: &Whose) -> Result<Vec<Proxy>, kube::Error> {
    let mut found = BTreeSet::new();
    for namespace in &whose.namespaces {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let ours = ListParams::default().labels(&format!("{RUN}={}", whose.run));
        let pods = pods.list(&ours).await?;
        found.extend(pods.items.iter().filter(|pod| has_live_proxy(pod)).map(|pod| proxy(pod, false)));
    }
    for selector in &whose.gateways {
        let pods: Api<Pod> = Api::all(client.clone());
        let pods = pods.list(&ListParams::default().labels(&labels(selector))).await?;
        found.extend(pods.items.iter().filter(|pod| has_live_proxy(pod)).map(|pod| proxy(pod, true)));
    }
    Ok(found.into_iter().collect())
}

/// Tells that one of the pods has changed, whatever it was.
pub fn changes(client: &kube::Client, whose: &Whose) -> impl Stream<Item = ()> + Send + use<> {
    let mut watched = Vec::new();
    for namespace in &whose.namespaces {
        watched.push((Api::namespaced(client.clone(), namespace), format!("{RUN}={}", whose.run)));
    }
    for selector in &whose.gateways {
        watched.push((Api::all(client.clone()), labels(selector)));
    }
    let streams = watched.into_iter().map(|(pods, labels): (Api<PartialObjectMeta<Pod>>, String)| {
        watcher(pods, watcher::Config::default().labels(&labels)).default_backoff().boxed()
    });
    stream::select_all(streams).filter_map(|event| std::future::ready(event.ok().map(drop)))
}

fn labels(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn proxy(pod: &Pod, gateway: bool) -> Proxy {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    Proxy {
        namespace: text(&metadata.namespace),
        pod: text(&metadata.name),
        gateway,
        scraped: may_be_read(
            metadata.annotations.as_ref().and_then(|all| all.get(SCRAPE)).map(String::as_str),
        ),
        uid: text(&metadata.uid),
    }
}

/// Sidecars are ordinary containers or, as newer clusters have them, init containers that stay.
pub fn has_live_proxy(pod: &Pod) -> bool {
    let status = pod.status.clone().unwrap_or_default();
    let mut containers = status
        .init_container_statuses
        .into_iter()
        .flatten()
        .chain(status.container_statuses.into_iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && containers.any(|container| {
            let runs = container.state.is_some_and(|state| state.running.is_some());
            container.name == CONTAINER && container.ready && runs
        })
}

/// Why a proxy could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Pods(#[from] kube::Error),
    #[error(transparent)]
    Forward(#[from] forward::Error),
    #[error("the Envoy of pod {pod} answered no JSON")]
    NoJson { pod: String, source: serde_json::Error },
}

/// Asks each of these; one that is gone since is left out, any other failure is one.
pub async fn ask(client: &kube::Client, proxies: &[Proxy], path: &str) -> Result<Vec<(Proxy, Value)>, Error> {
    let answers = stream::iter(proxies.iter().map(|proxy| async move {
        let answer = match proxy.admin(client).get(path, LIMIT).await {
            Ok(answer) => answer,
            Err(_) if !still_there(client, proxy).await? => return Ok(None),
            Err(error) => return Err(Error::Forward(error)),
        };
        let json = serde_json::from_slice(&answer);
        let json = json.map_err(|source| Error::NoJson { pod: proxy.pod.clone(), source })?;
        Ok(Some((proxy.clone(), json)))
    }));
    let answers: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

async fn still_there(client: &kube::Client, proxy: &Proxy) -> Result<bool, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &proxy.namespace);
    let found = pods.get_opt(&proxy.pod).await?;
    Ok(found.is_some_and(|pod| pod.metadata.uid.as_deref() == Some(&proxy.uid) && has_live_proxy(&pod)))
}

/// Addresses of endpoints by the name of the cluster, as Envoy lists them.
pub fn endpoints(clusters: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let clusters = clusters["cluster_statuses"].as_array().into_iter().flatten();
    clusters
        .map(|cluster| {
            let hosts = cluster["host_statuses"].as_array().into_iter().flatten();
            let addresses = hosts
                .filter_map(|host| host.pointer("/address/socket_address/address")?.as_str())
                .map(str::to_owned);
            (cluster["name"].as_str().unwrap_or_default().to_owned(), addresses.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sidecar_may_be_an_init_container_that_stays() {
        let status = json!({"name": CONTAINER, "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}});
        for list in ["containerStatuses", "initContainerStatuses"] {
            let pod = json!({"metadata": {"name": "web"}, "status": {list: [status]}});
            assert!(has_live_proxy(&serde_json::from_value(pod).unwrap()), "{list}");
        }
        let dying = json!({"metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"containerStatuses": [status]}});
        assert!(!has_live_proxy(&serde_json::from_value(dying).unwrap()));
    }

    #[test]
    fn a_pod_says_that_nobody_should_read_it() {
        let scraped = |annotations: Value| {
            let pod = json!({"metadata": {"name": "web", "annotations": annotations}});
            proxy(&serde_json::from_value(pod).unwrap(), false).scraped
        };
        assert!(!scraped(json!({SCRAPE: "false"})));
        assert!(scraped(json!({SCRAPE: "true"})));
        assert!(scraped(json!({"another": "false"})));
    }

    #[test]
    fn endpoints_are_read_by_cluster() {
        let clusters = json!({"cluster_statuses": [
            {"name": "outbound|80||web.shop.svc.cluster.local", "host_statuses": [
                {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}},
                {"address": {"pipe": {"path": "./x"}}}]},
            {"name": "agent"}]});
        let found = endpoints(&clusters);
        assert_eq!(found["outbound|80||web.shop.svc.cluster.local"], BTreeSet::from(["10.0.0.1".to_owned()]));
        assert!(found["agent"].is_empty());
    }
}
