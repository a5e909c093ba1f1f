//! Changes while traffic flows.

use std::path::PathBuf;
use std::time::Instant;

use meshquake_xds::ads::Kind;
use meshquake_xds::model::State;

use super::chain::shop;
use crate::mesh::TestMesh;

pub async fn a_change_of_routes_is_in_force_when_it_is_acknowledged(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    let url = mesh.url("a-v1", "b");
    let kept = reqwest::Client::new();
    let mut times = Vec::new();
    for round in 0..20 {
        let version = if round % 2 == 0 { "v2" } else { "v1" };
        let start = Instant::now();
        let diff = mesh
            .apply(&format!(
                "apiVersion: networking.istio.io/v1\n\
                 kind: VirtualService\n\
                 metadata: {{name: b}}\n\
                 spec: {{hosts: [b], http: [{{route: [{{destination: {{host: b, subset: {version}}}}}]}}]}}\n"
            ))
            .await;
        times.push(start.elapsed());
        let kinds: Vec<_> = diff.changed.iter().chain(&diff.removed).map(|(kind, _)| *kind).collect();
        assert!(kinds.iter().all(|kind| *kind == Kind::Route), "nothing but routes changed: {diff:?}");
        for _ in 0..50 {
            let fresh = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
            for (client, what) in [(&kept, "kept alive"), (&fresh, "new")] {
                let answer = client.get(&url).header("host", "b").send().await.expect("an answer");
                let body = answer.text().await.expect("a body");
                assert_eq!(body, format!("b {version}"), "on a {what} connection in round {round}");
            }
        }
    }
    times.sort();
    println!("from apply to acknowledged: median {:.1?}, slowest {:.1?}", times[times.len() / 2], times[19]);
}

pub async fn endpoints_come_and_go_without_a_change_of_clusters(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    let pod = mesh.fleet.pods.iter().position(|pod| pod.workload == "b-v1").expect("it is there");
    mesh.fleet.pods[pod].state = State::NotReady;
    let diff = mesh.push();
    mesh.converged().await;
    let kinds: Vec<_> = diff.changed.iter().map(|(kind, _)| *kind).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == Kind::Endpoints), "{diff:?}");
    let answer = mesh.call("a-v1", "b", "/").await;
    assert_eq!(answer.status, 503, "nobody is left in v1: {answer:?}");
    let page = mesh.metrics(&mesh.proxy_of("a-v1"), |page| page.contains("response_flags=\"UH\"")).await;
    assert!(page.contains("response_flags=\"UH\""), "{page}");

    mesh.fleet.pods[pod].state = State::Ready;
    mesh.push();
    mesh.converged().await;
    assert_eq!(mesh.call("a-v1", "b", "/").await.body, "b v1");
}
