//! With a real Envoy where it can be had: it starts from the bootstrap, is configured by ADS and asked by admin.

mod plane;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ConfigSource, DataSource, SocketAddress, TransportSocket, address,
    config_source::ConfigSourceSpecifier, data_source, socket_address::PortSpecifier, transport_socket,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route,
    route_action::ClusterSpecifier, route_match::PathSpecifier,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier, http_filter,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, UpstreamTlsContext, common_tls_context,
};
use envoy_types::pb::google::protobuf::{Any, BoolValue};
use envoy_types::util::pack_any;
use meshquake_xds::ads::{Ads, Kind, Lagging, Serving, Snapshot};
use meshquake_xds::envoy::{CERTIFICATE, ROOTS};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use self::plane::*;
use super::*;
use crate::backend::local::ca::{Authority, Identity};
use crate::parts;
use crate::wait::{self, Seen};

/// Long enough for a busy machine; a passing test never waits for it.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn starts_answers_changes_and_ends() {
    let Some(plane) = Plane::start() else { return };
    let envoy = plane.envoy("web", speaker("one")).await;
    plane.ads.converged([&envoy.node], None, LIMIT).await.unwrap();
    let mode = fs::metadata(envoy.admin.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "other users of the machine cannot ask");

    let (client, port) = (client(), envoy.port("in").await);
    assert_eq!(get(&client, port).await, (200, "one".into()));

    // Each change is there for the next request once it has been acknowledged, on the connection that is open.
    for round in 0..50 {
        let text = format!("round {round}");
        plane.set(&envoy, speaker(&text)).await;
        assert_eq!(get(&client, port).await, (200, text));
    }

    let stats = String::from_utf8(envoy.admin.stats().await.unwrap().to_vec()).unwrap();
    assert!(stats.contains("envoy_server_live"), "{stats}");
    assert!(stats.lines().count() < 400, "the list of statistics is short: {}", stats.lines().count());
    assert!(envoy.admin.config_dump().await.unwrap()["configs"].is_array());
    let listed = envoy.admin.endpoints().await.unwrap();
    assert!(listed.iter().all(|address| address.starts_with("127.")), "{listed:?}");

    envoy.admin.drain().await.unwrap();
    assert!(matches!(envoy.admin.ready().await.unwrap(), Readiness::NotReady(_)));
    let (socket, log) = (envoy.admin.socket().to_owned(), envoy.log.clone());
    assert!(envoy.end().await.success());
    let said = fs::read_to_string(log).unwrap();
    assert!(!said.contains("no configured limit"), "nothing to worry about in the log: {said}");
    let error = Admin::new(socket).unwrap().ready().await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_envoy_refuses_is_named_and_the_rest_goes_on() {
    let Some(plane) = Plane::start() else { return };
    let envoy = plane.envoy("web", speaker("one")).await;
    let (client, port) = (client(), envoy.port("in").await);

    // Two changes at once, one of them bad: Envoy refuses the response, the good one is taken up all the same.
    let mut bad = speaker("two");
    let mut broken = listener("broken", None);
    broken.filter_chains[0].filters[0].config_type = Some(filter::ConfigType::TypedConfig(Any {
        type_url: "type.googleapis.com/no.Such".into(),
        value: vec![],
    }));
    bad.add(broken);
    bad.add(listener("other", None));
    bad.add(routes("other", says("other")));
    plane.ads.set(&envoy.node, bad);
    let error = plane.ads.converged([&envoy.node], None, LIMIT).await.expect_err("refused");
    let nacks: Vec<_> = error.nacks().collect();
    let [nack] = nacks[..] else { panic!("one is at fault: {error}") };
    assert_eq!((nack.kind, nack.resource.as_str()), (Kind::Listener, "broken"));
    assert!(nack.message.contains("no.Such"), "{nack}");
    assert_eq!(get(&client, port).await, (200, "two".into()));
    assert_eq!(get(&client, envoy.port("other").await).await, (200, "other".into()));

    // A route table is refused as well, and keeps the words of Envoy.
    let mut bad = speaker("three");
    let mut twice = routes("in", says("three"));
    twice.virtual_hosts.push(VirtualHost { name: "again".into(), ..twice.virtual_hosts[0].clone() });
    bad.add(twice);
    plane.ads.set(&envoy.node, bad);
    let error = plane.ads.converged([&envoy.node], None, LIMIT).await.expect_err("refused");
    assert!(error.nacks().any(|nack| nack.kind == Kind::Route && nack.resource == "in"), "{error}");
    assert_eq!(get(&client, port).await, (200, "two".into()));

    plane.set(&envoy, speaker("four")).await;
    assert_eq!(get(&client, port).await, (200, "four".into()));
}

#[tokio::test]
async fn a_stall_and_a_restart_of_the_server_are_survived() {
    let Some(mut plane) = Plane::start() else { return };
    let envoy = plane.envoy("web", speaker("one")).await;
    let (client, port) = (client(), envoy.port("in").await);
    plane.ads.pause();
    plane.ads.set(&envoy.node, speaker("two"));
    let error =
        plane.ads.converged([&envoy.node], None, Duration::from_millis(50)).await.expect_err("paused");
    assert_eq!(error.nodes.get(&envoy.node), Some(&Lagging::Paused));
    assert_eq!(get(&client, port).await, (200, "one".into()));
    plane.ads.resume();
    plane.ads.converged([&envoy.node], None, LIMIT).await.unwrap();
    assert_eq!(get(&client, port).await, (200, "two".into()));

    // Another server on the same path, which knows nothing of the first one's streams.
    let socket = plane.folder.path().join("ads.sock");
    plane.ads = Ads::new();
    plane._serving = plane.ads.serve(&socket).unwrap();
    plane.set(&envoy, speaker("three")).await;
    assert_eq!(get(&client, port).await, (200, "three".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_rotated_without_a_failed_request() {
    let Some(plane) = Plane::start() else { return };
    let mut authority = Authority::new().unwrap();
    let (web, catalog) = (Identity::new("shop", "web"), Identity::new("shop", "catalog"));

    let server = |authority: &mut Authority| {
        let mut snapshot = Snapshot::new();
        snapshot.add(listener(
            "in",
            Some(tls(pack_any(DownstreamTlsContext {
                common_tls_context: Some(common()),
                require_client_certificate: Some(BoolValue { value: true }),
                ..DownstreamTlsContext::default()
            }))),
        ));
        snapshot.add(routes("in", says("hello")));
        authority.add_secrets(&catalog, &mut snapshot).unwrap();
        snapshot
    };
    let first = server(&mut authority);
    let server_envoy = plane.envoy("catalog", first).await;
    let port = server_envoy.port("in").await;

    let caller = |authority: &mut Authority| {
        let mut snapshot = Snapshot::new();
        let endpoint = LbEndpoint {
            host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
                address: Some(socket_address(port)),
                ..Endpoint::default()
            })),
            ..LbEndpoint::default()
        };
        snapshot.add(Cluster {
            name: "catalog".into(),
            load_assignment: Some(ClusterLoadAssignment {
                cluster_name: "catalog".into(),
                endpoints: vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() }],
                ..ClusterLoadAssignment::default()
            }),
            transport_socket: Some(tls(pack_any(UpstreamTlsContext {
                common_tls_context: Some(common()),
                ..UpstreamTlsContext::default()
            }))),
            ..Cluster::default()
        });
        snapshot.add(listener("out", None));
        let to_catalog = RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster("catalog".into())),
            ..RouteAction::default()
        };
        snapshot.add(routes("out", route::Action::Route(to_catalog)));
        authority.add_secrets(&web, &mut snapshot).unwrap();
        snapshot
    };
    let first = caller(&mut authority);
    let web_envoy = plane.envoy("web", first).await;
    let out = web_envoy.port("out").await;
    assert_eq!(get(&client(), out).await, (200, "hello".into()));
    let plain = client().get(format!("http://127.0.0.1:{port}/")).send().await;
    assert!(plain.is_err(), "without a certificate there is no answer");

    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load = tokio::spawn({
        let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
        async move {
            let client = client();
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(get(&client, out).await, (200, "hello".into()));
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let serial = async || {
        let certificates = server_envoy.admin.certificates().await.unwrap();
        certificates["certificates"][0]["cert_chain"][0]["serial_number"].as_str().unwrap().to_owned()
    };
    for _ in 0..5 {
        let (before, sent) = (serial().await, count.load(Ordering::Relaxed));
        authority.rotate();
        plane.set(&server_envoy, server(&mut authority)).await;
        plane.set(&web_envoy, caller(&mut authority)).await;
        assert_ne!(serial().await, before);
        wait::until("more requests after the rotation", LIMIT, async || {
            let now = count.load(Ordering::Relaxed);
            if now >= sent + 20 || load.is_finished() {
                Seen::Done(())
            } else {
                Seen::NotYet(now.to_string())
            }
        })
        .await
        .unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    load.await.expect("each request was answered with 200");
}

/// Two Envoys share nothing, so this needs none: what one is told at its start.
#[test]
fn the_bootstrap_says_who_and_where() {
    let bootstrap = Bootstrap {
        role: Role::Router,
        namespace: "istio-system".into(),
        pod: "gateway-1".into(),
        workload: "gateway".into(),
        address: [127, 70, 0, 1].into(),
        labels: BTreeMap::from([("app".into(), "gateway".into())]),
        folder: "/run/meshquake/ab/gateway-1".into(),
        ads: "/run/meshquake/ab/ads.sock".into(),
    };
    let configuration = bootstrap.configuration().unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&configuration["node"]).unwrap(), @r#"
    {
      "id": "router~127.70.0.1~gateway-1.istio-system~istio-system.svc.cluster.local",
      "cluster": "gateway.istio-system",
      "metadata": {
        "NAMESPACE": "istio-system",
        "NAME": "gateway-1",
        "WORKLOAD_NAME": "gateway",
        "LABELS": {
          "app": "gateway"
        }
      }
    }
    "#);
    assert_eq!(configuration["admin"]["address"]["pipe"]["path"], "/run/meshquake/ab/gateway-1/admin.sock");

    let long = Bootstrap { folder: PathBuf::from("/run").join("x".repeat(100)), ..bootstrap };
    let error = long.configuration().unwrap_err().to_string();
    assert!(error.contains("has 116 bytes, the system allows 107"), "{error}");
}
