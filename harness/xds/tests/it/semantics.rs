//! The rules of Istio, each by one small mesh.

use std::collections::BTreeMap;
use std::time::Duration;

use meshquake_xds::intent::{OutboundKind, ProxyIntent, Route, RouteAction};
use meshquake_xds::model::{LoadBalancer, Mesh, Metric, Mode, Percent, Reporter, Retries, Settings, State};

use crate::support::{fleet, objects};

/// Two services in two versions each: `a` in namespace `shop`, which most rules here are asked about, and `b`.
pub const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {selector: {app: b}, ports: [{name: http, port: 80, targetPort: web}, {name: grpc-x, port: 90}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a-v1}
spec:
  template:
    metadata: {labels: {app: a, version: v1}}
    spec: {containers: [{ports: [{containerPort: 80}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: b-v1}
spec:
  template:
    metadata: {labels: {app: b, version: v1}}
    spec: {serviceAccountName: bee, containers: [{ports: [{name: web, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: b-v2}
spec:
  template:
    metadata: {labels: {app: b, version: v2}}
    spec: {serviceAccountName: bee, containers: [{ports: [{name: web, containerPort: 8080}, {containerPort: 7}]}]}
";

fn mesh(text: &str) -> Mesh {
    let mut all = objects("services.yaml", SERVICES, "shop");
    all.extend(objects("rules.yaml", text, "shop"));
    match Mesh::from_objects(&all, Settings::default()) {
        Ok((mesh, _)) => mesh,
        Err(problems) => panic!("{:#?}", problems.0),
    }
}

fn intents(mesh: &Mesh) -> BTreeMap<String, ProxyIntent> {
    mesh.intents(&fleet(&objects("services.yaml", SERVICES, "shop"), [10, 0]))
}

/// The intent of the one pod of `a`.
fn caller(text: &str) -> ProxyIntent {
    intents(&mesh(text)).remove("a-v1-1.shop").expect("the caller")
}

/// The routes of `a` for `b` on port 80.
fn routes(http: &str) -> Vec<Route> {
    let intent = caller(&format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: b}}\n\
         spec: {{hosts: [b], http: [{http}]}}\n---\n{SUBSETS}"
    ));
    let table = &intent.routes["80"];
    table.hosts.iter().find(|host| host.name.starts_with("b.")).expect("a host").routes.clone()
}

fn clusters(route: &Route) -> Vec<(String, u32)> {
    match &route.action {
        RouteAction::Forward(targets) => {
            targets.iter().map(|target| (target.cluster.clone(), target.weight)).collect()
        }
        other => panic!("{other:?}"),
    }
}

const SUBSETS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec:
  host: b
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    outlierDetection: {consecutive5xxErrors: 3}
    portLevelSettings: [{port: {number: 90}, loadBalancer: {simple: ROUND_ROBIN}}]
  subsets:
    - {name: v1, labels: {version: v1}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}
    - {name: v2, labels: {version: v2}}
";

const B80: &str = "outbound|80||b.shop.svc.cluster.local";

#[test]
fn a_service_without_rules_is_called_plainly_with_istios_retries() {
    let intent = caller("");
    let host = &intent.routes["80"].hosts[1];
    assert_eq!(host.domains, ["b.shop.svc.cluster.local", "b.shop", "b.shop.svc", "b"]);
    let [route] = host.routes.as_slice() else { panic!("{:?}", host.routes) };
    assert_eq!(clusters(route), [(B80.to_owned(), 0)]);
    assert_eq!(route.timeout, None, "no timeout unless one is written");
    assert_eq!(route.retries.attempts, 2);
    let on = ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];
    assert_eq!(route.retries.on, on);
    assert!(route.retries.codes.is_empty() && route.retries.other_hosts);
}

#[test]
fn a_rule_is_for_callers_with_its_labels_in_its_namespace() {
    let to = "route: [{destination: {host: b, subset: v1}}]";
    let is_used = |matches: &str| {
        let routes = routes(&format!("{{match: [{matches}], {to}}}"));
        clusters(&routes[0])[0].0.contains("|v1|")
    };
    for (matches, used) in [
        ("{sourceLabels: {app: a}}", true),
        ("{sourceLabels: {app: a, version: v1}}", true),
        ("{sourceLabels: {app: a, version: v2}}", false),
        ("{sourceLabels: {missing: ''}}", false),
        ("{sourceNamespace: shop}", true),
        ("{sourceNamespace: far}", false),
        ("{sourceLabels: {app: a}, sourceNamespace: far}", false),
        ("{port: 80}", true),
        ("{port: 90}", false),
        ("{gateways: [mesh], sourceLabels: {app: nobody}}", true),
    ] {
        assert_eq!(is_used(matches), used, "{matches}");
    }
}

/// As under Istio: rules of which none is for a caller are no rules for it.
#[test]
fn a_caller_for_whom_there_is_no_rule_gets_the_plain_service() {
    let routes = routes("{match: [{sourceLabels: {app: x}}], route: [{destination: {host: b, subset: v1}}]}");
    assert_eq!(clusters(&routes[0]), [(B80.to_owned(), 0)]);
}

#[test]
fn nothing_comes_after_a_rule_for_everything() {
    let to = |subset: &str| format!("route: [{{destination: {{host: b, subset: {subset}}}}}]");
    let count = |first: &str| routes(&format!("{{{first}{}}}, {{{}}}", to("v1"), to("v2"))).len();
    assert_eq!(count(""), 1);
    assert_eq!(count("match: [{uri: {prefix: /}}], "), 1);
    assert_eq!(count("match: [{uri: {prefix: /x}}], "), 2);
    assert_eq!(count("match: [{method: {exact: GET}}], "), 2);
    assert_eq!(count("match: [{uri: {prefix: /x}}, {uri: {prefix: /y}}], "), 3, "each match is a route");
}

#[test]
fn weights_share_and_no_weight_gets_nothing() {
    let b = |subset: &str, weight: u32| (format!("outbound|80|{subset}|b.shop.svc.cluster.local"), weight);
    let to = |v1: u32, v2: u32| {
        let routes = routes(&format!(
            "{{route: [{{destination: {{host: b, subset: v1}}, weight: {v1}}}, \
             {{destination: {{host: b, subset: v2, port: {{number: 80}}}}, weight: {v2}}}]}}"
        ));
        clusters(&routes[0])
    };
    assert_eq!(to(3, 5), [b("v1", 3), b("v2", 5)], "the sum is free");
    assert_eq!(to(0, 1), [b("v2", 1)]);
    let alone = routes("{route: [{destination: {host: b, subset: v1}, weight: 0}]}");
    assert_eq!(clusters(&alone[0]), [b("v1", 0)], "alone it needs none");
}

#[test]
fn retries_and_timeouts_are_read_as_istio_reads_them() {
    let read = |http: &str| routes(&format!("{{{http}, route: [{{destination: {{host: b}}}}]}}"))[0].clone();
    let retries = read("retries: {attempts: 3, retryOn: '5xx, 503', perTryTimeout: 2s}").retries;
    assert_eq!((retries.attempts, retries.codes), (3, vec![503]));
    assert_eq!(retries.on, ["5xx", "retriable-status-codes"], "a code brings its condition along");
    assert_eq!(retries.per_try_timeout, Some(Duration::from_secs(2)));
    let retries = read("retries: {attempts: 4}").retries;
    assert_eq!(retries, Retries { attempts: 4, ..Retries::default() }, "the rest is the default");
    assert!(!read("retries: {attempts: 1, retryIgnorePreviousHosts: false}").retries.other_hosts);
    assert_eq!(read("timeout: 0s").timeout, None);
    assert_eq!(read("timeout: 1.5s").timeout, Some(Duration::from_millis(1500)));
}

#[test]
fn an_explicit_mirror_of_zero_is_none() {
    let read =
        |http: &str| routes(&format!("{{{http}, route: [{{destination: {{host: b}}}}]}}"))[0].mirrors.clone();
    assert_eq!(read("mirror: {host: b}"), [(B80.to_owned(), Percent::ALL)]);
    let exact = read("mirror: {host: b}, mirrorPercentage: {value: 12.5}");
    assert_eq!(exact, [(B80.to_owned(), Percent::new(12.5))]);
    assert_eq!(read("mirror: {host: b}, mirrorPercentage: {value: 0}"), []);
    assert_eq!(read("mirrors: [{destination: {host: b}}]"), [(B80.to_owned(), Percent::ALL)]);
}

#[test]
fn a_policy_comes_from_port_then_subset_then_rule() {
    let intent = caller(SUBSETS);
    let policy = |port: u16, subset: &str| {
        intent.clusters[&format!("outbound|{port}|{subset}|b.shop.svc.cluster.local")].policy.clone()
    };
    assert_eq!(policy(80, "").load_balancer, Some(LoadBalancer::Random));
    assert_eq!(policy(80, "v1").pool.and_then(|pool| pool.max_connections), Some(1));
    assert_eq!(policy(80, "v1").load_balancer, Some(LoadBalancer::Random));
    assert_eq!(policy(90, "v2").load_balancer, Some(LoadBalancer::RoundRobin));
    assert_eq!(policy(90, "v2").outlier, None, "a port takes nothing over");
}

#[test]
fn a_rule_of_the_callers_namespace_goes_first_and_exports_are_heeded() {
    let rule = |namespace: &str, host: &str, balancer: &str, more: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
             metadata: {{name: r-{balancer}, namespace: {namespace}}}\n\
             spec: {{host: '{host}', trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}{more}}}\n---\n"
        )
        .replace("r-RANDOM", "r1")
        .replace("r-ROUND_ROBIN", "r2")
    };
    let full = "b.shop.svc.cluster.local";
    let used = |text: String| caller(&text).clusters[B80].policy.load_balancer;
    let (random, round) = (Some(LoadBalancer::Random), Some(LoadBalancer::RoundRobin));
    let mesh_wide = rule("istio-system", "*.cluster.local", "RANDOM", "");
    assert_eq!(used(mesh_wide.clone()), random);
    assert_eq!(used(mesh_wide.clone() + &rule("shop", "b", "ROUND_ROBIN", "")), round);
    assert_eq!(used(mesh_wide.clone() + &rule("far", full, "ROUND_ROBIN", "")), random, "not ours");
    let selected = ", workloadSelector: {matchLabels: {app: z}}";
    assert_eq!(used(mesh_wide + &rule("shop", "b", "ROUND_ROBIN", selected)), random, "for other callers");
}

#[test]
fn the_narrowest_policy_says_who_may_come_in() {
    let policy = |namespace: &str, name: &str, spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
             metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n---\n"
        )
    };
    let mode = |text: &str, port: u16| {
        let mesh = mesh(text);
        let labels = [("app".to_owned(), "b".to_owned())].into();
        mesh.mtls("shop", &labels, port).0
    };
    assert_eq!(mode("", 8080), Mode::Permissive);
    let root = policy("istio-system", "default", "mtls: {mode: STRICT}");
    assert_eq!(mode(&root, 8080), Mode::Strict);
    let own = root.clone() + &policy("shop", "default", "mtls: {mode: PERMISSIVE}");
    assert_eq!(mode(&own, 8080), Mode::Permissive);
    let unset = root + &policy("shop", "default", "mtls: {mode: UNSET}");
    assert_eq!(mode(&unset, 8080), Mode::Strict, "what is not set comes from above");
    let ports = own
        + &policy(
            "shop",
            "b",
            "selector: {matchLabels: {app: b}}, mtls: {mode: STRICT}, portLevelMtls: {'9': {mode: DISABLE}}",
        );
    assert_eq!((mode(&ports, 8080), mode(&ports, 9)), (Mode::Strict, Mode::Disable));
}

#[test]
fn the_narrowest_override_says_which_metrics_are_written() {
    let telemetry = |namespace: &str, name: &str, selector: &str, overrides: &str| {
        format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n\
             metadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{{selector}metrics: [{{providers: [{{name: prometheus}}], overrides: [{overrides}]}}]}}\n---\n"
        )
    };
    let off = |text: &str, namespace: &str| {
        let labels = [("app".to_owned(), "b".to_owned())].into();
        mesh(text).disabled_metrics(namespace, &labels).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(off("", "shop"), []);
    let root = telemetry("istio-system", "default", "", "{match: {metric: ALL_METRICS}, disabled: true}");
    assert_eq!(off(&root, "shop").len(), 2 * Metric::ALL.len(), "the whole mesh");
    let own = root
        + &telemetry("shop", "default", "", "{disabled: false}, {match: {mode: SERVER}, disabled: true}");
    assert_eq!(
        off(&own, "shop"),
        Metric::ALL.map(|metric| (Reporter::Destination, metric)),
        "the namespace turns on what the mesh turned off"
    );
    assert_eq!(off(&own, "far").len(), 2 * Metric::ALL.len(), "another namespace");
    let b = "selector: {matchLabels: {app: b}}, ";
    let overrides = "{disabled: false}, {match: {metric: REQUEST_SIZE, mode: CLIENT}, disabled: true}, \
                     {match: {metric: TCP_SENT_BYTES, mode: SERVER}, disabled: true}, {match: {metric: REQUEST_COUNT}}";
    let workload = own + &telemetry("shop", "b", b, overrides);
    assert_eq!(
        off(&workload, "shop"),
        [(Reporter::Source, Metric::RequestBytes), (Reporter::Destination, Metric::TcpSent)],
        "the workload has the last word"
    );
    let gateways = telemetry("istio-system", "b", b, "{disabled: true}");
    assert_eq!(off(&gateways, "shop"), [], "a selector looks into its own namespace alone");
    assert_eq!(off(&gateways, "istio-system").len(), 2 * Metric::ALL.len());
}

#[test]
fn endpoints_are_ready_pods_at_their_target_port() {
    let mesh = mesh("");
    let mut fleet = fleet(&objects("services.yaml", SERVICES, "shop"), [10, 0]);
    let of = |fleet: &_, settings: Option<Settings>| {
        let mesh = Mesh { settings: settings.unwrap_or_default(), ..mesh.clone() };
        let intents = mesh.intents(fleet);
        let endpoints = &intents["a-v1-1.shop"].endpoints[B80];
        endpoints.iter().map(|endpoint| (endpoint.peer.workload.clone(), endpoint.port)).collect::<Vec<_>>()
    };
    let [v1, v2] = ["b-v1", "b-v2"].map(|name| (name.to_owned(), 8080));
    assert_eq!(of(&fleet, None), [v1.clone(), v2.clone()]);
    fleet.pods[1].state = State::NotReady;
    fleet.pods[2].state = State::Draining;
    assert_eq!(of(&fleet, None), []);
    let keep = Settings { keep_draining: true, ..Settings::default() };
    assert_eq!(of(&fleet, Some(keep)), [v2]);
    let identities = &mesh.intents(&fleet)["a-v1-1.shop"].clusters[B80].identities;
    assert_eq!(identities, &["spiffe://cluster.local/ns/shop/sa/bee"], "they do not depend on who is ready");
}

#[test]
fn a_pod_takes_calls_at_every_port_of_its_containers_and_services() {
    let intents = intents(&mesh(""));
    let ports = |id: &str| {
        let inbound = intents[id].inbound.iter();
        inbound.map(|port| (port.port, port.service.is_some(), port.protocol.is_http())).collect::<Vec<_>>()
    };
    assert_eq!(ports("b-v2-3.shop"), [(7, false, false), (90, true, true), (8080, true, true)]);
}

#[test]
fn tcp_is_shared_out_by_weight_too() {
    let intent = caller(
        "
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {app: b}, ports: [{name: redis, port: 6379}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: store}
spec:
  hosts: [store]
  tcp:
    - match: [{sourceLabels: {app: x}}]
      route: [{destination: {host: b}}]
    - match: [{port: 6379}]
      route: [{destination: {host: store}, weight: 1}, {destination: {host: a, port: {number: 80}}, weight: 2}]
",
    );
    let outbound = intent.outbound.iter().find(|outbound| outbound.port == 6379).expect("it is listened for");
    let store = ("outbound|6379||store.shop.svc.cluster.local".to_owned(), 1);
    let a = ("outbound|80||a.shop.svc.cluster.local".to_owned(), 2);
    assert_eq!(outbound.kind, OutboundKind::Tcp(vec![store, a]));
}

#[test]
fn a_gateway_follows_what_is_bound_to_it() {
    let mesh = mesh(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['shop.local', 'far/far.local']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: everything}
spec: {hosts: ['*'], gateways: [gateway], http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: a}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one}
spec:
  hosts: [shop.local]
  gateways: [gateway]
  http:
    - {match: [{sourceLabels: {app: x}}], route: [{destination: {host: a}}]}
    - {match: [{gateways: [gateway]}], route: [{destination: {host: b}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inside}
spec: {hosts: [b], http: [{route: [{destination: {host: a}}]}]}
",
    );
    let intents = intents(&mesh);
    let table = &intents["gateway-1.istio-system"].routes["http.80"];
    let hosts: Vec<_> = table.hosts.iter().map(|host| (host.domains.clone(), host.routes.len())).collect();
    assert_eq!(hosts, [(vec!["shop.local".to_owned()], 2)], "one host, the rules of both, in order");
    let to: Vec<_> = table.hosts[0].routes.iter().map(|route| clusters(route)[0].0.clone()).collect();
    assert_eq!(to, ["outbound|80||a.shop.svc.cluster.local", B80]);
}
