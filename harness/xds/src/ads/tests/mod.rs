//! Both ends of the stream are here: a client that says what an Envoy would say, and the server under test.
//!
//! Nothing sleeps: the client waits for the next response, and that there is none is shown by the next thing that
//! does come.

mod client;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use self::client::*;
use super::*;

/// Long enough for a busy machine; a passing test never waits for it.
const LIMIT: Duration = Duration::from_secs(20);
/// For what is expected not to happen within it.
const AT_ONCE: Duration = Duration::ZERO;

async fn settled(ads: &Ads, nodes: &[&str]) -> Converged {
    ads.converged(nodes.iter().copied(), None, LIMIT).await.expect("converges")
}

async fn lagging(ads: &Ads, node: &str) -> Lagging {
    let error = ads.converged([node], None, AT_ONCE).await.expect_err("does not converge");
    error.nodes.get(node).expect("this node lags").clone()
}

#[tokio::test]
async fn all_acknowledged_is_converged_and_nothing_less() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    assert_eq!(lagging(&ads, "a").await, Lagging::NeverConnected);

    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Cluster, &[]).await;
    let clusters = client.expect(Kind::Cluster, &["one"], &[]).await;
    assert!(matches!(lagging(&ads, "a").await, Lagging::Unacknowledged { kind: Kind::Cluster, .. }));
    client.ack(&clusters).await;
    client.subscribe(Kind::Listener, &[]).await;
    let listeners = client.expect(Kind::Listener, &["in"], &[]).await;
    client.ack(&listeners).await;
    assert_eq!(settled(&ads, &["a"]).await, Converged::default());
}

#[tokio::test]
async fn an_acknowledgement_is_not_answered_and_an_equal_snapshot_not_sent() {
    let ads = Ads::new();
    let first = ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut client = Client::start(&ads, "a", &["one"], &["in"]).await;
    settled(&ads, &["a"]).await;
    assert_eq!(ads.set("a", snapshot(&["c:one", "l:in"])), first);
    ads.set("a", snapshot(&["c:one", "l:in=changed"]));
    client.take(Kind::Listener, &["in"]).await;
    settled(&ads, &["a"]).await;
}

#[tokio::test]
async fn a_wildcard_over_nothing_is_answered_or_envoy_would_never_start() {
    let ads = Ads::new();
    ads.set("a", Snapshot::new());
    Client::start(&ads, "a", &[], &[]).await;
}

#[tokio::test]
async fn a_node_that_comes_before_its_snapshot_is_served_once_there_is_one() {
    let ads = Ads::new();
    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Cluster, &[]).await;
    ads.set("a", snapshot(&["c:one"]));
    client.take(Kind::Cluster, &["one"]).await;
}

#[tokio::test]
async fn a_refusal_names_resource_and_words_and_a_good_snapshot_recovers() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut client = Client::start(&ads, "a", &["one"], &["in"]).await;
    ads.set("a", snapshot(&["c:one", "l:in=bad"]));
    let response = client.expect(Kind::Listener, &["in"], &[]).await;
    client.nack(&response, "no such filter").await;

    let error = ads.converged(["a"], None, LIMIT).await.expect_err("refused");
    let nack = Nack {
        node: "a".into(),
        kind: Kind::Listener,
        resource: "in".into(),
        message: "no such filter".into(),
    };
    assert_eq!(error.nacks().collect::<Vec<_>>(), [&nack]);
    assert!(error.waited < LIMIT, "a refusal is told at once");
    assert_eq!(ads.nacks(), [nack]);

    ads.set("a", snapshot(&["c:one", "l:in=good"]));
    client.take(Kind::Listener, &["in"]).await;
    settled(&ads, &["a"]).await;
    assert_eq!(ads.nacks(), []);
}

#[tokio::test]
async fn going_back_to_what_envoy_kept_needs_no_response() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut client = Client::start(&ads, "a", &["one"], &["in"]).await;
    ads.set("a", snapshot(&["c:one", "l:in=bad"]));
    let response = client.expect(Kind::Listener, &["in"], &[]).await;
    client.nack(&response, "no").await;
    ads.converged(["a"], None, LIMIT).await.expect_err("refused");
    ads.set("a", snapshot(&["c:one", "l:in"]));
    settled(&ads, &["a"]).await;
}

#[tokio::test]
async fn of_several_refused_together_only_the_bad_one_stays_refused() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "c:three", "c:two"]));
    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Cluster, &[]).await;
    let all = client.expect(Kind::Cluster, &["one", "three", "two"], &[]).await;
    client.nack(&all, "something is wrong").await;
    client.take(Kind::Cluster, &["one"]).await;
    let bad = client.expect(Kind::Cluster, &["three"], &[]).await;
    client.nack(&bad, "three is wrong").await;
    client.take(Kind::Cluster, &["two"]).await;
    client.subscribe(Kind::Listener, &[]).await;
    client.take(Kind::Listener, &[]).await;
    let error = ads.converged(["a"], None, LIMIT).await.expect_err("refused");
    let refused: Vec<_> = error.nacks().map(|nack| (nack.resource.as_str(), nack.message.as_str())).collect();
    assert_eq!(refused, [("three", "three is wrong")]);
}

#[tokio::test]
async fn an_answer_to_an_earlier_response_counts_for_nothing() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut client = Client::start(&ads, "a", &["one"], &["in"]).await;
    ads.set("a", snapshot(&["c:one", "l:in=2"]));
    let second = client.expect(Kind::Listener, &["in"], &[]).await;
    ads.set("a", snapshot(&["c:one", "l:in=3"]));
    let stale = DeltaDiscoveryResponse { nonce: "0".into(), ..second.clone() };
    client.ack(&stale).await;
    client.nack(&stale, "of another time").await;
    assert!(matches!(lagging(&ads, "a").await, Lagging::Unacknowledged { kind: Kind::Listener, .. }));
    client.ack(&second).await;
    // Only now the third is sent: one response at a time.
    client.take(Kind::Listener, &["in"]).await;
    settled(&ads, &["a"]).await;
    assert_eq!(ads.nacks(), []);
}

#[tokio::test]
async fn names_are_answered_also_when_unknown_or_asked_for_again() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["e:one"]));
    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Endpoints, &["one", "two"]).await;
    let response = client.expect(Kind::Endpoints, &["one"], &["two"]).await;
    client.ack(&response).await;
    client.subscribe(Kind::Endpoints, &["one"]).await;
    client.take(Kind::Endpoints, &["one"]).await;
    // The unknown one comes to exist; nobody has to ask again.
    ads.set("a", snapshot(&["e:one", "e:two"]));
    client.take(Kind::Endpoints, &["two"]).await;
    // Unsubscribed names are no longer sent.
    client.unsubscribe(Kind::Endpoints, &["one"]).await;
    client.subscribe(Kind::Endpoints, &["three"]).await;
    let heard = client.expect(Kind::Endpoints, &[], &["three"]).await;
    client.ack(&heard).await;
    ads.set("a", snapshot(&["e:one=2", "e:two=2"]));
    client.take(Kind::Endpoints, &["two"]).await;
}

#[tokio::test]
async fn who_comes_back_is_sent_only_what_it_lacks() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:gone", "c:one", "c:two", "e:one", "l:in"]));
    let held = {
        let mut client = Client::connect(&ads, "a");
        client.subscribe(Kind::Cluster, &[]).await;
        let response = client.expect(Kind::Cluster, &["gone", "one", "two"], &[]).await;
        response.resources.iter().map(|r| (r.name.clone(), r.version.clone())).collect::<BTreeMap<_, _>>()
    };
    ads.set("a", snapshot(&["c:one", "c:two=changed", "e:one", "l:in"]));
    let mut client = Client::connect(&ads, "a");
    client
        .send(DeltaDiscoveryRequest {
            resource_names_subscribe: owned(&["*"]),
            initial_resource_versions: held.into_iter().collect(),
            ..request(Kind::Cluster)
        })
        .await;
    client.take(Kind::Cluster, &["two"]).await;
    let removal = client.expect(Kind::Cluster, &[], &["gone"]).await;
    client.ack(&removal).await;
    let one = ads.snapshot("a").expect("set").get(Kind::Endpoints, "one").expect("there").version.clone();
    client
        .send(DeltaDiscoveryRequest {
            resource_names_subscribe: owned(&["one"]),
            initial_resource_versions: [("one".to_owned(), one)].into(),
            ..request(Kind::Endpoints)
        })
        .await;
    // Nothing for the endpoints, so the listeners are next.
    client.subscribe(Kind::Listener, &[]).await;
    client.take(Kind::Listener, &["in"]).await;
    settled(&ads, &["a"]).await;
}

#[tokio::test]
async fn new_before_old_in_the_order_of_references() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:old", "e:old", "l:in", "r:80"]));
    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Cluster, &[]).await;
    client.take(Kind::Cluster, &["old"]).await;
    client.subscribe(Kind::Endpoints, &["old"]).await;
    client.take(Kind::Endpoints, &["old"]).await;
    client.subscribe(Kind::Listener, &[]).await;
    client.take(Kind::Listener, &["in"]).await;
    client.subscribe(Kind::Route, &["80"]).await;
    client.take(Kind::Route, &["80"]).await;

    ads.set("a", snapshot(&["c:new", "e:new", "l:in=2", "r:80=2"]));
    let clusters = client.expect(Kind::Cluster, &["new"], &[]).await;
    // Envoy asks for the new cluster's endpoints before it acknowledges the cluster, which is warm only with them.
    client.subscribe(Kind::Endpoints, &["new"]).await;
    client.take(Kind::Endpoints, &["new"]).await;
    client.ack(&clusters).await;
    client.take(Kind::Listener, &["in"]).await;
    client.take(Kind::Route, &["80"]).await;
    let removal = client.expect(Kind::Cluster, &[], &["old"]).await;
    assert!(ads.converged(["a"], None, AT_ONCE).await.is_err(), "a removal is part of the snapshot");
    client.unsubscribe(Kind::Endpoints, &["old"]).await;
    client.ack(&removal).await;
    settled(&ads, &["a"]).await;
}

#[tokio::test]
async fn endpoints_are_sent_again_with_a_changed_cluster() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "e:one"]));
    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Cluster, &[]).await;
    client.take(Kind::Cluster, &["one"]).await;
    client.subscribe(Kind::Endpoints, &["one"]).await;
    client.take(Kind::Endpoints, &["one"]).await;
    ads.set("a", snapshot(&["c:one=2", "e:one"]));
    client.take(Kind::Cluster, &["one"]).await;
    client.take(Kind::Endpoints, &["one"]).await;
}

#[tokio::test]
async fn two_nodes_are_told_each_its_own() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    ads.set("b", snapshot(&["c:two", "l:in"]));
    let mut a = Client::start(&ads, "a", &["one"], &["in"]).await;
    let _b = Client::start(&ads, "b", &["two"], &["in"]).await;
    settled(&ads, &["a", "b"]).await;
    ads.set("a", snapshot(&["c:one=2", "l:in"]));
    let response = a.expect(Kind::Cluster, &["one"], &[]).await;
    settled(&ads, &["b"]).await;
    let error = ads.converged(["a", "b"], None, AT_ONCE).await.expect_err("a lags");
    assert_eq!(error.nodes.keys().collect::<Vec<_>>(), ["a"]);
    a.ack(&response).await;
    settled(&ads, &["a", "b"]).await;
}

#[tokio::test]
async fn the_dead_and_the_removed_do_not_block() {
    let ads = Ads::new();
    for node in ["a", "dead"] {
        ads.set(node, snapshot(&["c:one", "l:in"]));
    }
    let mut a = Client::start(&ads, "a", &["one"], &["in"]).await;
    let dead = Client::start(&ads, "dead", &["one"], &["in"]).await;
    settled(&ads, &["a", "dead"]).await;
    let mut changes = ads.changes();
    drop(dead);
    while ads.connected().contains("dead") {
        timeout(LIMIT, changes.changed()).await.expect("noticed").expect("open");
    }
    for node in ["a", "dead"] {
        ads.set(node, snapshot(&["c:one=2", "l:in"]));
    }
    a.take(Kind::Cluster, &["one"]).await;
    assert_eq!(settled(&ads, &["a", "dead"]).await.absent, ["dead".to_owned()].into());

    ads.set("late", snapshot(&["c:one"]));
    assert_eq!(lagging(&ads, "late").await, Lagging::NeverConnected);
    ads.remove("late");
    assert_eq!(settled(&ads, &["a", "late"]).await.absent, ["late".to_owned()].into());
}

#[tokio::test]
async fn an_older_generation_does_not_wait_for_a_newer_snapshot() {
    let ads = Ads::new();
    let first = ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut client = Client::start(&ads, "a", &["one"], &["in"]).await;
    settled(&ads, &["a"]).await;
    ads.set("a", snapshot(&["c:one", "l:in=2"]));
    client.expect(Kind::Listener, &["in"], &[]).await;
    ads.converged(["a"], Some(first), AT_ONCE).await.expect("the first was acknowledged");
    ads.converged(["a"], None, AT_ONCE).await.expect_err("the second was not");
}

#[tokio::test]
async fn a_newer_stream_of_a_node_takes_the_place_of_the_older() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut old = Client::connect(&ads, "a");
    old.subscribe(Kind::Cluster, &[]).await;
    let unanswered = old.expect(Kind::Cluster, &["one"], &[]).await;
    let _new = Client::start(&ads, "a", &["one"], &["in"]).await;
    settled(&ads, &["a"]).await;
    old.nack(&unanswered, "too late").await;
    drop(old);
    settled(&ads, &["a"]).await;
    assert_eq!(ads.nacks(), []);
    assert!(ads.connected().contains("a"));
}

#[tokio::test]
async fn a_stalled_server_is_named_and_recovers() {
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:one", "l:in"]));
    let mut client = Client::start(&ads, "a", &["one"], &["in"]).await;
    settled(&ads, &["a"]).await;
    let (began, stall) = (Instant::now(), Duration::from_millis(300));
    ads.stall(stall);
    ads.set("a", snapshot(&["c:one", "l:in=2"]));
    assert_eq!(lagging(&ads, "a").await, Lagging::Paused);
    client.take(Kind::Listener, &["in"]).await;
    assert!(began.elapsed() >= stall, "nothing was sent during the stall");
    settled(&ads, &["a"]).await;

    ads.pause();
    ads.set("a", snapshot(&["c:one", "l:in=3"]));
    assert_eq!(lagging(&ads, "a").await, Lagging::Paused);
    ads.resume();
    client.take(Kind::Listener, &["in"]).await;
    settled(&ads, &["a"]).await;
}

#[tokio::test]
async fn a_stream_must_name_its_node_and_unknown_kinds_do_not_exist() {
    let ads = Ads::new();
    let mut nameless = Client::connect(&ads, "");
    nameless.subscribe(Kind::Cluster, &[]).await;
    let end = timeout(LIMIT, nameless.responses.recv()).await.expect("an answer").expect("an error");
    assert_eq!(end.expect_err("refused").code(), tonic::Code::InvalidArgument);

    let mut client = Client::connect(&ads, "a");
    client
        .send(DeltaDiscoveryRequest {
            type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".into(),
            resource_names_subscribe: owned(&["r"]),
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    let response = client.receive().await;
    assert_eq!(response.removed_resources, ["r"]);
    client.ack(&response).await;
    ads.set("a", snapshot(&["c:one"]));
    client.subscribe(Kind::Cluster, &[]).await;
    client.take(Kind::Cluster, &["one"]).await;
}

/// Over the real socket, with the real client stub; also how long a change takes to arrive.
#[tokio::test]
async fn over_the_socket() {
    let directory = tempfile();
    let socket = directory.join("ads.sock");
    let ads = Ads::new();
    ads.set("a", snapshot(&["c:0", "l:in"]));
    let serving = ads.serve(&socket).expect("listens");
    let mode = std::fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut stub = AggregatedDiscoveryServiceClient::connect(format!("unix://{}", socket.display()))
        .await
        .expect("connects");
    let (requests, outgoing) = mpsc::channel(4);
    let node = Some(Node { id: "a".into(), ..Node::default() });
    requests.send(DeltaDiscoveryRequest { node, ..request(Kind::Cluster) }).await.expect("open");
    let stream = stub.delta_aggregated_resources(ReceiverStream::new(outgoing)).await.expect("accepted");
    let mut stream = stream.into_inner();

    let mut times = Vec::new();
    for round in 0..100 {
        let began = Instant::now();
        ads.set("a", snapshot(&[&format!("c:0={round}"), "l:in"]));
        loop {
            let response =
                timeout(LIMIT, stream.next()).await.expect("in time").expect("open").expect("good");
            requests.send(answer(&response)).await.expect("open");
            if response.resources[0].version
                == ads.snapshot("a").expect("set").get(Kind::Cluster, "0").expect("there").version
            {
                break;
            }
        }
        times.push(began.elapsed());
    }
    times.sort();
    assert!(times[50] < Duration::from_millis(20), "median of a push over the socket: {:?}", times[50]);

    let successor = Ads::new().serve(&socket).expect("takes the place");
    serving.stop().await;
    assert!(socket.exists(), "a server removes only its own socket");
    drop(successor);
    let end = timeout(LIMIT, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    assert!(end.is_ok(), "a stopped server ends its streams");
    assert!(!socket.exists());
    std::fs::remove_dir_all(directory).expect("removed");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_with_its_length() {
    let path = Path::new("/tmp").join("x".repeat(120)).join("ads.sock");
    let error = Ads::new().serve(&path).expect_err("too long");
    assert!(error.to_string().contains("has 134 bytes, the system allows 107"), "{error}");
}

fn tempfile() -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("mq-ads-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    directory
}
