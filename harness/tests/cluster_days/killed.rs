//! Ended or killed in the middle: whoever comes next finds the cluster as it was, or brings it back.

use std::process::Command;
use std::time::Duration;

use meshquake::backend::objects::ObjectRef;
use rustix::process::Signal;

use crate::site::{Begun, ILL, PATIENCE, Site};
use crate::under_way::UnderWay;
use crate::until::until;

pub fn ctrl_c_on_the_way_up(site: &Site) {
    site.no_world();
    let mut up = half_up(site);
    up.signal(Signal::INT);
    assert_eq!(up.end(), Some(130));
    site.no_world();
}

pub fn killed_on_the_way_up(site: &Site) {
    site.no_world();
    let mut up = half_up(site);
    up.signal(Signal::KILL);
    up.end();
    // The next one finds what is left, takes it down, and has the names for itself.
    site.ends(&["up", ILL], 0);
    site.ends(&["down"], 0);
    site.no_world();
}

fn half_up(site: &Site) -> Begun {
    let mut up = site.begin(&["up", ILL]);
    let deployment = ObjectRef::new("apps/v1", "Deployment", "ill", "web");
    until("the Deployment applied", PATIENCE, || {
        assert!(up.runs(), "it ended before");
        let ending = site.namespace("ill").is_none_or(|found| found.metadata.deletion_timestamp.is_some());
        if ending || site.get(&deployment).is_none() { Err("not yet".to_owned()) } else { Ok(()) }
    });
    up
}

const LONG: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: long
about: A fault that goes on until somebody ends the run.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 20/s, for: 90s, warm-up: 1s}
timeline:
  - at: 2s
    for: 80s
    abort: {service: microservice-c, status: 503, share: 50%}
objectives:
  - name: a part of the requests gets through
    during: {success: {journey: chain}, at-least: 20%, min-samples: 10}
"#;

pub fn ctrl_c_in_warm_up(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = UnderWay::begin(site, folder.path(), "warming", &warming(), &[]);
    run.in_warm_up();
    run.begun.signal(Signal::INT);
    assert_eq!(run.begun.end(), Some(130), "{}", run.events());
    assert!(!run.file("report.html").is_empty(), "a run that is given up tells how far it came");
    site.no_world();
}

pub fn killed_in_warm_up(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = UnderWay::begin(site, folder.path(), "warming", &warming(), &[]);
    run.in_warm_up();
    run.begun.signal(Signal::KILL);
    run.begun.end();
    // Its world is nobody's any more, so the next one takes it down.
    site.ends(&["up", ILL], 0);
    assert!(site.namespace("pinning").is_none_or(|left| left.metadata.deletion_timestamp.is_some()));
    site.ends(&["down"], 0);
    site.no_world();
}

pub fn ctrl_c_in_a_fault(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = UnderWay::begin(site, folder.path(), "long", LONG, &[]);
    run.in_a_fault();
    run.begun.signal(Signal::INT);
    assert_eq!(run.begun.end(), Some(130), "{}", run.events());
    assert!(run.events().contains("undo-verified"), "the fault was taken back: {}", run.events());
    assert!(!run.file("report.html").is_empty());
    site.no_world();
}

pub fn killed_on_the_way_down(site: &Site) {
    site.no_world();
    site.ends(&["up", ILL], 0);
    let mut down = site.begin(&["down"]);
    until("on its way down", PATIENCE, || match site.namespace("ill") {
        Some(there) if there.metadata.deletion_timestamp.is_none() && down.runs() => {
            Err("it stands".to_owned())
        }
        _ => Ok(()),
    });
    down.signal(Signal::KILL);
    down.end();
    site.ends(&["up", ILL], 0);
    site.ends(&["down"], 0);
    site.no_world();
}

/// [`LONG`], with most of its load before anything is shaken.
fn warming() -> String {
    LONG.replace("warm-up: 1s", "warm-up: 60s").replace("at: 2s", "at: 70s").replace("for: 80s", "for: 10s")
}

pub fn killed_in_a_fault(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = UnderWay::begin(site, folder.path(), "long", LONG, &[]);
    run.in_a_fault();
    let route =
        ObjectRef::new("networking.istio.io/v1", "VirtualService", "pinning", "microservice-c-routing");
    let faulty = site.get(&route).expect("the route");
    assert!(faulty["spec"].to_string().contains("503"), "{faulty}");
    run.begun.signal(Signal::KILL);
    run.begun.end();
    let healed = site.ends(&["heal"], 0);
    let said = String::from_utf8_lossy(&healed.stdout);
    for part in ["VirtualService pinning/microservice-c-routing", "found:", "now:"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let whole = site.get(&route).expect("the route");
    assert!(!whole["spec"].to_string().contains("503"), "{whole}");
    assert!(String::from_utf8_lossy(&site.ends(&["heal"], 0).stdout).contains("nothing to heal"));
    site.ends(&["down"], 0);
    site.no_world();
}

const CALM: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: calm
about: Nothing of the world is shaken, but the cluster's API server is away for a while.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 10/s, for: 30s, warm-up: 1s}
timeline: []
objectives:
  - name: every line is unmixed
    run: {success: {journey: chain}, at-least: 100%, min-samples: 20}
"#;

pub fn no_api_server_for_ten_seconds(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = UnderWay::begin(site, folder.path(), "calm", CALM, &[]);
    run.under_load();
    let server = Stopped::api_server(site);
    std::thread::sleep(Duration::from_secs(10)); // that long it is away
    drop(server);
    assert_eq!(run.begun.end(), Some(0), "{}", run.events());
    site.no_world();
}

/// The API server, stopped until this is dropped.
struct Stopped(String);

impl Stopped {
    fn api_server(site: &Site) -> Self {
        let name = &site.settings.cluster.name;
        let node = match site.backend {
            "kind" => format!("{name}-control-plane"),
            _ => format!("k3d-{name}-server-0"),
        };
        let stopped = Self(node);
        stopped.signal("STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        let script = format!("pkill -{signal} -x kube-apiserver");
        let sent = Command::new("docker").args(["exec", &self.0, "sh", "-c", &script]).status();
        assert!(sent.expect("docker starts").success(), "the API server was not there");
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}
