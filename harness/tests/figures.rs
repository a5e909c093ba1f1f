//! The pinning world by the library: what must hold of every request, and the figures beside it.
//!
//! Nothing here asserts on time. The figures are printed; `cargo test --test figures -- --nocapture` shows them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are for whoever reads the test's output"
)]

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "this suite needs only a part of what the suites share")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshquake::backend::cluster::Begun;
use meshquake::backend::cluster::settings::Settings;
use meshquake::backend::local::verbs::Verbs;
use meshquake::backend::local::worlds;
use meshquake::backend::objects::FIELD_MANAGER;
use meshquake::backend::{self, Backend, Choice, Site};
use meshquake::problem::Place;
use meshquake::world::World;
use meshquake::yaml;

const V1: &str = "Microservice A v1 -> Microservice B v1 -> Microservice C v1";
const V2: &str = "Microservice A v2 -> Microservice B v2 -> Microservice C v2";
/// The header by which the route itself says which subset it leads to.
const ROUTED_TO: &str = "x-routed-to";

struct Up {
    backend: Backend,
    verbs: Verbs,
    _folder: tempfile::TempDir,
    _alone: std::fs::File,
}

/// The pinning world, or nothing where no Envoy can be had.
async fn pinning() -> Option<Up> {
    if let Some(why) = support::no_envoy() {
        eprintln!("skipped: {why}");
        return None;
    }
    let alone = support::under_load();
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::new("test", 1);
    let world =
        World::load("pinning", None, Path::new(env!("CARGO_MANIFEST_DIR")), &place).expect("the world");
    let images = backend::build(&Choice::Local, &world, |_| {}).await.expect("the shop builds");
    let site = Site {
        world: &world,
        images: &images,
        folder: folder.path(),
        on_localhost: false,
        workers: false,
        settings: &Settings::default(),
        begun: &Begun::default(),
    };
    let backend = Backend::up(&Choice::Local, site, &|_| {}).await.expect("the world is up");
    let verbs = worlds::choose(Some(backend.id())).await.expect("the world is known").verbs;
    Some(Up { backend, verbs, _folder: folder, _alone: alone })
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client")
}

async fn get(client: &reqwest::Client, url: &str) -> (u16, String) {
    let answer = client.get(url).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_requests_none_is_mixed_and_each_version_gets_its_half() {
    const REQUESTS: usize = 10_000;
    let Some(up) = pinning().await else { return };
    let url = Arc::new(up.backend.entry().to_owned());
    let began = Instant::now();
    let mut asking = Vec::new();
    for _ in 0..20 {
        let url = url.clone();
        asking.push(tokio::spawn(async move {
            let client = client();
            let mut lines = BTreeMap::<(u16, String), usize>::new();
            for _ in 0..REQUESTS / 20 {
                *lines.entry(get(&client, &url).await).or_default() += 1;
            }
            lines
        }));
    }
    let mut lines = BTreeMap::<(u16, String), usize>::new();
    for asked in asking {
        for (line, count) in asked.await.expect("all were asked") {
            *lines.entry(line).or_default() += count;
        }
    }
    let took = began.elapsed();
    up.backend.down().await.expect("down");
    let of = |line: &str| lines.get(&(200, line.to_owned())).copied().unwrap_or(0);
    println!("{REQUESTS} requests in {took:.1?}; v1 {:.2} %", of(V1) as f64 / REQUESTS as f64 * 100.0);
    assert_eq!(of(V1) + of(V2), REQUESTS, "only unmixed lines with 200: {lines:?}");
    // Four standard deviations of a fair coin: one run of 16,000 would miss it by chance.
    let share = of(V1) as f64 / REQUESTS as f64;
    assert!((0.48..=0.52).contains(&share), "v1 got {share}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_change_is_applied_no_request_sees_the_old() {
    const CHANGES: usize = 100;
    let Some(up) = pinning().await else { return };
    let url = up.backend.entry().to_owned();
    let kept = client();
    // The probe has its connection before the clock starts: what it costs to make one is not the mesh's time.
    let probing = client();
    let mut first_seen = Vec::new();
    let mut returned = Vec::new();
    let mut stale = 0;
    // From here on every change is one from all to none.
    apply(&up, "v2").await;
    get(&probing, &url).await;
    let short = format!("{url}/health");
    for change in 0..CHANGES {
        let (subset, line) = if change % 2 == 0 { ("v1", V1) } else { ("v2", V2) };
        let began = Instant::now();
        let probe = tokio::spawn(probe(probing.clone(), short.clone(), subset, began));
        apply(&up, subset).await;
        returned.push(began.elapsed());
        for request in 0..10 {
            let answer = if request % 2 == 0 { get(&kept, &url).await } else { get(&client(), &url).await };
            stale += usize::from(answer != (200, line.to_owned()));
        }
        first_seen.extend(probe.await.expect("the probe ends"));
    }
    up.backend.down().await.expect("down");
    println!("apply to the first request that sees it: {}", quantiles(&mut first_seen));
    println!("apply to every proxy has acknowledged:  {}", quantiles(&mut returned));
    assert_eq!(stale, 0, "of {} requests after apply had returned", CHANGES * 10);
    assert_eq!(first_seen.len(), CHANGES, "every change was seen");
}

/// Asks again and again on one connection; tells when the first request was sent that saw the new. It asks what the
/// first hop answers alone: how long a request through the whole chain takes is not the time of the change.
async fn probe(
    client: reqwest::Client,
    url: String,
    subset: &'static str,
    began: Instant,
) -> Option<Duration> {
    const LIMIT: Duration = Duration::from_secs(10);
    while began.elapsed() < LIMIT {
        let sent = began.elapsed();
        let answer = client.get(&url).send().await.expect("an answer");
        if answer.headers().get(ROUTED_TO).is_some_and(|value| value == subset) {
            return Some(sent);
        }
        // A pace that leaves the processors to those who are asked.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

async fn apply(up: &Up, subset: &str) {
    let objects = yaml::parse(&only(subset), "test").expect("the object");
    let objects = objects.iter().map(yaml::Node::to_object).collect::<Vec<_>>();
    up.verbs.apply(&objects, FIELD_MANAGER, true).await.expect("applied");
    up.verbs.converged(Duration::from_secs(10)).await.expect("every proxy has it");
}

fn only(subset: &str) -> String {
    let rest = if subset == "v1" { "v2" } else { "v1" };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: microservice-a, namespace: pinning}}\n\
         spec:\n  hosts: ['*']\n  gateways: [gateway]\n  http:\n    - headers: {{response: {{set: {{{ROUTED_TO}: {subset}}}}}}}\n      route:\n        \
         - {{destination: {{host: microservice-a, subset: {subset}}}, weight: 100}}\n        \
         - {{destination: {{host: microservice-a, subset: {rest}}}, weight: 0}}\n"
    )
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    format!("median {:.1?}, p95 {:.1?}, longest {:.1?}", at(0.5), at(0.95), at(1.0))
}
