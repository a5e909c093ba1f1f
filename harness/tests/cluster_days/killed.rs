//! Ended or killed in the middle: whoever comes next finds the cluster as it was, or brings it back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use meshquake::backend::objects::ObjectRef;
use rustix::process::Signal;

use crate::site::{Begun, ILL, PATIENCE, Site};
use crate::support;
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
    let mut run = begin(site, folder.path(), &warming());
    shows(&mut run, folder.path(), "warm-up");
    run.signal(Signal::INT);
    assert_eq!(run.end(), Some(130), "{}", events(folder.path()));
    assert!(reported(folder.path()), "a run that is given up tells how far it came");
    site.no_world();
}

pub fn killed_in_warm_up(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = begin(site, folder.path(), &warming());
    shows(&mut run, folder.path(), "warm-up");
    run.signal(Signal::KILL);
    run.end();
    // Its world is nobody's any more, so the next one takes it down.
    site.ends(&["up", ILL], 0);
    assert!(site.namespace("pinning").is_none_or(|left| left.metadata.deletion_timestamp.is_some()));
    site.ends(&["down"], 0);
    site.no_world();
}

pub fn ctrl_c_in_a_fault(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = begin(site, folder.path(), LONG);
    shows(&mut run, folder.path(), "\"proved\"");
    run.signal(Signal::INT);
    assert_eq!(run.end(), Some(130), "{}", events(folder.path()));
    let events = events(folder.path());
    assert!(events.contains("undo-verified"), "the fault was taken back: {events}");
    assert!(reported(folder.path()));
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

fn shows(run: &mut Begun, folder: &Path, what: &str) {
    until(what, PATIENCE, || {
        assert!(run.runs(), "it ended before: {}", events(folder));
        let events = events(folder);
        if events.contains(what) { Ok(()) } else { Err(events) }
    });
}

fn reported(folder: &Path) -> bool {
    let runs = fs::read_dir(folder.join("reports")).into_iter().flatten().flatten();
    runs.map(|run| run.path().join("report.html")).any(|report| report.exists())
}

pub fn killed_in_a_fault(site: &Site) {
    site.no_world();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = begin(site, folder.path(), LONG);
    shows(&mut run, folder.path(), "\"proved\"");
    let route =
        ObjectRef::new("networking.istio.io/v1", "VirtualService", "pinning", "microservice-c-routing");
    let faulty = site.get(&route).expect("the route");
    assert!(faulty["spec"].to_string().contains("503"), "{faulty}");
    run.signal(Signal::KILL);
    run.end();
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
    let mut run = begin(site, folder.path(), CALM);
    shows(&mut run, folder.path(), "load-second");
    let server = Stopped::api_server(site);
    std::thread::sleep(Duration::from_secs(10));
    drop(server);
    assert_eq!(run.end(), Some(0), "{}", events(folder.path()));
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

fn begin(site: &Site, folder: &Path, scenario: &str) -> Begun {
    let world = support::root().join("services/deploy/pinning");
    let file = folder.join("scenario.yaml");
    fs::write(&file, scenario.replace("WORLD", &world.display().to_string())).expect("written");
    let (file, reports) = (file.display().to_string(), folder.join("reports").display().to_string());
    site.begin(&["run", &file, "--reports", &reports])
}

/// What the run has told so far.
fn events(folder: &Path) -> String {
    let runs = fs::read_dir(folder.join("reports")).into_iter().flatten().flatten();
    let files = runs.map(|run| run.path().join("events.jsonl"));
    files.filter_map(|file| fs::read_to_string(file).ok()).collect()
}
