//! Intents of the world `pinning`, as `explain` shows them.

use std::sync::Arc;

use insta::assert_snapshot;
use meshquake_xds::intent::{ClusterBook, Fleet};
use meshquake_xds::model::{Mesh, Settings, State};
use meshquake_xds::object::Object;

use crate::pinning::pinning;
use crate::support::{fleet, objects};

fn explain(proxy: &str) -> String {
    let objects = pinning();
    let (mesh, findings) = Mesh::from_objects(&objects, Settings::default()).expect("the world is good");
    assert_eq!(findings.warnings, [], "nothing in it is doubtful");
    mesh.intents(&fleet(&objects, [10, 0]))[proxy].to_string()
}

#[test]
fn a_sidecar_knows_its_own_pinned_routes_alone() {
    assert_snapshot!(explain("microservice-a-v1-1.pinning"));
}

#[test]
fn a_gateway_shares_requests_out() {
    assert_snapshot!(explain("gateway-1.istio-system"));
}

#[test]
fn metrics_that_are_turned_off_are_named_with_their_place() {
    let mut objects = pinning();
    objects.extend(crate::support::objects(
        "telemetry.yaml",
        "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: metrics}
spec:
  selector: {matchLabels: {app: microservice-a}}
  metrics:
    - overrides:
        - match: {mode: SERVER}
          disabled: true
        - match: {metric: REQUEST_COUNT, mode: CLIENT_AND_SERVER}
          disabled: true
",
        "pinning",
    ));
    let (mesh, _) = Mesh::from_objects(&objects, Settings::default()).expect("the world is good");
    let intents = mesh.intents(&fleet(&objects, [10, 0]));
    let metrics = |proxy: &str| {
        let text = intents[proxy].to_string();
        text.lines()
            .filter(|line| line.contains("istio_"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    assert_snapshot!(metrics("microservice-a-v1-1.pinning"));
    assert_eq!(metrics("microservice-b-v1-3.pinning"), "", "another workload writes everything");
}

#[test]
fn the_same_mesh_gives_the_same_intents() {
    let objects = pinning();
    let mesh = || Mesh::from_objects(&objects, Settings::default()).expect("the world is good").0;
    let fleet = fleet(&objects, [10, 0]);
    assert_eq!(mesh().intents(&fleet), mesh().intents(&fleet));
}

/// A world, its pods, and what is set for the mesh as a whole.
type Moment = (Vec<Object>, Fleet, Settings);

/// Each of them leads to other clusters or endpoints than the one before: by one thing alone.
fn moments() -> Vec<(&'static str, Moment)> {
    let start = pinning();
    let pods = fleet(&start, [10, 0]);
    let mut now: Moment = (start, pods, Settings::default());
    let mut moments = vec![("at first", now.clone())];
    let mut then = |what, change: &dyn Fn(&mut Moment)| {
        change(&mut now);
        moments.push((what, now.clone()));
    };
    let has = |kind: &'static str, name: &'static str| {
        move |object: &Object| object.kind() == kind && object.name() == name
    };
    then("a pod is not ready", &|(_, fleet, _)| fleet.pods[2].state = State::NotReady);
    then("a pod is gone", &|(_, fleet, _)| {
        fleet.pods.pop();
    });
    then("a policy comes", &|(world, ..)| {
        let plain = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: plain}\n\
                     spec: {selector: {matchLabels: {app: microservice-c}}, mtls: {mode: DISABLE}}\n";
        world.extend(objects("plain.yaml", plain, "pinning"));
    });
    then("a rule says more", &|(world, ..)| {
        let rule = world.iter_mut().find(|object| has("DestinationRule", "microservice-c")(object));
        let spec = rule.and_then(|rule| rule.value.pointer_mut("/spec")).expect("it is there");
        spec["trafficPolicy"] = serde_json::json!({"loadBalancer": {"simple": "RANDOM"}});
    });
    then("a service has another port", &|(world, ..)| {
        let service = world.iter_mut().find(|object| has("Service", "microservice-c")(object));
        let port = service.and_then(|service| service.value.pointer_mut("/spec/ports/0/port"));
        *port.expect("it is there") = 8081.into();
    });
    then("a template has another account", &|(world, ..)| {
        let template = world.iter_mut().find(|object| has("Deployment", "microservice-c-v1")(object));
        let account = template.and_then(|it| it.value.pointer_mut("/spec/template/spec/serviceAccountName"));
        *account.expect("it is there") = "microservice-b".into();
    });
    then("the mesh trusts another domain", &|(.., settings)| settings.trust_domain = "else.where".to_owned());
    moments
}

#[test]
fn a_kept_book_says_what_a_new_one_says() {
    let mut book = ClusterBook::default();
    let mut before = None;
    for (what, (world, fleet, settings)) in moments() {
        let (mesh, _) = Mesh::from_objects(&world, settings).unwrap_or_else(|e| panic!("{what}: {:#?}", e.0));
        let new = mesh.intents(&fleet);
        assert_ne!(Some(&new), before.as_ref(), "the premise: {what}");
        assert_eq!(mesh.intents_by(&mut book, &fleet), new, "{what}");
        before = Some(new);
    }
}

#[test]
fn where_only_routes_change_clusters_stay_the_same_value() {
    let mut world = pinning();
    let pods = fleet(&world, [10, 0]);
    let mut book = ClusterBook::default();
    let mut intents = |world: &[Object]| {
        let (mesh, _) = Mesh::from_objects(world, Settings::default()).expect("the world is good");
        mesh.intents_by(&mut book, &pods)
    };
    let before = intents(&world);
    world.retain(|object| object.name() != "microservice-b-routing");
    let after = intents(&world);
    assert_ne!(before, after, "the premise");
    for (id, intent) in &before {
        assert!(Arc::ptr_eq(&intent.clusters, &after[id].clusters), "{id}");
        assert!(Arc::ptr_eq(&intent.endpoints, &after[id].endpoints), "{id}");
    }
}

#[test]
fn a_workload_goes_by_the_policies_that_select_it() {
    let mut objects = pinning();
    objects.extend(crate::support::objects(
        "access.yaml",
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing-else}
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: istio-system}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}, {to: [{operation: {ports: ['9000']}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: microservice-b}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-told, annotations: {istio.io/dry-run: 'true'}}
spec: {action: DENY, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: elsewhere, namespace: other}
spec: {}
",
        "pinning",
    ));
    let (mesh, _) = Mesh::from_objects(&objects, Settings::default()).expect("the world is good");
    let intents = mesh.intents(&fleet(&objects, [10, 0]));
    let access = |proxy: &str| {
        let text = intents[proxy].to_string();
        let lines = text.lines().filter(|line| line.contains(" by ") && line.contains(" of "));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let denied = "deny by 2 rules of istio-system/no-admin (access.yaml:6)";
    let all = "allow by 0 rules of pinning/nothing-else (access.yaml:1)";
    let readers = "allow by 1 rule of pinning/readers (access.yaml:11)";
    assert_eq!(access("microservice-a-v1-1.pinning"), [denied, all]);
    assert_eq!(access("microservice-b-v1-3.pinning"), [denied, all, readers]);
    assert_eq!(access("gateway-1.istio-system"), [denied]);
}
