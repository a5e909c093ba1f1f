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
fn the_same_mesh_gives_the_same_intents() {
    let objects = pinning();
    let mesh = || Mesh::from_objects(&objects, Settings::default()).expect("the world is good").0;
    let fleet = fleet(&objects, [10, 0]);
    assert_eq!(mesh().intents(&fleet), mesh().intents(&fleet));
}
