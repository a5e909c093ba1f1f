//! Several nodes, streams that end and come back, and a server that is slow.

use super::*;

#[tokio::test]
async fn a_node_that_comes_before_its_snapshot_is_served_once_there_is_one() {
    let ads = Ads::new();
    let mut client = Client::connect(&ads, "a");
    client.subscribe(Kind::Cluster, &[]).await;
    ads.set("a", snapshot(&["c:one"]));
    client.take(Kind::Cluster, &["one"]).await;
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
