//! Ceasing to serve without losing a request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use shop::server::{Drain, Error};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::support::{self, Running, stand_in, until, within};

/// A next hop that says when it is called, and answers when it is told to.
async fn held_hop() -> (String, mpsc::UnboundedReceiver<()>, Arc<Notify>) {
    let (called, calls) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let router = Router::new().fallback(async move || {
        called.send(()).expect("the test listens");
        wait.notified().await;
        "the end"
    });
    (format!("http://{}", stand_in(router).await), calls, go)
}

#[tokio::test]
async fn a_request_in_hand_is_finished_while_no_new_ones_are_taken() {
    let (next, mut calls, go) = held_hop().await;
    let mut a =
        Running::start("microservice-a", "v1", &[("NEXT_URL", &next), ("NEXT_TIMEOUT_MS", "60000")]).await;
    let address = a.address;
    let held = tokio::spawn(async move { support::get(address, "/", &[]).await });
    within("the call is in hand", calls.recv()).await.expect("called");

    a.stop();
    until("no new connection is taken", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!held.is_finished());
    go.notify_one();
    let answer = held.await.expect("no panic");
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "Microservice A v1 -> the end"));
    assert_eq!(answer.headers["connection"], "close");
    a.ended().await.expect("nothing was cut off");
}

#[tokio::test]
async fn while_it_lingers_it_is_not_ready_yet_still_answers() {
    let drain = Drain { linger: Duration::from_secs(600), timeout: Duration::ZERO };
    let mut c = Running::start_with("microservice-c", "v2", &[], drain).await;
    assert_eq!(c.get("/ready").await.status, StatusCode::OK);
    c.stop();
    until("it says that it is not ready", async || {
        c.get("/ready").await.status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    assert_eq!(c.get("/health").await.status, StatusCode::OK, "it is draining, not ill");
    let answer = c.get("/").await;
    assert_eq!(answer.body, "Microservice C v2");
    assert_eq!(answer.headers["connection"], "close", "callers are asked to go elsewhere");
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_process() {
    let (next, mut calls, _go) = held_hop().await;
    let drain = Drain { linger: Duration::ZERO, timeout: Duration::from_millis(50) };
    let variables = [("NEXT_URL", next.as_str()), ("NEXT_TIMEOUT_MS", "60000")];
    let mut a = Running::start_with("microservice-a", "v1", &variables, drain).await;
    let address = a.address;
    let held = tokio::spawn(async move { support::get(address, "/", &[]).await });
    within("the call is in hand", calls.recv()).await.expect("called");
    a.stop();
    let error = a.ended().await.expect_err("one request was cut off");
    assert!(matches!(error, Error::Unfinished { in_flight: 1, .. }), "{error}");
    assert_eq!(error.to_string(), "1 requests were not finished within 50 ms and are cut off");
    held.abort();
}
