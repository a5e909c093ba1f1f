//! What a cluster says of itself: a ConfigMap of ours, by which a later run knows whether it is the one that is wanted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::backend::objects::FIELD_MANAGER;

/// Where meshquake keeps what belongs to the whole cluster.
pub const NAMESPACE: &str = "meshquake-system";
const NAME: &str = "cluster";

/// What became of the cluster so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub digest: String,
    /// Istio and everything after it is in place.
    pub ready: bool,
    pub istio: String,
}

impl Record {
    /// What the cluster says; `None` where it says nothing.
    pub async fn read(client: &Client) -> Result<Option<Self>, kube::Error> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        let Some(map) = maps.get_opt(NAME).await? else { return Ok(None) };
        let data = map.data.unwrap_or_default();
        let text = |key: &str| data.get(key).cloned().unwrap_or_default();
        Ok(Some(Self { digest: text("digest"), ready: text("state") == "ready", istio: text("istio") }))
    }

    pub async fn write(&self, client: &Client) -> Result<(), kube::Error> {
        let params = PatchParams::apply(FIELD_MANAGER);
        let labels = json!({"app.kubernetes.io/managed-by": "meshquake"});
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels},
        });
        namespaces.patch(NAMESPACE, &params, &Patch::Apply(namespace)).await?;
        let data = BTreeMap::from([
            ("digest", self.digest.as_str()),
            ("istio", self.istio.as_str()),
            ("meshquake", env!("CARGO_PKG_VERSION")),
            ("state", if self.ready { "ready" } else { "being made" }),
        ]);
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels}, "data": data,
        });
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        maps.patch(NAME, &params, &Patch::Apply(map)).await.map(drop)
    }
}
