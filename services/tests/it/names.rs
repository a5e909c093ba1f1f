//! Names by a hosts file.

use http::StatusCode;

use crate::support::Running;

#[tokio::test]
async fn a_name_is_looked_up_in_the_hosts_file_and_a_change_of_it_counts() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("hosts");
    std::fs::write(&file, "127.0.0.1 somebody-else\n").expect("hosts file");
    let file = file.to_str().expect("text");

    let c = Running::start("microservice-c", "v1", &[]).await;
    let next = format!("http://microservice-c:{}", c.address.port());
    let b = Running::start("microservice-b", "v1", &[("NEXT_URL", &next), ("MESHQUAKE_HOSTS", file)]).await;

    let answer = b.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    assert!(detail.ends_with(&format!("no address of `microservice-c` in hosts file {file}")), "{detail}");
    assert_eq!(answer.json()["upstream"], "microservice-c");

    std::fs::write(file, "127.0.0.1 somebody-else\n127.0.0.1 microservice-c\n").expect("hosts file");
    assert_eq!(b.get("/").await.body, "Microservice B v1 -> Microservice C v1");
}
