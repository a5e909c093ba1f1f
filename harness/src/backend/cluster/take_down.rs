//! A world out of a cluster: what the run has made goes, and nothing else.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams};

use super::world::{self, RUN};
use crate::backend::objects::{self, ObjectRef, Objects};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Object(#[from] objects::Error),
    #[error("the namespaces of the run cannot be deleted")]
    Namespaces(#[from] kube::Error),
}

/// What worlds consist of and what we add to them. The ConfigMaps come last: by one of them the run is known.
const MADE: [(&str, &str); 16] = [
    ("apps/v1", "Deployment"),
    ("batch/v1", "Job"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "Secret"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("networking.istio.io/v1", "Gateway"),
    ("networking.istio.io/v1", "ServiceEntry"),
    ("networking.istio.io/v1", "Sidecar"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    ("security.istio.io/v1", "PeerAuthentication"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
    ("security.istio.io/v1", "RequestAuthentication"),
    ("telemetry.istio.io/v1", "Telemetry"),
    ("v1", "ConfigMap"),
];

/// Deletes what a run has made, and nothing else; returns when the cluster has begun with it. `found` are the namespaces
/// that stay, `made` what is in no namespace or of another kind than the usual.
pub async fn take_down(
    client: &kube::Client,
    run: &str,
    found: &[String],
    made: &[ObjectRef],
) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ours = format!("{RUN}={run},{}={}", world::MANAGED_BY, world::MESHQUAKE);
    for namespace in namespaces.list(&ListParams::default().labels(&ours)).await? {
        let name = namespace.metadata.name.unwrap_or_default();
        match namespaces.delete(&name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            other => drop(other?),
        }
        hurry(client, &name).await;
    }
    let objects = Objects::new(client.clone());
    for object in
        made.iter().filter(|object| object.namespace.is_empty() || found.contains(&object.namespace))
    {
        let Some(there) = objects.get(object).await? else { continue };
        if there.pointer("/metadata/labels").is_some_and(|labels| labels[RUN] == run) {
            objects.delete(object).await?;
        }
    }
    for namespace in found {
        for (version, kind) in MADE {
            let there = match objects.labelled(version, kind, namespace, &format!("{RUN}={run}")).await {
                Err(error) if error.is_absent() => continue,
                there => there?,
            };
            for object in there {
                objects.delete(&ObjectRef::of(&object)).await?;
            }
        }
    }
    Ok(())
}

/// Ends the pods of a namespace that is on its way out, where none can be made again. Nobody waits for their answers any
/// more, but the next world waits for the name: after a first look that still finds pods, Kubernetes lets half their
/// grace pass before it looks again.
async fn hurry(client: &kube::Client, namespace: &str) {
    const GRACE: u32 = 1;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let (soon, all) = (DeleteParams::default().grace_period(GRACE), ListParams::default());
    if let Err(error) = pods.delete_collection(&soon, &all).await {
        tracing::debug!(%error, namespace, "its pods end in their own time");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backend::cluster::fake_api;

    fn service(namespace: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}})
    }

    #[tokio::test]
    async fn down_deletes_what_carries_the_run_and_nothing_else() {
        let (client, asked) = fake_api::client(|line| match line {
            "GET /api/v1/namespaces" => Some((
                200,
                json!({"apiVersion": "v1", "kind": "NamespaceList",
                "metadata": {}, "items": [{"metadata": {"name": "made", "labels": {RUN: "r"}}}]}),
            )),
            "GET /api/v1/namespaces/shop/services/web" => {
                let mut ours = service("shop");
                ours["metadata"]["labels"] = json!({RUN: "r"});
                Some((200, ours))
            }
            "GET /api/v1/namespaces/shop/services/theirs" => Some((200, service("shop"))),
            "GET /api/v1/namespaces/shop/configmaps" => Some((
                200,
                json!({"apiVersion": "v1",
                "kind": "ConfigMapList", "metadata": {},
                "items": [{"metadata": {"name": "meshquake-run", "namespace": "shop"}}]}),
            )),
            line if line.starts_with("DELETE ") => Some((
                200,
                json!({"apiVersion": "v1", "kind": "Status",
                "status": "Success", "metadata": {}}),
            )),
            _ => None,
        });
        let made = ["web", "theirs", "gone"].map(|name| ObjectRef::new("v1", "Service", "shop", name));
        take_down(&client, "r", &["shop".to_owned()], &made).await.expect("deleted");
        let expected = [
            "DELETE /api/v1/namespaces/made",
            "DELETE /api/v1/namespaces/made/pods",
            "DELETE /api/v1/namespaces/shop/services/web",
            "DELETE /api/v1/namespaces/shop/configmaps/meshquake-run",
        ];
        assert_eq!(asked.changes(), expected);
    }
}
