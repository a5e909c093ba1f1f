//! What Envoy is given, without an Envoy: names, sharing, and what a change costs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use insta::assert_snapshot;
use meshquake_xds::ads::{Kind, Snapshot};
use meshquake_xds::envoy::{Error, Interception, Loopback, Translator, translate};
use meshquake_xds::intent::{Fleet, ProxyIntent};
use meshquake_xds::model::{Mesh, ObjectId, Settings};
use meshquake_xds::object::Object;

use crate::pinning::pinning;
use crate::support::{fleet, objects};

fn mesh(objects: &[Object]) -> Mesh {
    match Mesh::from_objects(objects, Settings::default()) {
        Ok((mesh, _)) => mesh,
        Err(problems) => panic!("{:#?}", problems.0),
    }
}

fn loopback(mesh: &Mesh) -> Interception {
    let vips = mesh.services.keys().zip(1u8..);
    let vips = vips.map(|(id, n)| (id.clone(), IpAddr::V4(Ipv4Addr::new(10, 0, 9, n)))).collect();
    Interception::Loopback(Loopback { vips })
}

fn snapshots(mesh: &Mesh, fleet: &Fleet, translator: &mut Translator) -> BTreeMap<String, Snapshot> {
    let intents = mesh.intents(fleet).into_iter();
    intents
        .map(|(id, intent)| {
            (id, translator.translate(Arc::new(intent), &loopback(mesh)).expect("it has addresses"))
        })
        .collect()
}

#[test]
fn a_sidecar_of_pinning_has_these_resources() {
    let objects = pinning();
    let mesh = mesh(&objects);
    let intent: &ProxyIntent = &mesh.intents(&fleet(&objects, [10, 0]))["microservice-a-v1-1.pinning"];
    let snapshot = translate(intent, &loopback(&mesh)).expect("it has addresses");
    let mut text = String::new();
    for kind in Kind::ALL {
        for (name, _) in snapshot.of(kind) {
            let _ = writeln!(text, "{kind} {name}");
        }
    }
    assert_snapshot!(text);
}

#[test]
fn a_changed_rule_changes_the_tables_of_its_callers_alone() {
    let mut objects = pinning();
    let fleet = fleet(&objects, [10, 0]);
    let mut translator = Translator::default();
    let before = snapshots(&mesh(&objects), &fleet, &mut translator);
    let same = snapshots(&mesh(&objects), &fleet, &mut translator);
    assert_eq!(before, same, "nothing changed");

    let rule =
        objects.iter_mut().find(|object| object.name() == "microservice-b-routing").expect("it is there");
    let destination = rule.value.pointer_mut("/spec/http/0/route/0/destination/subset").expect("a subset");
    *destination = "v2".into();
    let after = snapshots(&mesh(&objects), &fleet, &mut translator);
    let changed: Vec<_> = after
        .iter()
        .map(|(id, snapshot)| (id.as_str(), snapshot.diff(&before[id])))
        .filter(|(_, diff)| !diff.is_empty())
        .map(|(id, diff)| (id, diff.changed.into_iter().collect::<Vec<_>>(), diff.removed.len()))
        .collect();
    let table = vec![(Kind::Route, "8080".to_owned())];
    assert_eq!(changed, [("microservice-a-v1-1.pinning", table, 0)], "the rule is for v1 of a");
    let (one, other) = (&before["microservice-a-v1-1.pinning"], &after["microservice-a-v1-1.pinning"]);
    for (name, resource) in other.of(Kind::Cluster) {
        let old = one.get(Kind::Cluster, name).expect("the same clusters");
        assert!(Arc::ptr_eq(resource, old), "{name} was not made anew");
    }
}

#[test]
fn endpoints_are_made_once_for_all_proxies() {
    let objects = pinning();
    let mut translator = Translator::default();
    let all = snapshots(&mesh(&objects), &fleet(&objects, [10, 0]), &mut translator);
    let mut made = all.values().map(|snapshot| {
        snapshot
            .get(Kind::Endpoints, "outbound|8080|v1|microservice-b.pinning.svc.cluster.local")
            .expect("it is there")
    });
    let first = made.next().expect("a proxy");
    assert!(made.all(|other| Arc::ptr_eq(first, other)));
}

#[test]
fn a_service_without_an_address_is_an_error() {
    let objects = pinning();
    let mesh = mesh(&objects);
    let intent = &mesh.intents(&fleet(&objects, [10, 0]))["microservice-a-v1-1.pinning"];
    let error = translate(intent, &Interception::Loopback(Loopback::default())).expect_err("no addresses");
    let service = ObjectId::new("pinning", "microservice-a");
    assert_eq!(error, Error::NoAddress { proxy: "microservice-a-v1-1.pinning".to_owned(), service });
}

#[test]
fn limits_that_are_not_set_are_none() {
    let objects = pinning();
    let mut translator = Translator::default();
    let all = snapshots(&mesh(&objects), &fleet(&objects, [10, 0]), &mut translator);
    for (name, resource) in all["microservice-a-v1-1.pinning"].of(Kind::Cluster) {
        let cluster: Cluster = resource.unpack().expect("a cluster");
        let thresholds = &cluster.circuit_breakers.expect("limits").thresholds[0];
        let limits = [
            thresholds.max_connections,
            thresholds.max_pending_requests,
            thresholds.max_requests,
            thresholds.max_retries,
        ];
        assert!(
            limits.iter().all(|limit| limit.is_some_and(|limit| limit.value == u32::MAX)),
            "{name}: {limits:?}"
        );
    }
}

/// Sixty pods that call twenty services: what a change of one rule costs must not grow to what a start costs.
#[test]
fn a_large_mesh_recomputes_only_what_a_change_touches() {
    let mut text = String::new();
    for service in 0..20 {
        let _ = write!(
            text,
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s{service}}}\n\
             spec: {{selector: {{app: s{service}}}, ports: [{{name: http, port: 8080}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: s{service}}}\n\
             spec: {{host: s{service}, subsets: [{{name: v1, labels: {{version: v1}}}}]}}\n---\n"
        );
        for replica in 0..3 {
            let _ = write!(
                text,
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: s{service}-{replica}}}\n\
                 spec: {{template: {{metadata: {{labels: {{app: s{service}, version: v1}}}}, \
                 spec: {{containers: [{{ports: [{{containerPort: 8080}}]}}]}}}}}}\n---\n"
            );
        }
    }
    let mut objects_now = objects("large.yaml", &text, "shop");
    let fleet = fleet(&objects_now, [10, 0]);
    let mut translator = Translator::default();
    let before = snapshots(&mesh(&objects_now), &fleet, &mut translator);
    assert_eq!(before.len(), 61);

    objects_now.extend(objects(
        "rule.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: s7}\n\
         spec: {hosts: [s7], http: [{match: [{sourceLabels: {app: s3}}], \
         route: [{destination: {host: s7, subset: v1}}]}]}\n",
        "shop",
    ));
    let after = snapshots(&mesh(&objects_now), &fleet, &mut translator);
    let changed: Vec<_> =
        after.iter().filter(|(id, snapshot)| !snapshot.diff(&before[*id]).is_empty()).collect();
    assert_eq!(changed.len(), 3, "the three callers that the rule is for");
    for (id, snapshot) in changed {
        let diff = snapshot.diff(&before[id]);
        assert_eq!(diff.changed, [(Kind::Route, "8080".to_owned())].into());
        let table: RouteConfiguration =
            snapshot.get(Kind::Route, "8080").and_then(|resource| resource.unpack()).expect("a table");
        assert_eq!(table.virtual_hosts.len(), 21, "twenty services and everything else");
    }
}
