//! The mesh and its pods become one intent for each proxy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clusters::ClusterBook;
use super::{Peer, ProxyIntent, Role};
use crate::model::{GatewayProxy, Mesh, Workload};

/// The proxies of this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    pub pods: Vec<Workload>,
    pub gateways: Vec<GatewayProxy>,
}

impl Mesh {
    /// What each proxy is meant to do, by `POD.NAMESPACE`. The same mesh and fleet always give the same answer.
    pub fn intents(&self, fleet: &Fleet) -> BTreeMap<String, ProxyIntent> {
        self.intents_by(&mut ClusterBook::default(), fleet)
    }

    /// The same answer, sooner where the book was last opened on a mesh that differs in its routes alone.
    pub fn intents_by(&self, book: &mut ClusterBook, fleet: &Fleet) -> BTreeMap<String, ProxyIntent> {
        let mut book = book.open(self, fleet);
        let mut intents = BTreeMap::new();
        for (pod, peer) in fleet.pods.iter().zip(book.peers()) {
            let mut intent = empty(&pod.pod, &pod.namespace, Role::Sidecar, peer, pod.address);
            intent.disabled_metrics = self.disabled_metrics(&pod.namespace, &pod.labels);
            intent.authorization = self.authorization(&pod.namespace, &pod.labels);
            self.sidecar(pod, &mut book, &mut intent);
            intents.insert(intent.id.clone(), intent);
        }
        for proxy in &fleet.gateways {
            let peer = peer(self, &proxy.workload, &proxy.namespace, &proxy.service_account, &proxy.labels);
            let mut intent = empty(&proxy.pod, &proxy.namespace, Role::Gateway, peer, proxy.address);
            intent.disabled_metrics = self.disabled_metrics(&proxy.namespace, &proxy.labels);
            intent.authorization = self.authorization(&proxy.namespace, &proxy.labels);
            self.gateway(proxy, &mut book, &mut intent);
            intents.insert(intent.id.clone(), intent);
        }
        intents
    }
}

fn empty(pod: &str, namespace: &str, role: Role, peer: Arc<Peer>, address: std::net::IpAddr) -> ProxyIntent {
    ProxyIntent {
        id: format!("{pod}.{namespace}"),
        role,
        peer,
        address,
        disabled_metrics: BTreeMap::new(),
        authorization: Vec::new(),
        inbound: Vec::new(),
        outbound: Vec::new(),
        entries: Vec::new(),
        routes: BTreeMap::new(),
        clusters: Arc::default(),
        endpoints: Arc::default(),
    }
}

/// As Istio names a workload in its metrics.
pub(super) fn peer(
    mesh: &Mesh,
    workload: &str,
    namespace: &str,
    service_account: &str,
    labels: &BTreeMap<String, String>,
) -> Arc<Peer> {
    let label = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).cloned();
    let app = label(&["app"]);
    let version = label(&["version"]);
    Arc::new(Peer {
        workload: workload.to_owned(),
        namespace: namespace.to_owned(),
        canonical_service: label(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
            .unwrap_or_else(|| workload.to_owned()),
        canonical_revision: label(&[
            "service.istio.io/canonical-revision",
            "app.kubernetes.io/version",
            "version",
        ])
        .unwrap_or_else(|| "latest".to_owned()),
        app: app.unwrap_or_else(|| "unknown".to_owned()),
        version: version.unwrap_or_else(|| "unknown".to_owned()),
        principal: identity(mesh, namespace, service_account),
    })
}

pub(super) fn identity(mesh: &Mesh, namespace: &str, service_account: &str) -> String {
    format!("spiffe://{}/ns/{namespace}/sa/{service_account}", mesh.settings.trust_domain)
}
