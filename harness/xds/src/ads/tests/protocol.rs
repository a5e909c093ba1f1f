//! One stream: what is sent, answered, refused and sent again, and in which order.

use super::*;

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
