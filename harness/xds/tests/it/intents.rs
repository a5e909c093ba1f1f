//! Intents of the world `pinning`, as `explain` shows them.

use insta::assert_snapshot;
use meshquake_xds::model::{Mesh, Settings};

use crate::pinning::pinning;
use crate::support::fleet;

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
