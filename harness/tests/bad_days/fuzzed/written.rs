//! What people write: scenarios, the files of a world, objects of the mesh, journeys.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use meshquake::judge::{ActionMarks, Judge, Marks};
use meshquake::load::Journeys;
use meshquake::problem::Place;
use meshquake::run::{Options, facts};
use meshquake::scenario::Scenario;
use meshquake::world::World;
use meshquake_promql::Store;
use meshquake_xds::envoy::{Interception, Loopback, translate};
use meshquake_xds::intent::Fleet;
use meshquake_xds::model::{ContainerPort, Mesh, Settings, State, Workload};

use super::{Seed, counters, fuzz, is_good, seeds};
use crate::support;

#[test]
fn any_scenario_is_read_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fuzz("scenario", seeds("scenarios"), 150, move |_, bytes| {
        let file = folder.path().join("scenario.yaml");
        fs::write(&file, bytes).expect("the scenario is written");
        is_good(Scenario::from_file(&file).map(|scenario| judged(&scenario)))
    });
}

/// What was read can be told, and its objectives can be judged, over nothing and over a little.
fn judged(scenario: &Scenario) {
    let _told = facts::started(scenario, "run", scenario.seed, &Options::default());
    let actions = scenario.timeline.iter().map(|step| {
        let at = 1000 + i64::try_from(step.at.as_millis()).expect("no longer than a year");
        ActionMarks {
            name: step.name.clone(),
            asked: Some(at),
            proved: Some(at + 1),
            ..ActionMarks::default()
        }
    });
    let marks = Marks {
        load_start: 1000,
        warm_up_end: 2000,
        actions: actions.collect(),
        load_end: Some(20_000),
        ..Marks::default()
    };
    let (nothing, little) = (Store::new(), counters());
    for store in [&nothing, &little] {
        let judge = Judge { store, marks: &marks, scene: &scenario.names.scene() };
        for objective in scenario.objectives.iter().chain(&scenario.steady) {
            let judged = judge.judge(objective);
            assert!(!judged.name.is_empty(), "{judged:?}");
        }
    }
}

/// A world whose files are changed one at a time.
fn fuzz_world(target: &'static str, world: &str, few: u64, is_meant: fn(&Path) -> bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = support::root().join(world);
    let mut all = seeds(world);
    for seed in &mut all {
        let copy = folder.path().join(seed.file.strip_prefix(&at).expect("below the world"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("the folder is made");
        fs::write(&copy, &seed.text).expect("the file is written");
        seed.file = copy;
    }
    all.retain(|seed| is_meant(&seed.file));
    fuzz(target, all, few, move |seed, bytes| {
        fs::write(&seed.file, bytes).expect("the file is written");
        let overlay =
            seed.file.parent().filter(|above| above.parent().is_some_and(|all| all.ends_with("overlays")));
        let folder = overlay.unwrap_or(folder.path());
        let named = Place::new(folder.display().to_string(), 1);
        let world = World::load(&folder.display().to_string(), None, folder, &named);
        let good = is_good(world.map(|world| (world.digest(), world.edges())));
        fs::write(&seed.file, &seed.text).expect("the file is as it was");
        good
    });
}

fn is_of_the_folder(file: &Path) -> bool {
    file.ends_with("world.yaml") || file.ends_with("kustomization.yaml")
}

fn is_manifest(file: &Path) -> bool {
    !is_of_the_folder(file) && !file.parent().is_some_and(|above| above.ends_with("journeys"))
}

#[test]
fn any_world_is_read_or_refused() {
    fuzz_world("world", "services/deploy/pinning", 100, is_of_the_folder);
}

#[test]
fn any_manifest_is_read_or_refused() {
    fuzz_world("manifest", "services/deploy/pinning", 100, is_manifest);
    fuzz_world("configured", "harness/tests/fixtures/worlds/configured", 100, is_manifest);
}

/// What the mesh is made of, and what Envoys would be given.
#[test]
fn any_object_of_the_mesh_is_translated_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut all = seeds("harness/xds/tests/envoy");
    all.push(Seed { file: "policy.yaml".into(), text: POLICY.into() });
    let services = all.iter().find(|seed| seed.file.ends_with("shop.yaml")).expect("the services").clone();
    fuzz("mesh", all, 300, move |_, bytes| {
        let file = folder.path().join("objects.yaml");
        fs::write(&file, bytes).expect("the file is written");
        let (shown, text) = (file.display().to_string(), String::from_utf8_lossy(bytes));
        let parse = |text: &str, shown: &str| meshquake::yaml::parse(text, shown);
        let mut nodes = match parse(&text, &shown) {
            Ok(nodes) => nodes,
            refused => return is_good(refused),
        };
        nodes.extend(parse(&services.text, &services.file.display().to_string()).expect("good services"));
        let objects = nodes.iter().map(meshquake::yaml::Node::to_object).collect::<Vec<_>>();
        is_good(Mesh::from_objects(&objects, Settings::default()).map(|(mesh, _)| translated(&mesh)))
    });
}

const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: b, namespace: shop}
spec:
  selector: {matchLabels: {app: b}}
  action: ALLOW
  rules:
    - from:
        - source: {principals: ['*/sa/a', 'cluster.local/ns/shop/sa/*'], notNamespaces: [other], ipBlocks: [10.0.0.0/8, '::1']}
      to:
        - operation: {methods: [GET, 'PO*'], paths: ['/a/*', '/b/{*}/c', '/d/{**}'], notPaths: [/e], ports: ['8080'], hosts: ['*.shop']}
      when:
        - {key: 'request.headers[x-user]', values: [ann, 'b*'], notValues: ['*c']}
        - {key: source.namespace, values: [shop]}
";

fn translated(mesh: &Mesh) {
    let at = |third, fourth| IpAddr::V4(Ipv4Addr::new(10, 0, third, fourth));
    let pod = |(app, number): (&str, u8)| Workload {
        pod: format!("{app}-{number}"),
        namespace: "shop".into(),
        labels: [("app", app), ("version", "v1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        service_account: "default".into(),
        workload: app.into(),
        address: at(1, number),
        app_address: at(2, number),
        ports: vec![ContainerPort { name: Some("http".into()), port: 28080 }],
        state: State::Ready,
    };
    let fleet = Fleet { pods: [("a", 1), ("b", 2), ("b", 3)].map(pod).into(), gateways: vec![] };
    let vips: BTreeMap<_, _> =
        mesh.services.keys().zip(1u8..=u8::MAX).map(|(id, number)| (id.clone(), at(9, number))).collect();
    let interception = Interception::Loopback(Loopback { vips });
    for intent in mesh.intents(&fleet).into_values() {
        let _explained = intent.to_string();
        translate(&intent, &interception).expect("every service has an address");
    }
}

#[test]
fn any_journey_is_read_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut all = seeds("services/deploy/pinning/journeys");
    all.push(Seed { file: "everything.yaml".into(), text: JOURNEY.into() });
    fuzz("journey", all, 400, move |_, bytes| {
        fs::write(folder.path().join("journey.yaml"), bytes).expect("the journey is written");
        let shown = folder.path().display().to_string();
        is_good(Journeys::load(folder.path(), &shown).map(|journeys| journeys.0.iter().for_each(filled)))
    });
}

/// Every field that a journey can have.
const JOURNEY: &str = r#"apiVersion: meshquake/v1
kind: Journey
name: everything
about: All that a journey can say.
weight: 3
think: 10ms
variables:
  user: {int: [1, 500]}
  item: {one-of: [apple, pear, 3]}
steps:
  - name: login
    post: /users/{user}/login?q={item}
    headers: {x-user: "u-{user}"}
    json: {user: "{user}", items: ["{item}", {deep: [1, 2.5, null, true]}]}
    capture:
      token: {json: /session/token}
      place: {header: location}
      word: {regex: "(w.+)d"}
    check: {status: [200, 201], body: {regex: "ok|well"}}
  - name: buy
    put: /cart
    headers: {authorization: "Bearer {token}"}
    body: "{item} for {user}"
    think: 5ms
    timeout: 2s
    check: {status: 200, body: {json: {/a/0: 1, /b: text}}}
"#;

fn filled(journey: &meshquake::load::journey::Journey) {
    let mut random = meshquake::load::schedule::stream(7, 7);
    let values =
        journey.variables.iter().map(|(name, draw)| (name.clone(), draw.draw(&mut random))).collect();
    for step in &journey.steps {
        let _path = step.path.fill_path(&values);
        for header in step.headers.values() {
            let _header = header.fill(&values);
        }
        let _fault = step.check.fault(200, r#"{"a": [1, "é"]}"#);
    }
}
