//! What a line of the chain says in v1, in v2, and where the two meet.

use axum::Router;
use axum::routing::get;
use http::StatusCode;

use crate::support::{Chain, Running, stand_in};

const V1: &str = "Microservice A v1 -> Microservice B v1 -> Microservice C v1";
const V2: &str = "Microservice A v2 -> Microservice B v2 -> Microservice C v2";

#[tokio::test]
async fn each_version_answers_with_its_own_line_to_the_letter() {
    for (stack, line) in [("v1", V1), ("v2", V2)] {
        let chain = Chain::start(stack, stack, stack).await;
        let answer = chain.a.get("/").await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, line));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
}

#[test]
fn the_journey_of_the_world_expects_these_lines() {
    let journey = include_str!("../../deploy/pinning/journeys/chain.yaml");
    for line in [V1, V2] {
        assert!(journey.lines().any(|written| written.trim() == format!("- {line}")), "{line}");
    }
}

#[tokio::test]
async fn v1_lacks_the_endpoint_of_v2_and_v2_keeps_that_of_v1() {
    for name in ["microservice-a", "microservice-b", "microservice-c"] {
        let next = [("NEXT_URL", "http://127.0.0.1:1")];
        let v1 = Running::start(name, "v1", &next).await;
        let v2 = Running::start(name, "v2", &next).await;
        assert_eq!(v1.get("/v2/chain").await.status, StatusCode::NOT_FOUND, "{name} v1");
        assert_ne!(v2.get("/v2/chain").await.status, StatusCode::NOT_FOUND, "{name} v2");
        assert_ne!(v2.get("/").await.status, StatusCode::NOT_FOUND, "{name} v2");
    }
}

#[tokio::test]
async fn a_v2_caller_that_meets_v1_fails_up_to_the_client() {
    for (a, b, c) in [("v2", "v1", "v1"), ("v2", "v1", "v2"), ("v2", "v2", "v1"), ("v1", "v2", "v1")] {
        let chain = Chain::start(a, b, c).await;
        let answer = chain.a.get("/").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{a} {b} {c}: {}", answer.body);
        // The innermost failure names the v2 caller, and what it asked for in vain.
        let mut failure = answer.json();
        while let Some(cause) = failure.get("cause").filter(|cause| cause["error"] == "upstream-status") {
            failure = cause.clone();
        }
        assert_eq!(failure["version"], "v2", "{a} {b} {c}");
        assert_eq!(failure["status"], 404, "{a} {b} {c}");
        assert_eq!(failure["detail"], "GET /v2/chain was answered with 404 Not Found", "{a} {b} {c}");
    }
}

#[tokio::test]
async fn a_v1_caller_that_meets_v2_gets_a_line_of_mixed_versions() {
    let chain = Chain::start("v1", "v2", "v2").await;
    let answer = chain.a.get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, "Microservice A v1 -> Microservice B v2 -> Microservice C v2");
    let chain = Chain::start("v1", "v1", "v2").await;
    assert_eq!(chain.a.get("/").await.body, "Microservice A v1 -> Microservice B v1 -> Microservice C v2");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_named() {
    // A port that is taken and not listened on refuses connections, and nobody else can get it meanwhile.
    let held = tokio::net::TcpSocket::new_v4().expect("socket");
    held.bind("127.0.0.1:0".parse().expect("address")).expect("free port");
    let gone = held.local_addr().expect("bound");
    let a = Running::start("microservice-a", "v1", &[("NEXT_URL", &format!("http://{gone}"))]).await;
    let answer = a.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let failure = answer.json();
    assert_eq!(failure["error"], "upstream-unreachable");
    assert_eq!(failure["service"], "microservice-a");
    assert_eq!(failure["upstream"], "127.0.0.1");
    assert!(
        failure["detail"].as_str().is_some_and(|detail| detail.contains("Connection refused")),
        "{failure}"
    );
}

#[tokio::test]
async fn an_upstream_that_takes_longer_than_the_deadline_is_a_timeout() {
    let never = stand_in(Router::new().route("/", get(async || std::future::pending::<()>().await))).await;
    let next = [("NEXT_URL", format!("http://{never}")), ("NEXT_TIMEOUT_MS", "40".to_owned())];
    let next = next.each_ref().map(|(name, value)| (*name, value.as_str()));
    let a = Running::start("microservice-a", "v1", &next).await;
    let answer = a.get("/").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.json()["error"], "upstream-timeout");
    assert_eq!(answer.json()["detail"], "no answer to GET / within 40 ms");
}

#[tokio::test]
async fn what_no_route_serves_is_not_found_and_is_no_series_of_its_own() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    for path in ["/nope", "/v2/chain", "/chaos"] {
        let answer = c.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["detail"], format!("no route for GET {path}"));
    }
    assert_eq!(c.metric(r#"http_requests_total{method="GET",route="unknown",status="404"}"#).await, 3.0);
    assert_eq!(c.get("/health").await.body, "ok");
    assert_eq!(c.get("/ready").await.body, "ready");
}

#[tokio::test]
async fn requests_are_counted_and_timed_and_probes_are_not() {
    let chain = Chain::start("v2", "v2", "v2").await;
    for _ in 0..3 {
        chain.a.get("/").await;
        chain.a.get("/ready").await;
    }
    let a = r#"{method="GET",route="/",status="200"}"#;
    let inner = r#"{method="GET",route="/v2/chain",status="200"}"#;
    assert_eq!(chain.a.metric(&format!("http_requests_total{a}")).await, 3.0);
    assert_eq!(chain.b.metric(&format!("http_requests_total{inner}")).await, 3.0);
    assert_eq!(chain.c.metric(&format!("http_requests_total{inner}")).await, 3.0);
    assert_eq!(chain.a.metric(r#"http_request_duration_seconds_count{method="GET",route="/"}"#).await, 3.0);
    assert_eq!(chain.a.metric("http_requests_in_flight").await, 0.0);
    assert!(chain.a.metric("process_start_time_seconds").await > 1.7e9);
    assert!(chain.a.metric("process_resident_memory_bytes").await > 1e5);
    let page = chain.a.get("/metrics").await;
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4");
    assert!(!page.body.contains("/ready") && !page.body.contains("/metrics"), "{}", page.body);
}
