//! A Prometheus in the cluster: it reads every proxy under STRICT mTLS, nobody else reads the apps, and its answers
//! stand beside ours. Where it cannot be asked, that is said, and the verdict is the same.

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use meshquake::backend::objects::ObjectRef;
use serde_json::{Value, json};

use crate::site::{Site, config_with};
use crate::under_way::UnderWay;

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
    let mut run = UnderWay::begin(site, folder.path(), "seen", SEEN, &["--keep", "--config", &config]);
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
    let pods: Api<Pod> = Api::namespaced(site.client(), "pinning");
    let pods = site.wait(pods.list(&ListParams::default())).expect("listed").items;
    let up = ask(site, "up{namespace=\"pinning\"} == 1");
    assert_eq!(up.len(), pods.len(), "{up:?}");
    // The API server has no certificate of the mesh: it stands for everybody else.
    for pod in &pods {
        let name = pod.metadata.name.as_deref().expect("a name");
        let port =
            pod.spec.as_ref().and_then(|spec| spec.containers[0].ports.as_ref()?.first()).expect("a port");
        let path = format!("/api/v1/namespaces/pinning/pods/{name}:{}/proxy/metrics", port.container_port);
        let refused =
            site.wait(site.client().request_text(Request::get(path).body(vec![]).expect("a request")));
        assert!(refused.is_err(), "{name} tells its metrics to everybody: {refused:?}");
    }
    site.ends(&["down"], 0);
    site.no_world();
    gone(site);
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
