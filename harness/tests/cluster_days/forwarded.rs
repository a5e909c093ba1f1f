//! A person who may do what a run needs, but not go through the API server's proxy to pods: their metrics are read by
//! port-forward, and the run comes to the same verdict. It goes by `--backend context`, as such a person would.

use std::fs;

use http::Request;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::config::Kubeconfig;
use meshquake::backend::objects::ObjectRef;
use serde_json::{Value, json};

use crate::site::{Site, config_with};
use crate::support;
use crate::under_way::UnderWay;

const NAMESPACE: &str = "limited";
const NAME: &str = "limited";

const COUNTED: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: counted
about: What is judged was read from the proxies.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 20/s, for: 8s, warm-up: 1s}
timeline: []
objectives:
  - name: v1 never met v2
    run: {edges: {crossing-versions: 0, min-requests: 10}}
"#;

pub fn no_way_through_to_pods(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let text = limited(site);
    fs::write(&kubeconfig, &text).expect("written");
    let client = site.impatient(Kubeconfig::from_yaml(&text).expect("a kubeconfig"));

    let config = config_with(folder.path(), "context", &site.entry());
    let config = config.display().to_string();
    let mut run = UnderWay::begin_as(folder.path(), "counted", COUNTED, |words| {
        let more = ["--backend", "context", "--context", NAME, "--config", &config];
        let mut command = support::meshquake(&[words, &more].concat());
        command.env("KUBECONFIG", &kubeconfig);
        site.start(command)
    });
    run.under_load();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "pinning");
    let pod = site.wait(pods.list(&ListParams::default())).expect("it may list").items.swap_remove(0);
    let path = format!(
        "/api/v1/namespaces/pinning/pods/{}:15020/proxy/stats/prometheus",
        pod.metadata.name.unwrap_or_default()
    );
    let refused = site.wait(client.request_text(Request::get(path).body(vec![]).expect("a request")));
    let closed = matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403);
    assert!(closed, "the way through was open: {refused:?}");
    run.held();
    assert_eq!(run.told("judged")[0]["verdict"], "held", "{}", run.events());
    site.no_world();
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        site.delete(&ObjectRef::new("rbac.authorization.k8s.io/v1", kind, "", NAME));
    }
    site.delete_namespace(NAMESPACE);
}

/// The kubeconfig of an account that may do everything but go through to pods; rights can only be given, so all others
/// are.
fn limited(site: &Site) -> String {
    let core = [
        "bindings",
        "configmaps",
        "endpoints",
        "events",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "pods",
        "pods/attach",
        "pods/log",
        "pods/portforward",
        "resourcequotas",
        "secrets",
        "serviceaccounts",
        "services",
    ];
    let others = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apps",
        "batch",
        "discovery.k8s.io",
        "networking.istio.io",
        "rbac.authorization.k8s.io",
        "security.istio.io",
        "telemetry.istio.io",
    ];
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": NAME},
            "rules": [{"apiGroups": [""], "resources": core, "verbs": ["*"]},
                {"apiGroups": others, "resources": ["*"], "verbs": ["*"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]}),
    ];
    for object in &objects {
        site.wait(site.objects().apply(object)).expect("applied");
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(site.client(), NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let given = site.wait(accounts.create_token_request(NAME, &PostParams::default(), &request));
    let token = given.expect("a token").status.expect("given").token;
    let server = server(site);
    // JSON is YAML.
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "",
        "clusters": [{"name": NAME, "cluster": server}],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}]})
    .to_string()
}

/// Where the API server is, and by which authority it is known.
fn server(site: &Site) -> Value {
    let whole = fs::read_to_string(&site.kubeconfig).expect("the kubeconfig of our cluster");
    let whole = meshquake::yaml::parse(&whole, "kubeconfig").expect("YAML")[0].to_json();
    whole["clusters"][0]["cluster"].clone()
}
