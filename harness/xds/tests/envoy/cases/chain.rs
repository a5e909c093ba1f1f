//! From the gateway through two services: pinning, mutual TLS, metrics of both sides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use meshquake_xds::object::Object;

use crate::mesh::{PORT, TestMesh};
use crate::support::objects;

pub fn shop() -> Vec<Object> {
    objects("shop.yaml", include_str!("../shop.yaml"), "shop")
}

pub async fn versions_stay_apart_under_mutual_tls(envoy: PathBuf) {
    let mesh = TestMesh::up(envoy, shop()).await;
    let client = reqwest::Client::new();
    let mut lines = BTreeMap::<String, usize>::new();
    for _ in 0..200 {
        let answer = client.get(mesh.gateway()).send().await.expect("an answer");
        let status = answer.status();
        let body = answer.text().await.expect("a body");
        assert_eq!(status, 200, "{body}");
        *lines.entry(body).or_default() += 1;
    }
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["a v1 -> b v1", "a v2 -> b v2"], "{lines:?}");
    assert!(lines.values().all(|count| (60..=140).contains(count)), "about half each: {lines:?}");

    let published = client.get(mesh.gateway().replace("1.250", "1.251")).send().await.expect("an answer");
    assert_eq!(published.status(), 200, "the gateway listens where it is published, too");

    let plain = client.get(format!("http://{}:{PORT}/", mesh.pod_address("b-v1"))).send().await;
    assert!(plain.is_err(), "plain text is cut off: {plain:?}");

    let answer = client.get(mesh.gateway() + "/headers").send().await.expect("an answer");
    let body = answer.text().await.expect("a body");
    assert!(!body.contains("peer-metadata"), "no app sees its caller's workload: {body}");
    assert!(body.contains("URI=spiffe://cluster.local/ns/shop/sa/a"), "but its identity: {body}");
}

pub async fn both_sides_report_with_istios_labels(envoy: PathBuf) {
    let mesh = TestMesh::up(envoy, shop()).await;
    for _ in 0..5 {
        let answer = mesh.call("a-v1", "b", "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "b v1"));
    }
    // A caller that claims to be another is not believed.
    mesh.call_with("a-v1", "b", "b", "/", |request| {
        request.header("x-envoy-peer-metadata-lite", "wl=liar;ns=liar")
    })
    .await;
    let expected = [
        ("source_workload", "a-v1"),
        ("source_workload_namespace", "shop"),
        ("source_app", "a"),
        ("source_version", "v1"),
        ("source_canonical_service", "a"),
        ("source_canonical_revision", "v1"),
        ("source_cluster", "Kubernetes"),
        ("source_principal", "spiffe://cluster.local/ns/shop/sa/a"),
        ("destination_workload", "b-v1"),
        ("destination_workload_namespace", "shop"),
        ("destination_app", "b"),
        ("destination_version", "v1"),
        ("destination_canonical_service", "b"),
        ("destination_canonical_revision", "v1"),
        ("destination_cluster", "Kubernetes"),
        ("destination_principal", "spiffe://cluster.local/ns/shop/sa/b"),
        ("destination_service", "b.shop.svc.cluster.local"),
        ("destination_service_name", "b"),
        ("destination_service_namespace", "shop"),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("response_flags", "-"),
        ("grpc_response_status", ""),
    ];
    for (reporter, workload, security) in
        [("source", "a-v1", "unknown"), ("destination", "b-v1", "mutual_tls")]
    {
        let mut labels = BTreeMap::from(expected);
        labels.insert("reporter", reporter);
        labels.insert("connection_security_policy", security);
        let proxy = mesh.proxy_of(workload);
        let series = |page: &str| {
            let lines = page.lines().filter(|line| line.starts_with("envoy_istio_requests_total{"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let page = mesh
            .metrics(&proxy, |page| page.contains("} 6\n") && page.contains("istio_request_duration"))
            .await;
        let [line] = series(&page).try_into().expect("one series");
        let (head, value) = line.rsplit_once("} ").expect("labels and a value");
        assert_eq!(value, "6");
        let found: BTreeMap<_, _> = head
            .split_once('{')
            .expect("labels")
            .1
            .split(',')
            .map(|label| label.split_once('=').expect("a label"))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        assert_eq!(found, labels, "as {reporter}");
        for name in ["request_duration_milliseconds", "request_bytes", "response_bytes"] {
            assert!(page.contains(&format!("envoy_istio_{name}_bucket{{")), "{name} as {reporter}");
        }
        assert!(page.lines().count() < 300, "a scrape stays small: {} lines", page.lines().count());
    }
    let page = mesh.metrics(&mesh.proxy_of("a-v1"), |page| page.contains("membership_total")).await;
    let membership =
        "envoy_cluster_membership_total{cluster_name=\"outbound|28080|v2|b.shop.svc.cluster.local\"} 1";
    assert!(page.contains(membership), "a cluster keeps its name: {page}");
}
