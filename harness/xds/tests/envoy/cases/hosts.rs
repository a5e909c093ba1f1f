//! Under which names a service is reached, and what becomes of other names.

use std::path::PathBuf;

use super::chain::shop;
use crate::mesh::TestMesh;

pub async fn every_name_of_a_service_leads_to_its_rules(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec: {hosts: [b], http: [{directResponse: {status: 299}}]}
",
    )
    .await;
    let own = mesh.vip("a-v1", "b").to_string();
    let names = ["b", "b:28080", "b.shop", "b.shop.svc", "b.shop.svc.cluster.local", &own];
    for host in names {
        let answer = mesh.call_with("a-v1", "b", host, "/", |request| request).await;
        assert_eq!(answer.status, 299, "host {host}");
    }
    // As under Istio: the host decides, not the address. A foreign one goes where it was sent, by no rule.
    let answer = mesh.call_with("a-v1", "a", "b", "/", |request| request).await;
    assert_eq!(answer.status, 299, "b called at the address of a");
    // It arrives in plain text, which this mesh refuses.
    let answer = mesh.call_with("a-v1", "b", "elsewhere.example", "/", |request| request).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    mesh.apply(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: PERMISSIVE}}
",
    )
    .await;
    let answer = mesh.call_with("a-v1", "b", "elsewhere.example", "/", |request| request).await;
    assert_eq!((answer.status, &answer.body[..1]), (200, "b"), "{answer:?}");
}
