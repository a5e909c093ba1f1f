//! Faults befall the share of requests that they should, and can be told from other errors.

use std::path::PathBuf;
use std::time::Duration;

use super::chain::shop;
use crate::mesh::TestMesh;

pub async fn an_abort_befalls_its_share_and_is_flagged(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b]
  http:
    - match: [{uri: {prefix: /grpc}}]
      fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}
      route: [{destination: {host: b, subset: v1}}]
    - match: [{sourceLabels: {version: v1}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 40}}}
      route: [{destination: {host: b, subset: v1}}]
    - route: [{destination: {host: b, subset: v1}}]
",
    )
    .await;
    let mut aborted = 0;
    for _ in 0..300 {
        match mesh.call("a-v1", "b", "/").await.status {
            200 => {}
            418 => aborted += 1,
            other => panic!("status {other}"),
        }
    }
    // Six standard deviations: one run in five hundred million is outside.
    assert!((70..=170).contains(&aborted), "40 % of 300: {aborted}");
    for _ in 0..20 {
        assert_eq!(mesh.call("a-v2", "b", "/").await.status, 200, "other callers are spared");
    }
    let proxy = mesh.proxy_of("a-v1");
    let page = mesh.metrics(&proxy, |page| page.contains("response_flags=\"FI\"")).await;
    let flagged =
        page.lines().find(|line| line.contains("requests_total") && line.contains("response_flags=\"FI\""));
    let flagged = flagged.unwrap_or_else(|| panic!("no flag in {page}"));
    assert!(
        flagged.contains("response_code=\"418\"") && flagged.ends_with(&format!(" {aborted}")),
        "{flagged}"
    );
    assert!(flagged.contains("destination_service=\"b.shop.svc.cluster.local\""), "{flagged}");

    let answer = mesh
        .call_with("a-v1", "b", "b", "/grpc", |request| request.header("content-type", "application/grpc"))
        .await;
    assert_eq!(
        answer.headers.get("grpc-status").map(|value| value.as_bytes()),
        Some(&b"14"[..]),
        "{answer:?}"
    );
}

pub async fn a_delay_is_flagged(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b]
  http:
    - fault: {delay: {fixedDelay: 300ms, percentage: {value: 100}}}
      route: [{destination: {host: b, subset: v2}}]
",
    )
    .await;
    let answer = mesh.call("a-v1", "b", "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "b v2"));
    assert!(answer.took >= Duration::from_millis(300), "{:?}", answer.took);
    let page = mesh.metrics(&mesh.proxy_of("a-v1"), |page| page.contains("response_flags=\"DI\"")).await;
    assert!(page.contains("response_flags=\"DI\""), "{page}");
}
