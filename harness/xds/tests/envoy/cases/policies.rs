//! PeerAuthentication and the policies of DestinationRules.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::chain::shop;
use crate::mesh::{PORT, TestMesh};

pub async fn plain_text_is_taken_or_refused_by_policy(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    let url = format!("http://{}:{PORT}/", mesh.pod_address("b-v1"));
    for (mode, plain, header) in [
        ("PERMISSIVE", true, true),
        ("DISABLE", true, false),
        ("STRICT", false, true),
        ("PERMISSIVE", true, true),
    ] {
        mesh.apply(&format!(
            "apiVersion: security.istio.io/v1\n\
             kind: PeerAuthentication\n\
             metadata: {{name: default}}\n\
             spec: {{mtls: {{mode: {mode}}}}}\n"
        ))
        .await;
        // A connection of before the change goes on under the old policy until it is drained, as under Istio.
        let start = Instant::now();
        loop {
            let fresh = reqwest::Client::new();
            let taken = fresh.get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
            let answer = mesh.call("a-v1", "b", "/headers").await;
            let identity = answer.body.contains("spiffe://");
            if taken == plain && identity == header && answer.status == 200 {
                break;
            }
            let so_far = format!("under {mode}: plain text taken is {taken}, the mesh's own call {answer:?}");
            assert!(start.elapsed() < Duration::from_secs(10), "{so_far}");
            tokio::time::sleep(Duration::from_millis(5)).await; // pacing
        }
        println!("{mode} in force after {:.1?}", start.elapsed());
    }
}

pub async fn a_host_that_fails_is_ejected(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec:
  host: b
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    outlierDetection:
      {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
",
    )
    .await;
    let ask = async || mesh.call("a-v1", "b", "/status/500").await.body;
    for _ in 0..3 {
        assert_eq!(ask().await, "b v1", "the app fails");
    }
    // What the third failure leads to is done by another thread than answers calls: some may come before it.
    let start = Instant::now();
    while ask().await == "b v1" {
        assert!(start.elapsed() < Duration::from_secs(10), "it is never left alone");
    }
    for _ in 0..5 {
        let answer = ask().await;
        assert!(answer.contains("no healthy upstream"), "and stays so: {answer}");
    }
}

pub async fn a_full_pool_overflows(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec:
  host: b
  subsets:
    - name: v1
      labels: {version: v1}
      trafficPolicy:
        connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}
    - {name: v2, labels: {version: v2}}
",
    )
    .await;
    // The connection stands before the others come: a request that waits for one is waiting too.
    assert_eq!(mesh.call("a-v1", "b", "/").await.status, 200);
    let calls: Vec<_> = (0..6).map(|_| mesh.call("a-v1", "b", "/slow")).collect();
    let mut statuses = Vec::new();
    for answer in join_all(calls).await {
        statuses.push(answer.status);
    }
    statuses.sort();
    assert_eq!(statuses, [200, 200, 503, 503, 503, 503], "one on the wire, one waiting");
    let page = mesh.metrics(&mesh.proxy_of("a-v1"), |page| page.contains("response_flags=\"UO\"")).await;
    assert!(page.contains("response_flags=\"UO\""), "{page}");
}

pub async fn a_caller_may_be_told_to_use_tls_or_not(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    let rule = |tls: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\n\
             kind: DestinationRule\n\
             metadata: {{name: b}}\n\
             spec:\n  host: b\n  trafficPolicy: {{tls: {{{tls}}}}}\n  \
               subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]\n"
        )
    };
    mesh.apply(&rule("mode: ISTIO_MUTUAL")).await;
    assert_eq!(mesh.call("a-v1", "b", "/").await.body, "b v1");
    mesh.apply(&rule("mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other']"))
        .await;
    let answer = mesh.call("a-v1", "b", "/").await;
    assert_eq!(answer.status, 503, "b is not who it should be: {answer:?}");
    mesh.apply(&rule("mode: DISABLE")).await;
    let answer = mesh.call("a-v1", "b", "/").await;
    assert_eq!(answer.status, 503, "b takes no plain text: {answer:?}");
}

/// Not what each does, but that none is refused: every honoured field of both kinds at once.
pub async fn envoy_takes_everything_that_is_honoured(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(include_str!("../everything.yaml")).await;
    assert_eq!(mesh.ads.nacks(), []);
    let answer = mesh.call("a-v1", "b", "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "b v1"));
}

/// All at once; the answers in order.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in &mut futures {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(output) => *done = Some(output),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}
