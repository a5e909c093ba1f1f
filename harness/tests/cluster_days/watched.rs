//! A Prometheus in the cluster: it reads every proxy under STRICT mTLS, nobody else reads the apps, and its answers
//! stand beside ours. Where it cannot be asked, that is said, and the verdict is the same.

use std::process::Command;

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use meshquake::backend::objects::ObjectRef;
use serde_json::{Value, json};

use crate::site::{PATIENCE, Site, config_with};
use crate::support;
use crate::tiers;
use crate::under_way::UnderWay;
use crate::until::until;

const SEEN: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: seen
about: Counted here and by Prometheus.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 20/s, for: 14s, warm-up: 2s}
timeline: []
objectives:
  - name: calls were counted
    run: {promql: 'sum(increase(istio_requests_total{reporter="source",source_workload="microservice-a-v1"}[$window]))', at-least: 20, min-samples: 5}
  - name: v1 never met v2
    run: {edges: {crossing-versions: 0, min-requests: 10}}
  - name: every line is unmixed
    run: {success: {journey: chain}, at-least: 100%, min-samples: 50}
"#;

const ADDONS: &str = "meshquake-addons";

pub fn a_second_opinion(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_with(folder.path(), "prometheus", "addon = true").display().to_string();
    site.ends(&["up", "pinning", "--config", &config], 0);
    let pods = proxies(site);
    reads(site, pods.len());
    let mut run = UnderWay::begin(site, folder.path(), "seen", SEEN, &["--world-up", "--config", &config]);
    run.held();
    let opinions = run.told("second-opinion");
    let of = |name: &str| {
        let mut found = opinions.iter().filter(|opinion| opinion["name"] == name);
        found.next().unwrap_or_else(|| panic!("{name}: {}", run.events())).clone()
    };
    let calls = of("calls were counted");
    let (ours, theirs) = (calls["ours"].as_f64().expect("ours"), calls["theirs"].as_f64());
    let theirs = theirs.unwrap_or_else(|| panic!("{calls}"));
    // Both read each second, at other moments: a second of 12 at either end.
    assert!((ours - theirs).abs() / ours < 0.2, "{calls}");
    assert_eq!(of("v1 never met v2")["theirs"], 0.0, "{opinions:?}");
    let load = of("every line is unmixed");
    assert_eq!(
        (&load["theirs"], &load["note"]),
        (&Value::Null, &json!("it is about the load, which is counted only here"))
    );

    // Every proxy of the world is read, where only those with a certificate may call (H-04).
    let strict = ObjectRef::new("security.istio.io/v1", "PeerAuthentication", "pinning", "default");
    let strict = site.get(&strict).expect("the world's own");
    assert_eq!(strict["spec"]["mtls"]["mode"], "STRICT");
    reads(site, pods.len());
    // The API server has no certificate of the mesh: it stands for everybody else.
    for pod in pods.iter().filter(|pod| pod.metadata.namespace.as_deref() == Some("pinning")) {
        let name = pod.metadata.name.as_deref().expect("a name");
        let port =
            pod.spec.as_ref().and_then(|spec| spec.containers[0].ports.as_ref()?.first()).expect("a port");
        let path = format!("/api/v1/namespaces/pinning/pods/{name}:{}/proxy/metrics", port.container_port);
        let mut asked = Command::new("kubectl");
        asked.args(["get", "--raw", &path, "--kubeconfig"]).arg(&site.kubeconfig);
        let refused = asked.output().expect("kubectl starts");
        let closed = String::from_utf8_lossy(&refused.stderr).contains("error trying to reach service");
        assert!(closed, "{name} tells its metrics to everybody: {}", support::said(&refused));
    }
    site.ends(&["down"], 0);
    site.no_world();

    // Of pods that say that nobody should read them, it reads none: the gateway is left.
    site.ends(&["up", "pinning", "--overlay", "no-metrics", "--config", &config], 0);
    reads(site, 1);
    site.ends(&["down"], 0);
    site.no_world();
    gone(site);
}

/// Waits until it has found so many proxies and reads them all.
fn reads(site: &Site, proxies: usize) {
    until("all proxies read", PATIENCE, || {
        let (known, up) = (ask(site, "up").len(), ask(site, "up == 1").len());
        if (known, up) == (proxies, proxies) { Ok(()) } else { Err(format!("{up} of {known} known ones")) }
    });
}

pub fn no_second_opinion(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let config =
        config_with(folder.path(), "prometheus", "url = \"http://127.0.0.1:1\"").display().to_string();
    let mut run = UnderWay::begin(site, folder.path(), "alone", SEEN, &["--config", &config]);
    run.held();
    let opinions = run.told("second-opinion");
    assert_eq!(opinions.len(), 3, "{}", run.events());
    for opinion in &opinions {
        assert!(opinion["theirs"].is_null() && opinion["note"] != "", "{opinion}");
    }
    assert!(opinions[0]["note"].as_str().is_some_and(|note| note.contains("127.0.0.1:1")), "{opinions:?}");
    let report = run.file("report.md");
    assert!(report.contains("n/a"), "{report}");
    site.no_world();
}

/// The pods of the world and the gateway before it.
fn proxies(site: &Site) -> Vec<Pod> {
    let list = |namespace: &str, labels: &str| {
        let pods: Api<Pod> = Api::namespaced(site.client(), namespace);
        site.wait(pods.list(&ListParams::default().labels(labels))).expect("listed").items
    };
    [list("pinning", ""), list("istio-system", "istio=ingressgateway")].concat()
}

/// Why there can be no add-on here: its image is neither on this machine nor to be had. Whoever demands the backend
/// demands its add-on as well.
pub fn missing(backend: &str) -> Option<String> {
    let text =
        std::fs::read_to_string(support::root().join("kind/addons/prometheus.yaml")).expect("the add-on");
    let documents = meshquake::yaml::parse(&text, "the add-on").expect("YAML");
    let images = documents.iter().map(meshquake::yaml::Node::to_json).filter_map(|object| {
        object.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).map(str::to_owned)
    });
    let engine = |words: &[&str]| {
        Command::new("docker").args(words).output().is_ok_and(|output| output.status.success())
    };
    let mut images =
        images.filter(|image| !engine(&["image", "inspect", image]) && !engine(&["pull", "--quiet", image]));
    let why = images.next().map(|image| format!("there is no image {image} here, and none to be pulled"))?;
    assert!(!tiers::is_demanded(backend), "MESHQUAKE_REQUIRE names {backend}: {why}");
    Some(why)
}

/// What it says to a query now.
fn ask(site: &Site, query: &str) -> Vec<Value> {
    let url = reqwest::Url::parse_with_params("http://x/api/v1/query", [("query", query)]).expect("a query");
    let path = format!(
        "/api/v1/namespaces/{ADDONS}/services/prometheus:9090/proxy{}?{}",
        url.path(),
        url.query().unwrap_or_default()
    );
    let request = Request::get(path).body(vec![]).expect("a request");
    let answer = site.wait(site.client().request_text(request)).expect("it answers");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// The add-on goes as it came.
fn gone(site: &Site) {
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        site.delete(&ObjectRef::new("rbac.authorization.k8s.io/v1", kind, "", "meshquake-prometheus"));
    }
    site.delete_namespace(ADDONS);
}
