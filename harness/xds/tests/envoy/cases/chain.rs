//! From the gateway through two services: pinning, mutual TLS, metrics of both sides.

use std::path::PathBuf;

use crate::mesh::{PORT, TestMesh};
use crate::support::objects;

pub fn shop() -> Vec<meshquake_xds::object::Object> {
    objects("shop.yaml", include_str!("../shop.yaml"), "shop")
}

pub async fn versions_stay_apart_under_mutual_tls(envoy: PathBuf) {
    let mesh = TestMesh::up(envoy, shop()).await;
    let client = reqwest::Client::new();
    let mut lines = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..200 {
        let answer = client.get(mesh.gateway()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        *lines.entry(answer.text().await.expect("a body")).or_default() += 1;
    }
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["a v1 -> b v1", "a v2 -> b v2"], "{lines:?}");
    assert!(lines.values().all(|count| (60..=140).contains(count)), "about half each: {lines:?}");

    let plain =
        reqwest::Client::new().get(format!("http://{}:{PORT}/", mesh.pod_address("b-v1"))).send().await;
    assert!(plain.is_err(), "plain text is cut off: {plain:?}");

    let body = client.get(mesh.gateway() + "/headers").send().await.expect("an answer").text().await;
    let body = body.expect("a body");
    assert!(!body.contains("peer-metadata"), "no app sees who called by name: {body}");
    assert!(body.contains("URI=spiffe://cluster.local/ns/shop/sa/a"), "but by identity: {body}");
    println!("{body}");

    let proxy = mesh.proxy_of("a-v1");
    let source = mesh.metrics(&proxy, |page| page.contains("istio_requests_total")).await;
    println!(
        "{}",
        source
            .lines()
            .filter(|l| l.contains("istio_") && !l.contains("bucket"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    println!("{}", source.lines().filter(|l| !l.contains("istio_")).collect::<Vec<_>>().join("\n"));
    let proxy = mesh.proxy_of("b-v1");
    let source = mesh.metrics(&proxy, |page| page.contains("istio_requests_total")).await;
    println!(
        "{}",
        source
            .lines()
            .filter(|l| l.contains("istio_") && !l.contains("bucket"))
            .collect::<Vec<_>>()
            .join("\n")
    );
}
