//! Metrics turned off and on again by Telemetry.

use std::path::PathBuf;

use super::chain::shop;
use crate::mesh::TestMesh;

fn telemetry(overrides: &str) -> String {
    format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: metrics}}\n\
         spec: {{metrics: [{{overrides: [{overrides}]}}]}}\n"
    )
}

/// Whether a page has a series of that metric, and what it says where it has not what is expected.
async fn expect(mesh: &TestMesh, workload: &str, metric: &str, there: bool) {
    let has = |page: &str| page.lines().any(|line| line.starts_with(&format!("envoy_istio_{metric}")));
    // What drains still has its series.
    let page = mesh.metrics(&mesh.proxy_of(workload), |page| has(page) == there).await;
    assert_eq!(has(&page), there, "{metric} at {workload} in {page}");
}

async fn calls(mesh: &TestMesh) {
    mesh.drained().await;
    for _ in 0..5 {
        assert_eq!(mesh.call("a-v1", "b", "/").await.status, 200);
    }
}

pub async fn what_is_turned_off_vanishes_and_comes_back(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    calls(&mesh).await;
    expect(&mesh, "a-v1", "requests_total", true).await;
    expect(&mesh, "b-v1", "requests_total", true).await;

    mesh.apply(&telemetry("{match: {mode: SERVER}, disabled: true}")).await;
    expect(&mesh, "b-v1", "", false).await;
    calls(&mesh).await;
    expect(&mesh, "a-v1", "requests_total", true).await;
    expect(&mesh, "b-v1", "", false).await;

    mesh.apply(&telemetry("{match: {metric: REQUEST_COUNT, mode: CLIENT}, disabled: true}")).await;
    expect(&mesh, "a-v1", "requests_total", false).await;
    calls(&mesh).await;
    expect(&mesh, "a-v1", "request_duration_milliseconds", true).await;
    expect(&mesh, "a-v1", "requests_total", false).await;
    expect(&mesh, "b-v1", "requests_total", true).await;

    mesh.objects.retain(|object| object.kind() != "Telemetry");
    mesh.push();
    mesh.converged().await;
    calls(&mesh).await;
    expect(&mesh, "a-v1", "requests_total", true).await;
    expect(&mesh, "b-v1", "requests_total", true).await;
}
