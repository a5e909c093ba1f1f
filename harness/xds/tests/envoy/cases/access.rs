//! AuthorizationPolicy: who may call, and what of it.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::chain::shop;
use crate::mesh::{TCP_PORT, TestMesh};
use crate::support::objects;

fn policy(name: &str, app: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{matchLabels: {{app: {app}}}}}, {spec}}}\n"
    )
}

/// Connections of before the change go on under the old policy until they are drained, as under Istio.
async fn in_force(mesh: &mut TestMesh, yaml: &str) {
    mesh.apply(yaml).await;
    mesh.drained().await;
}

/// The status of a call from `a-v1` to `b`.
async fn status(mesh: &TestMesh, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
    let more = |mut request: reqwest::RequestBuilder| {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (client, built) = request.build_split();
        let mut built = built.expect("a request");
        *built.method_mut() = method;
        reqwest::RequestBuilder::from_parts(client, built)
    };
    mesh.call_with("a-v1", "b", "b", path, more).await.status
}

pub async fn requests_are_allowed_by_caller_and_by_what_they_ask(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    // What is demanded, and calls that fulfil it or do not.
    let table: &[(&str, &[(&str, bool)])] = &[
        ("rules: [{}]", &[("GET /", true), ("POST /", true)]),
        ("rules: []", &[("GET /", false)]),
        ("rules: [{to: [{operation: {methods: [GET]}}]}]", &[("GET /", true), ("POST /", false)]),
        (
            "rules: [{to: [{operation: {paths: [/open*, '*.html', /exact], notPaths: [/open/not]}}]}]",
            &[
                ("GET /open/door", true),
                ("GET /open/not", false),
                ("GET /x/index.html", true),
                ("GET /exact", true),
                ("GET /exact?query=1", true),
                ("GET /exactly", false),
                ("GET /", false),
            ],
        ),
        (
            "rules: [{to: [{operation: {paths: ['/books/{*}/pages/{**}']}}]}]",
            &[("GET /books/1/pages/2/3", true), ("GET /books/1/2/pages/3", false)],
        ),
        (
            "rules: [{to: [{operation: {paths: ['/{**}/end']}}]}]",
            &[("GET /1/2/end", true), ("GET /1/2/end/3", false)],
        ),
        (
            "rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/a]}}], \
              to: [{operation: {methods: [POST]}}, {operation: {paths: [/either]}}]}]",
            &[("POST /", true), ("GET /either", true), ("GET /", false)],
        ),
        ("rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/other]}}]}]", &[("GET /", false)]),
        ("rules: [{from: [{source: {principals: ['*/sa/a'], namespaces: [sh*]}}]}]", &[("GET /", true)]),
        ("rules: [{from: [{source: {notNamespaces: [shop]}}]}]", &[("GET /", false)]),
        ("rules: [{from: [{source: {serviceAccounts: [a]}}]}]", &[("GET /", true)]),
        ("rules: [{from: [{source: {serviceAccounts: [other/a, shop/b]}}]}]", &[("GET /", false)]),
        ("rules: [{from: [{source: {trustDomains: [elsewhere]}}]}]", &[("GET /", false)]),
        ("rules: [{to: [{operation: {hosts: [B], ports: ['28080']}}]}]", &[("GET /", true)]),
        ("rules: [{to: [{operation: {notPorts: ['28080']}}]}]", &[("GET /", false)]),
        (
            "rules: [{when: [{key: 'request.headers[x-team]', values: [red, bl*]}, \
              {key: source.namespace, values: [shop]}]}]",
            &[("GET /", false)],
        ),
    ];
    for (spec, calls) in table {
        in_force(&mut mesh, &policy("b", "b", spec)).await;
        for (call, allowed) in *calls {
            let (method, path) = call.split_once(' ').expect("a method and a path");
            let method: Method = method.parse().expect("a method");
            let expected = if *allowed { 200 } else { 403 };
            assert_eq!(status(&mesh, method, path, &[]).await, expected, "{call} by {spec}");
        }
    }
    // The last of them looks at a header.
    for (team, expected) in [("red", 200), ("blue", 200), ("green", 403)] {
        assert_eq!(status(&mesh, Method::GET, "/", &[("x-team", team)]).await, expected, "team {team}");
    }

    // Who was denied is told so, and both sides count it.
    let denied = mesh.call("a-v1", "b", "/").await;
    assert_eq!((denied.status, denied.body.as_str()), (403, "RBAC: access denied"));
    for (workload, reporter) in [("a-v1", "source"), ("b-v1", "destination")] {
        let is_counted = |page: &str| {
            page.lines().any(|line| {
                line.starts_with("envoy_istio_requests_total")
                    && line.contains(&format!("reporter=\"{reporter}\""))
                    && line.contains("response_code=\"403\"")
                    && line.contains("source_workload=\"a-v1\"")
            })
        };
        let page = mesh.metrics(&mesh.proxy_of(workload), is_counted).await;
        assert!(is_counted(&page), "{workload}: {page}");
    }
}

pub async fn what_is_denied_stays_denied(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    let both = [
        policy("open", "b", "rules: [{}]"),
        policy("closed", "b", "action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]"),
        policy("shut", "a", "action: DENY, rules: [{}]"),
    ];
    in_force(&mut mesh, &both.join("---\n")).await;
    assert_eq!(status(&mesh, Method::GET, "/admin/users", &[]).await, 403);
    assert_eq!(status(&mesh, Method::GET, "/", &[]).await, 200);
    assert_eq!(mesh.call("b-v1", "a", "/").await.status, 403, "another workload has a policy of its own");
}

pub async fn connections_are_allowed_by_caller(envoy: PathBuf) {
    let mut all = shop();
    all.extend(objects("store.yaml", include_str!("../store.yaml"), "shop"));
    let mut mesh = TestMesh::up(envoy, all).await;
    for (spec, allowed) in [
        ("rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/a]}}]}]", true),
        ("rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/b]}}]}]", false),
        // Nobody knows a method here: what allows by one allows nothing, what denies by one denies everything.
        ("rules: [{to: [{operation: {methods: [GET]}}]}]", false),
        ("action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['28081']}}]}]", false),
        ("action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['1']}}]}]", true),
    ] {
        in_force(&mut mesh, &policy("store", "store", spec)).await;
        let mut stream =
            TcpStream::connect((mesh.vip("a-v1", "store"), TCP_PORT)).await.expect("the sidecar listens");
        stream.write_all(b"hello").await.expect("it takes it");
        let mut buffer = [0; 64];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
        let length = read.expect("an answer or the end").unwrap_or(0);
        assert_eq!(length > 0, allowed, "by {spec}");
    }
}

pub async fn a_gateway_has_policies_too(envoy: PathBuf) {
    let mut mesh = TestMesh::up(envoy, shop()).await;
    in_force(
        &mut mesh,
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {name: entry, namespace: istio-system}\n\
         spec: {selector: {matchLabels: {istio: ingressgateway}}, rules: [{to: [{operation: {paths: [/]}}]}]}\n",
    )
    .await;
    for (path, expected) in [("/", 200), ("/other", 403)] {
        let answer = reqwest::get(mesh.gateway() + path).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), expected, "{path}");
    }
}
