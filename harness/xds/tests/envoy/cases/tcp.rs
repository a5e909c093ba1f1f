//! Ports that speak no HTTP.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::chain::shop;
use crate::mesh::{TCP_PORT, TestMesh};
use crate::support::objects;

pub async fn connections_are_carried_under_mutual_tls(envoy: PathBuf) {
    let mut all = shop();
    all.extend(objects("store.yaml", include_str!("../store.yaml"), "shop"));
    let mesh = TestMesh::up(envoy, all).await;
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let mut stream =
            TcpStream::connect((mesh.vip("a-v1", "store"), TCP_PORT)).await.expect("the sidecar listens");
        stream.write_all(b"hello").await.expect("it takes it");
        let mut buffer = [0; 64];
        let length = stream.read(&mut buffer).await.expect("an answer");
        names.insert(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert_eq!(names, ["store-v1:hello".to_owned(), "store-v2:hello".to_owned()].into());

    let mut plain = TcpStream::connect((mesh.pod_address("store-v1"), TCP_PORT)).await.expect("it listens");
    plain.write_all(b"hello").await.expect("it takes it");
    let length = plain.read(&mut [0; 64]).await.unwrap_or(0);
    assert_eq!(length, 0, "plain text is cut off");

    let ended = |page: &str| page.contains("envoy_istio_tcp_connections_closed_total");
    for (workload, reporter) in [("a-v1", "source"), ("store-v1", "destination")] {
        let page = mesh.metrics(&mesh.proxy_of(workload), ended).await;
        for name in [
            "connections_opened_total",
            "connections_closed_total",
            "sent_bytes_total",
            "received_bytes_total",
        ] {
            let line = format!("envoy_istio_tcp_{name}{{reporter=\"{reporter}\"");
            assert!(page.contains(&line), "{line} in {page}");
        }
        assert!(page.contains("destination_service_name=\"store\""), "{page}");
    }
}
