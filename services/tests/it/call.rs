//! The call on demand: what a caller outside learns of a call that the service makes.

use axum::Router;
use axum::routing::get;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shop::Environment;
use shop::call::Caller;
use shop::chaos::{Address, Open};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream};

use crate::support::{Answer, Running, exchange, stand_in};

/// The verb on a Unix socket in a folder of its own, with a hosts file in it.
struct Verb {
    folder: TempDir,
    _open: Open,
}

impl Verb {
    async fn open(hosts: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("hosts");
        std::fs::write(&file, hosts).expect("hosts");
        let environment = Environment::from_iter([("MESHQUAKE_HOSTS", file.to_string_lossy())]);
        let address = Address::Unix(folder.path().join("chaos.sock"));
        let open = address.open(Caller::of(&environment).routes()).await.expect("the verb");
        Self { folder, _open: open }
    }

    async fn ask(&self, body: &Value) -> Answer {
        let stream = UnixStream::connect(self.folder.path().join("chaos.sock")).await.expect("it listens");
        exchange(stream, Method::POST, "/call", &[], &body.to_string()).await
    }

    async fn told(&self, body: Value) -> Value {
        let answer = self.ask(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()
    }
}

#[tokio::test]
async fn a_call_goes_out_by_the_services_own_names_and_its_answer_is_told() {
    let c = Running::start("microservice-c", "v2", &[]).await;
    let verb = Verb::open("127.0.0.1 microservice-c").await;
    let url = |path: &str| format!("http://microservice-c:{}{path}", c.address.port());
    let told = verb.told(json!({"url": url("/")})).await;
    assert_eq!((&told["status"], &told["body"]), (&json!(200), &json!("Microservice C v2")));
    assert!(told["headers"]["x-request-id"].is_string(), "{told}");
    let told = verb.told(json!({"url": url("/nobody"), "method": "POST"})).await;
    assert_eq!(told["status"], 404);
    assert!(told["body"].as_str().expect("text").contains("no route for POST /nobody"), "{told}");
}

#[tokio::test]
async fn headers_go_along_also_that_of_the_host() {
    let echo = async |headers: http::HeaderMap| {
        format!("{} {}", headers["host"].to_str().expect("text"), headers["x-a"].to_str().expect("text"))
    };
    let address = stand_in(Router::new().route("/", get(echo))).await;
    let verb = Verb::open("").await;
    let headers = json!({"host": "somebody.else", "x-a": "1"});
    let told = verb.told(json!({"url": format!("http://{address}/"), "headers": headers})).await;
    assert_eq!(told["body"], "somebody.else 1");
}

#[tokio::test]
async fn what_is_no_answer_is_told_by_its_kind() {
    let verb = Verb::open("127.0.0.1 here").await;
    let error = async |body: Value| verb.told(body).await["error"].clone();
    assert_eq!(error(json!({"url": "http://nobody:8080/"})).await, "unreachable");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("free port").local_addr().expect("bound");
    assert_eq!(error(json!({"url": format!("http://here:{}/", closed.port())})).await, "unreachable");

    let rude = TcpListener::bind("127.0.0.1:0").await.expect("free port");
    let address = rude.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = rude.accept().await {
            drop(stream);
        }
    });
    assert_eq!(error(json!({"url": format!("http://{address}/")})).await, "broken");

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("free port");
    let address = silent.local_addr().expect("bound");
    assert_eq!(error(json!({"url": format!("http://{address}/"), "within_ms": 30})).await, "timeout");
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let verb = Verb::open("").await;
    let answer = verb.ask(&json!({"url": "ftp://here/"})).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.json()["error"].as_str().expect("text").starts_with("url is `ftp://here/`"),
        "{}",
        answer.body
    );
}
