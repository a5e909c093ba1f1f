//! The same over the real socket, with the real client stub.

use super::*;

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

    for round in 0..100 {
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
    }

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
