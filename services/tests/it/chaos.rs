//! The switch that makes a service itself fail.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use shop::chaos::{Address, Open};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{Answer, Chain, Running, exchange, switch, until};

/// A switch on a Unix socket in a folder of its own.
struct Switch {
    folder: TempDir,
    _open: Open,
}

impl Switch {
    async fn of(service: &Running) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let address = Address::Unix(folder.path().join("chaos.sock"));
        let open = address.open(service.app.chaos.routes()).await.expect("switch");
        Self { folder, _open: open }
    }

    async fn call(&self, method: Method, body: &str) -> Answer {
        switch(&self.folder.path().join("chaos.sock"), method, body).await
    }

    async fn set(&self, fault: serde_json::Value) {
        let answer = self.call(Method::PUT, &fault.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.json(), fault, "what is set is what is told");
    }

    /// How many requests the fault has met.
    async fn affected(&self) -> u64 {
        affected(&self.call(Method::GET, "").await)
    }
}

fn affected(answer: &Answer) -> u64 {
    answer.headers["x-chaos-affected"].to_str().expect("text").parse().expect("number")
}

#[tokio::test]
async fn a_status_is_answered_by_the_service_and_counted_until_it_is_taken_back() {
    let chain = Chain::start("v2", "v2", "v2").await;
    let at_b = Switch::of(&chain.b).await;
    at_b.set(json!({"status": 503})).await;
    for _ in 0..4 {
        let answer = chain.a.get("/").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answer.json()["status"], 503);
        assert_eq!(
            answer.json()["cause"],
            json!({"error": "chaos", "service": "microservice-b", "version": "v2"})
        );
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(chain.b.get(path).await.status, StatusCode::OK, "{path} is never touched");
    }
    assert_eq!(at_b.affected().await, 4);
    assert_eq!(chain.b.metric(r#"chaos_requests_total{effect="status"}"#).await, 4.0);
    assert_eq!(
        chain.c.metric(r#"http_requests_total{method="GET",route="/v2/chain",status="200"}"#).await,
        0.0
    );

    let back = at_b.call(Method::DELETE, "").await;
    assert_eq!((back.body.as_str(), affected(&back)), ("{}", 4), "the last word of the fault taken back");
    assert_eq!(chain.a.get("/").await.status, StatusCode::OK);
    let again = at_b.call(Method::DELETE, "").await;
    assert_eq!((again.status, affected(&again)), (StatusCode::OK, 0), "taking back nothing is no error");
}

#[tokio::test]
async fn a_delay_holds_the_request_and_then_lets_it_through() {
    let chain = Chain::start("v1", "v1", "v1").await;
    let at_c = Switch::of(&chain.c).await;
    at_c.set(json!({"delay_ms": 60})).await;
    let began = Instant::now();
    let answer = chain.a.get("/").await;
    assert!(began.elapsed() >= Duration::from_millis(60), "held for {:?}", began.elapsed());
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(at_c.affected().await, 1);
    let lines = chain.c.log_lines();
    assert_eq!(lines[0]["chaos"], "delay");
}

#[tokio::test]
async fn a_share_of_none_meets_nobody() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    let at_c = Switch::of(&c).await;
    at_c.set(json!({"status": 500, "share": 0.0})).await;
    for _ in 0..50 {
        assert_eq!(c.get("/").await.status, StatusCode::OK);
    }
    assert_eq!(at_c.affected().await, 0);
}

#[tokio::test]
async fn a_request_that_hangs_is_let_go_when_the_fault_is_taken_back() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    let at_c = Switch::of(&c).await;
    at_c.set(json!({"hang": true})).await;
    let address = c.address;
    let held = tokio::spawn(async move { crate::support::get(address, "/", &[]).await });
    until("the request is held", async || at_c.affected().await == 1).await;
    assert_eq!(c.metric("http_requests_in_flight").await, 1.0);
    assert!(!held.is_finished());
    at_c.call(Method::DELETE, "").await;
    assert_eq!(held.await.expect("no panic").body, "Microservice C v1");
}

#[tokio::test]
async fn a_caller_that_gives_up_on_a_hanging_service_is_counted_as_gone() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    let at_c = Switch::of(&c).await;
    at_c.set(json!({"hang": true})).await;
    let next = [("NEXT_URL", c.url()), ("NEXT_TIMEOUT_MS", "40".to_owned())];
    let next = next.each_ref().map(|(name, value)| (*name, value.as_str()));
    let b = Running::start("microservice-b", "v1", &next).await;
    assert_eq!(b.get("/").await.status, StatusCode::GATEWAY_TIMEOUT);
    let gone = r#"http_requests_total{method="GET",route="/",status="499"}"#;
    until("the caller's leaving is counted", async || c.metric(gone).await == 1.0).await;
    assert_eq!(c.metric("http_requests_in_flight").await, 0.0);
}

#[tokio::test]
async fn what_is_not_a_fault_is_refused_with_what_is_allowed_and_changes_nothing() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    let at_c = Switch::of(&c).await;
    at_c.set(json!({"status": 503})).await;
    for wrong in [r#"{"sttus": 503}"#, r#"{"status": 99}"#, r#"{"share": 0.5}"#, "not JSON", ""] {
        let answer = at_c.call(Method::PUT, wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.json()["allowed"]["status"], "200 to 599", "{wrong}");
        assert!(answer.json()["error"].is_string(), "{wrong}");
    }
    assert_eq!(at_c.call(Method::GET, "").await.body, r#"{"status":503}"#);
    assert_eq!(at_c.call(Method::PUT, "{}").await.body, "{}", "what GET tells of no fault can be PUT");
    assert_eq!(c.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_socket_is_for_this_user_alone_and_one_left_behind_is_replaced() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("chaos.sock");
    // A killed process leaves its socket; nobody answers on it.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("socket"));
    let address = Address::Unix(path.clone());
    let open = address.open(c.app.chaos.routes()).await.expect("the old socket is replaced");
    let mode = std::fs::metadata(&path).expect("socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let taken = address.open(c.app.chaos.routes()).await.expect_err("a switch that answers is not replaced");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    drop(open);
    assert!(!path.exists(), "a switch that closes takes its socket along");
}

#[tokio::test]
async fn the_switch_works_over_loopback_too() {
    let c = Running::start("microservice-c", "v1", &[]).await;
    // A port that was just free; between the two another process could take it, and then this fails loudly.
    let free =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("free port").local_addr().expect("bound");
    let _open = Address::Loopback(free).open(c.app.chaos.routes()).await.expect("switch");
    let stream = TcpStream::connect(free).await.expect("the switch listens");
    let answer = exchange(stream, Method::PUT, "/chaos", &[], r#"{"status":418}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(c.get("/").await.status, StatusCode::IM_A_TEAPOT);
}
