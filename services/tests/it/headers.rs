//! The identity of a request, on each hop.

use std::sync::{Arc, Mutex};

use axum::Router;
use http::HeaderMap;

use crate::support::{Running, get, stand_in};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// a → b → a stand-in for c that keeps the headers it is called with.
async fn chain(stack: &str) -> (Running, Running, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let last = Router::new().fallback(async move |headers: HeaderMap| {
        keep.lock().expect("seen").push(headers);
        "the end"
    });
    let c = stand_in(last).await;
    let b = Running::start("microservice-b", stack, &[("NEXT_URL", &format!("http://{c}"))]).await;
    let a = Running::start("microservice-a", stack, &[("NEXT_URL", &b.url())]).await;
    (a, b, seen)
}

#[tokio::test]
async fn what_the_caller_sent_reaches_the_last_hop_unchanged() {
    for stack in ["v1", "v2"] {
        let (a, b, seen) = chain(stack).await;
        let sent = [("traceparent", PARENT), ("tracestate", "vendor=1"), ("x-request-id", "request-7")];
        let answer = get(a.address, "/", &sent).await;
        assert_eq!(answer.headers["x-request-id"], "request-7", "the answer names the request");
        let last = seen.lock().expect("seen").pop().expect("the last hop was called");
        for (name, value) in sent {
            assert_eq!(last[name], value, "{stack}");
        }
        for service in [a, b] {
            let lines = service.log_lines();
            assert_eq!(lines.len(), 1, "one line per request");
            let line = &lines[0];
            assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(line["request_id"], "request-7");
            assert_eq!(line["version"], stack);
            assert_eq!(line["status"], 200);
            assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        }
    }
}

#[tokio::test]
async fn a_request_without_an_identity_gets_one_at_the_entry_and_keeps_it() {
    let (a, b, seen) = chain("v2").await;
    let id = get(a.address, "/", &[]).await.headers["x-request-id"].clone();
    let other = get(a.address, "/", &[]).await.headers["x-request-id"].clone();
    assert_ne!(id, other, "each request has an id of its own");
    let seen = std::mem::take(&mut *seen.lock().expect("seen"));
    assert_eq!(seen[0]["x-request-id"], id);
    assert_ne!(seen[0]["traceparent"], seen[1]["traceparent"]);
    let (of_a, of_b) = (a.log_lines(), b.log_lines());
    assert_eq!(of_a[0]["service"], "microservice-a");
    assert_eq!(of_b[0]["service"], "microservice-b");
    assert_eq!(of_a[0]["trace_id"], of_b[0]["trace_id"], "one trace joins the hops");
    let parent = seen[0]["traceparent"].to_str().expect("text");
    assert_eq!(of_a[0]["trace_id"], parent[3..35]);
}
