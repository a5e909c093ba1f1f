//! The ingress gateway: a pod without an app, there as long as there is a Gateway.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use meshquake_xds::model::{self, GatewayProxy};
use meshquake_xds::object::{Object, Places};
use meshquake_xds::source::Place;
use serde_json::json;
use sha2::Digest as _;

use super::Mesh;
use super::fleet::{labels, service_account};
use crate::backend::local::api::terminate;
use crate::backend::local::deployment::{is_ending, letters};
use crate::backend::local::site::Site;
use crate::backend::local::store::kind::{GATEWAY, POD};
use crate::backend::local::store::{Entry, Error, Key};

/// Marks the pod of a gateway.
pub const ANNOTATION: &str = "meshquake.dev/gateway";
const NAMESPACE: &str = "istio-system";
const NAME: &str = "istio-ingressgateway";
/// Ports below 1024 are root's; a Gateway's port that the world does not publish is moved up by this.
const MOVED: u16 = 10_000;

pub fn is_gateway(pod: &Entry) -> bool {
    pod.value()["metadata"]["annotations"].get(ANNOTATION).is_some()
}

/// Starts the gateway's pod when it is missing, and ends it when nobody wants it.
pub fn reconcile(site: &Site) {
    let wanted = !site.store.all(&GATEWAY).is_empty();
    let pods = site.store.all(&POD);
    let present: Vec<&Arc<Entry>> = pods.iter().filter(|pod| is_gateway(pod) && !is_ending(pod)).collect();
    if wanted != present.is_empty() {
        return;
    }
    // Outside the transaction, which holds the store.
    let seed = format!("{}{}", site.run, site.store.version());
    let done = site.store.transact(|draft| {
        if wanted {
            let suffix = letters(&sha2::Sha256::digest(seed), 5);
            let name = format!("{NAME}-{suffix}");
            let labels = json!({"app": NAME, "istio": "ingressgateway"});
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels,
                    "annotations": {ANNOTATION: "true"}},
                "spec": {"serviceAccountName": NAME, "terminationGracePeriodSeconds": 5, "containers": []},
                "status": {"phase": "Pending"}});
            let object = Object { value: pod, places: Places::new(Place::new("meshquake", 1)) };
            draft.create(Key::new(&POD, NAMESPACE, &name), object, "gateway-controller")?;
        } else {
            for pod in &present {
                terminate(draft, &Key::new(&POD, NAMESPACE, pod.object.name()), None)?;
            }
        }
        Ok::<_, Error>(())
    });
    if let Err(error) = done {
        tracing::error!(%error, "the gateway cannot be reconciled");
    }
}

/// The gateways that have an address.
pub fn proxies(pods: &[Arc<Entry>], mesh: &Mesh, model: &model::Mesh) -> Vec<GatewayProxy> {
    pods.iter().filter(|pod| is_gateway(pod)).filter_map(|pod| proxy(pod, mesh, model)).collect()
}

fn proxy(pod: &Entry, mesh: &Mesh, model: &model::Mesh) -> Option<GatewayProxy> {
    let address: IpAddr = pod.value()["status"]["podIP"].as_str()?.parse().ok()?;
    let mut binds: BTreeMap<u16, Vec<SocketAddr>> = mesh.publish.clone();
    for server in model.gateways.values().flat_map(|gateway| &gateway.servers) {
        if server.port < 1024 {
            let moved = SocketAddr::new(address, server.port + MOVED);
            binds.entry(server.port).or_insert_with(|| vec![moved]);
        }
    }
    Some(GatewayProxy {
        pod: pod.object.name().to_owned(),
        namespace: pod.object.namespace().to_owned(),
        labels: labels(pod.value()),
        service_account: service_account(pod),
        workload: NAME.to_owned(),
        address,
        binds,
    })
}
