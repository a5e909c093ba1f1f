//! The rules of VirtualServices, as requests meet them.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::chain::shop;
use crate::mesh::TestMesh;

const HEAD: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b]
  http:
";

pub async fn a_request_is_told_by_what_it_carries(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(&format!(
        "{HEAD}
    - match: [{{uri: {{exact: /exact}}}}]
      directResponse: {{status: 201}}
    - match: [{{uri: {{regex: '/r[0-9]+'}}}}]
      directResponse: {{status: 202}}
    - match: [{{uri: {{prefix: /Case}}, ignoreUriCase: true}}]
      directResponse: {{status: 203}}
    - match: [{{headers: {{X-Kind: {{exact: gold}}}}}}, {{headers: {{x-there: {{}}}}}}]
      directResponse: {{status: 204}}
    - match: [{{queryParams: {{q: {{exact: '1'}}}}}}]
      directResponse: {{status: 206}}
    - match: [{{method: {{exact: POST}}}}]
      directResponse: {{status: 207}}
    - match: [{{authority: {{prefix: b.shop}}}}]
      directResponse: {{status: 208}}
    - match: [{{uri: {{prefix: /without}}, withoutHeaders: {{x-tame: {{exact: 'yes'}}}}}}]
      directResponse: {{status: 209}}
    - match: [{{uri: {{prefix: /absent}}, withoutHeaders: {{x-tame: {{}}}}}}]
      directResponse: {{status: 210}}
    - match: [{{port: 1}}]
      directResponse: {{status: 299}}
    - route: [{{destination: {{host: b, subset: v1}}}}]
"
    ))
    .await;
    type More = fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder;
    let plain: More = |request| request;
    let header: More = |request| request.header("x-kind", "gold");
    let silver: More = |request| request.header("x-kind", "silver");
    let there: More = |request| request.header("x-there", "");
    let tame: More = |request| request.header("x-tame", "yes");
    let wild: More = |request| request.header("x-tame", "no");
    for (path, more, status) in [
        ("/exact", plain, 201),
        ("/exact/more", plain, 200),
        ("/r12", plain, 202),
        ("/r12x", plain, 200),
        ("/cAsE/1", plain, 203),
        ("/", header, 204),
        ("/", silver, 200),
        ("/", there, 204),
        ("/?q=1", plain, 206),
        ("/?q=2", plain, 200),
        ("/without", plain, 209),
        ("/without", wild, 209),
        ("/without", tame, 200),
        ("/absent", plain, 210),
        ("/absent", wild, 200),
    ] {
        let answer = mesh.call_with("a-v1", "b", "b", path, more).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let answer = mesh.call_with("a-v1", "b", "b.shop", "/", plain).await;
    assert_eq!(answer.status, 208, "by its authority: {answer:?}");
    let post = reqwest::Client::new().post(mesh.url("a-v1", "b")).header("host", "b").send().await;
    assert_eq!(post.expect("an answer").status(), 207);
}

pub async fn requests_are_rewritten_answered_and_sent_on(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(&format!(
        "{HEAD}
    - match: [{{uri: {{prefix: /old/}}}}]
      rewrite: {{uri: /headers/, authority: other.example}}
      headers:
        request: {{set: {{x-set: new}}, add: {{x-add: more}}, remove: [x-gone]}}
        response: {{set: {{x-answer: 'yes'}}}}
      route: [{{destination: {{host: b, subset: v1}}}}]
    - match: [{{uri: {{prefix: /regex}}}}]
      rewrite: {{uriRegexRewrite: {{match: '^/regex/(.*)$', rewrite: '/headers/\\1/end'}}}}
      route: [{{destination: {{host: b, subset: v1}}, headers: {{request: {{set: {{Host: own.example}}}}}}}}]
    - match: [{{uri: {{prefix: /away}}}}]
      redirect: {{uri: /there, authority: far.example, scheme: https, port: 8443, redirectCode: 302}}
    - match: [{{uri: {{prefix: /said}}}}]
      directResponse: {{status: 503, body: {{string: closed}}}}
    - match: [{{uri: {{prefix: /shared}}}}]
      route:
        - destination: {{host: b, subset: v1}}
          weight: 1
          headers: {{response: {{set: {{x-from: one}}}}}}
        - destination: {{host: b, subset: v2}}
          weight: 3
          headers: {{response: {{set: {{x-from: two}}}}}}
"
    ))
    .await;
    let answer = mesh
        .call_with("a-v1", "b", "b", "/old/path", |request| {
            request.header("x-set", "old").header("x-add", "some").header("x-gone", "1")
        })
        .await;
    for line in ["path: /headers/path", "host: other.example", "x-set: new", "x-add: some", "x-add: more"] {
        assert!(answer.body.lines().any(|found| found == line), "{line} in {}", answer.body);
    }
    assert!(!answer.body.contains("x-gone") && !answer.body.contains("x-set: old"), "{}", answer.body);
    assert_eq!(answer.headers["x-answer"], "yes");

    let answer = mesh.call("a-v1", "b", "/regex/part").await;
    assert!(answer.body.contains("path: /headers/part/end"), "{}", answer.body);
    assert!(answer.body.contains("host: own.example"), "{}", answer.body);

    let answer = mesh.call("a-v1", "b", "/away").await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (302, &"https://far.example:8443/there".parse().expect("a value"))
    );

    let answer = mesh.call("a-v1", "b", "/said").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "closed"));

    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let answer = mesh.call("a-v1", "b", "/shared").await;
        seen.insert((answer.body, answer.headers["x-from"].to_str().expect("a word").to_owned()));
    }
    let both = [("b v1".to_owned(), "one".to_owned()), ("b v2".to_owned(), "two".to_owned())];
    assert_eq!(seen, both.into(), "each destination with its own header");

    let answer = mesh.call("a-v1", "b", "/nobody").await;
    assert_eq!(answer.status, 404, "there are rules for this caller, but none for this request");
}

pub async fn timeouts_and_retries_are_the_rules_own(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(&format!(
        "{HEAD}
    - match: [{{uri: {{prefix: /slow/cut}}}}]
      timeout: 200ms
      route: [{{destination: {{host: b, subset: v1}}}}]
    - match: [{{uri: {{prefix: /flaky/again}}}}]
      retries: {{attempts: 2, retryOn: '503', backoff: 1ms}}
      route: [{{destination: {{host: b, subset: v1}}}}]
    - match: [{{uri: {{prefix: /flaky/never}}}}]
      retries: {{attempts: 0}}
      route: [{{destination: {{host: b, subset: v1}}}}]
    - route: [{{destination: {{host: b, subset: v1}}}}]
"
    ))
    .await;
    let answer = mesh.call("a-v1", "b", "/slow/cut").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.took < Duration::from_millis(1500), "{:?}", answer.took);
    let answer = mesh.call("a-v1", "b", "/slow").await;
    assert_eq!(answer.status, 200, "no timeout unless there is one: {answer:?}");

    let app = &mesh.apps["b-v1"];
    app.hits.store(0, Ordering::SeqCst);
    assert_eq!(mesh.call("a-v1", "b", "/flaky/again").await.status, 200);
    assert_eq!(app.hits(), 3, "two tries more");
    for path in ["/flaky/never", "/flaky"] {
        app.hits.store(0, Ordering::SeqCst);
        assert_eq!(mesh.call("a-v1", "b", path).await.status, 503);
        assert_eq!(app.hits(), 1, "{path}: an answer of 503 is not tried again by default");
    }
}

pub async fn a_mirror_sees_copies(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    mesh.apply(&format!(
        "{HEAD}
    - route: [{{destination: {{host: b, subset: v1}}}}]
      mirror: {{host: b, subset: v2}}
"
    ))
    .await;
    for _ in 0..5 {
        assert_eq!(mesh.call("a-v1", "b", "/").await.body, "b v1");
    }
    let start = std::time::Instant::now();
    while mesh.apps["b-v2"].hits() < 5 {
        assert!(start.elapsed() < Duration::from_secs(5), "{} copies", mesh.apps["b-v2"].hits());
        tokio::time::sleep(Duration::from_millis(10)).await; // pacing
    }
}
