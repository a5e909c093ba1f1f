//! Whatever stands in a file, it is read or refused: without a panic, soon, and with the place of every problem.
//!
//! The repository's own files are changed by seed and number, so each case can be repeated: `MESHQUAKE_FUZZ_SEED`,
//! `MESHQUAKE_FUZZ_FROM` and `MESHQUAKE_FUZZ_CASES`, of which there are few unless somebody asks for many.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use meshquake::judge::exposition::Pages;
use meshquake::judge::{ActionMarks, Judge, Marks};
use meshquake::load::Journeys;
use meshquake::problem::{self, Place, Problems};
use meshquake::run::{Options, facts};
use meshquake::scenario::Scenario;
use meshquake::world::World;
use meshquake_promql::{Labels, Query, Sample, Store};
use meshquake_xds::envoy::{Interception, Loopback, translate};
use meshquake_xds::intent::Fleet;
use meshquake_xds::model::{ContainerPort, Mesh, Settings, State, Workload};

use crate::mutation::Mutator;
use crate::support;

/// One case takes milliseconds. This is for a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(60);

/// Something to change, and where it lies.
#[derive(Clone)]
struct Seed {
    file: PathBuf,
    text: String,
}

impl Seed {
    fn read(file: &Path) -> Self {
        Self { file: file.to_owned(), text: fs::read_to_string(file).expect("a file of the repository") }
    }
}

/// A text on its way to its reader, for the message of whoever ends badly there.
struct Case {
    number: u64,
    file: PathBuf,
    text: String,
}

/// Gives changed seeds to `read`, which says in how many cases nothing was wrong.
fn fuzz(
    target: &'static str,
    seeds: Vec<Seed>,
    few: u64,
    mut read: impl FnMut(&Seed, &[u8]) -> bool + Send + 'static,
) {
    let seed = setting("SEED").unwrap_or(1);
    let from = setting("FROM").unwrap_or(0);
    let cases = setting("CASES").unwrap_or(few);
    let (sender, begun) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut good = 0;
        for number in from..from + cases {
            let mut mutator = Mutator::new(seed, target, number);
            let chosen = &seeds[mutator.below(seeds.len())];
            let others = seeds.iter().map(|other| other.text.as_str()).collect::<Vec<_>>();
            let bytes = mutator.change(&chosen.text, &others);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // Whoever listens is gone only when a case before took too long.
            let _unheard = sender.send(Case { number, file: chosen.file.clone(), text });
            good += u64::from(read(chosen, &bytes));
        }
        good
    });
    let mut last: Option<Case> = None;
    let mut slowest = (Duration::ZERO, from);
    let told = |case: &Option<Case>| match case {
        None => "no case".to_owned(),
        Some(Case { number, file, text }) => {
            format!("{target}, seed {seed}, case {number}, made of {}:\n{text}", file.display())
        }
    };
    loop {
        let began = Instant::now();
        let next = begun.recv_timeout(SOON);
        if let Some(case) = &last {
            slowest = slowest.max((began.elapsed(), case.number));
        }
        match next {
            Ok(case) => last = Some(case),
            Err(RecvTimeoutError::Timeout) => panic!("not read within {SOON:?}: {}", told(&last)),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let good = reader.join().unwrap_or_else(|_| panic!("the reader panicked: {}", told(&last)));
    // Mutants that are all refused at their first character would show nothing.
    assert!(good > 0 || cases < few, "{target}: none of {cases} cases was good");
    if setting("CASES").is_some() {
        tell(&format!(
            "{target}: {cases} cases, {good} good, the slowest took {:?} (case {})",
            slowest.0, slowest.1
        ));
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(format!("MESHQUAKE_FUZZ_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("MESHQUAKE_FUZZ_{name} is {text:?}, which is no number")))
}

/// Says so past the capture of the test harness.
fn tell(text: &str) {
    use std::io::Write as _;
    let _unread = writeln!(std::io::stderr(), "{text}");
}

/// Whether nothing was wrong. What was names a line that is there, and can be shown on a terminal.
fn is_good<T>(result: Result<T, Problems>) -> bool {
    let Err(problems) = result else { return true };
    assert!(!problems.is_empty(), "refused without a problem");
    for found in &problems.0 {
        assert!(!found.title.trim().is_empty(), "{found:?} says nothing");
        assert_is_there(&found.place);
    }
    let shown = problem::plain(&problems);
    let drives = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}'..='\u{202e}');
    assert!(!shown.chars().any(drives), "control characters in {shown:?}");
    false
}

fn assert_is_there(place: &Place) {
    let path = Path::new(place.file.split(" as rendered by ").next().unwrap_or_default());
    let lines = match fs::read(path) {
        Ok(_) if &*place.file != path.as_os_str() => u32::MAX,
        Ok(bytes) => String::from_utf8_lossy(&bytes).lines().count() as u32 + 1,
        Err(_) => u32::from(path.is_dir()),
    };
    assert!((1..=lines.max(1)).contains(&place.line), "{place}, and there are {lines} lines");
    assert!(path.exists(), "there is no {place}");
}

/// All `*.yaml` below a folder of the repository.
fn seeds(folder: &str) -> Vec<Seed> {
    fn collect(folder: &Path, seeds: &mut Vec<Seed>) {
        let mut paths = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect::<Vec<_>>();
        paths.sort();
        for path in paths {
            match path.extension() {
                _ if path.is_dir() => collect(&path, seeds),
                Some(end) if end == "yaml" => seeds.push(Seed::read(&path)),
                _ => {}
            }
        }
    }
    let mut all = Vec::new();
    collect(&support::root().join(folder), &mut all);
    all
}

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

/// A few counters of a few seconds.
fn counters() -> Store {
    let mut store = Store::new();
    for (code, step) in [("200", 7), ("503", 1)] {
        for name in ["istio_requests_total", "meshquake_load_requests_total", "x"] {
            let labels = Labels::named(name).with("code", code).with("reporter", "source").with("le", "0.5");
            for second in 1..20 {
                let sample = Sample { at: second * 1000, value: (second * step) as f64 };
                store.append(&labels, sample).expect("in order");
            }
        }
    }
    store
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

const QUERIES: &[&str] = &[
    r#"sum(rate(meshquake_load_requests_total{outcome="failed"}[2s]))"#,
    r#"abs(0.5 - sum(increase(istio_requests_total{reporter="source",code=~"2.."}[10s])) / sum(increase(istio_requests_total[10s])))"#,
    r#"histogram_quantile(0.99, sum by (le) (rate(x{code!="503"}[1m30s] offset 5s))) > bool 0.1"#,
    r#"topk(2, x) unless on (code) x{code!~"5.*"} or vector(0)"#,
    r#"label_replace(avg_over_time(x[5m]), "a", "$1-${b}", "code", "(?P<b>.)(.*)")"#,
    r#"-x ^ 2 % 3 * on (code) group_left (reporter) sum by (code) (x)"#,
    r#"absent(x{a='b"é'}) + clamp_max(scalar(count without (code) (x)), 1e3)"#,
];

#[test]
fn any_query_is_read_or_refused() {
    let all = QUERIES.iter().map(|text| Seed { file: "query".into(), text: (*text).into() }).collect();
    let store = counters();
    fuzz("promql", all, 3000, move |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        match Query::parse(&text) {
            Err(refused) => {
                assert!(refused.at.is_none_or(|at| at <= text.len()), "{refused}");
                assert!(!refused.what.trim().is_empty(), "{refused:?}");
                false
            }
            Ok(query) => {
                let shown = query.to_string();
                assert_eq!(Query::parse(&shown).as_ref(), Ok(&query), "{shown}");
                let bounds = query.bounds();
                assert!(bounds.least <= bounds.greatest, "{bounds:?}");
                let _either = query.evaluate(&store, 15_000);
                query.samples(&store, 15_000);
                true
            }
        }
    });
}

const PAGE: &str = r#"# HELP envoy_istio_requests_total requests
# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{reporter="source",source_workload="a-v1",response_code="200",flags="-",path="/a,b="c"\n"} 7
envoy_istio_requests_total{reporter="source",source_workload="a-v1",response_code="503",destination_principal=""} 1 1700000000000
# TYPE envoy_istio_request_duration_milliseconds histogram
envoy_istio_request_duration_milliseconds_bucket{le="0.5"} 1
envoy_istio_request_duration_milliseconds_bucket{le="+Inf"} 3
envoy_istio_request_duration_milliseconds_sum{} 4.5e3
envoy_istio_request_duration_milliseconds_count{} 3

# TYPE envoy_server_live gauge
envoy_server_live 1
process_cpu_seconds_total NaN
go_gc_duration_seconds{quantile="0.25"} 1.4e-05
"#;

#[test]
fn any_page_of_metrics_is_read_or_refused() {
    let all = vec![Seed { file: "page".into(), text: PAGE.into() }];
    // As of one target: what a page has taught must not spoil the next one.
    let mut pages = Pages::default();
    fuzz("metrics", all, 3000, move |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut read = || pages.read(&text, |_| true, |labels| labels);
        let first = read().map_err(|error| error.to_string());
        let again = read().map_err(|error| error.to_string());
        match (first, again) {
            (Ok(first), Ok(again)) => {
                let of = |readings: &[meshquake::judge::exposition::Reading]| {
                    let parts = readings
                        .iter()
                        .map(|one| (one.labels.clone(), one.value.to_bits(), one.at, one.counts));
                    parts.collect::<Vec<_>>()
                };
                assert_eq!(of(&first), of(&again), "a page means the same the second time");
                true
            }
            (Err(first), Err(again)) => {
                assert_eq!(first, again, "a page is refused for the same reason the second time");
                let line =
                    first.strip_prefix("line ").and_then(|rest| rest.split([' ', ':']).next()?.parse().ok());
                assert!(
                    line.is_some_and(|line: usize| (1..=text.lines().count()).contains(&line)),
                    "{first}"
                );
                false
            }
            (first, again) => panic!("first {first:?}, then {again:?}"),
        }
    });
}
