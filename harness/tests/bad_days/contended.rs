//! Two that want the same: a stranger on a port of the world, two worlds that want 127.0.0.1:8000, two runs at once.

use std::net::TcpListener;
use std::time::Duration;

use meshquake::event::Event;
use meshquake::verdict::Verdict;

use crate::bed::{AFTERLIFE, Bed, cannot_run, status};
use crate::support;

#[test]
fn a_stranger_on_a_port_of_the_world_is_named() {
    if cannot_run() {
        return;
    }
    // Nobody else starts a world while the port is ours.
    let _alone = support::under_load();
    let stranger = TcpListener::bind("0.0.0.0:8080").expect("port 8080 is free");
    let bed = Bed::new();
    let output = bed.ends(&["up", "pinning"], 21);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let holder = format!("is taken: process {} (", std::process::id());
    for part in [":8080", &holder, "listens on 0.0.0.0:8080, which is every address of this machine"] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    bed.only_left(&[], AFTERLIFE);
    drop(stranger);
}

#[test]
fn a_second_world_has_its_own_url_and_says_so() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    // Where a stranger has the port already, both worlds say so.
    let is_free = TcpListener::bind("127.0.0.1:8000").is_ok();
    let holder = if is_free { "another run of meshquake publishes it" } else { "process " };
    let bed = Bed::new();
    let first = bed.up();
    let output = bed.ends(&["up", "pinning"], 0);
    let (urls, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let urls = urls.lines().collect::<Vec<_>>();
    assert!(told.contains(&format!("127.0.0.1:8000 is taken: {holder}")), "{told}");
    assert_eq!(urls.len(), 1, "{urls:?}");
    let own = urls[0].strip_prefix("http://").expect("a URL");
    assert!(!own.starts_with("127.0.0.1:") && own != first.address, "{own} beside {}", first.address);
    first.answers_well(5);
    assert_eq!(status(own), Ok(200), "{own}");

    // Which one is meant must be said.
    bed.ends(&["down"], 2);
    bed.ends(&["down", "--all"], 0);
    bed.only_left(&[], AFTERLIFE);
}

#[test]
fn two_runs_of_the_same_scenario_at_once() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let scenario = std::fs::read_to_string(support::root().join("scenarios/version-pinning.yaml"));
    let scenario = scenario.expect("the scenario").replace("use: pinning", "use: WORLD");
    let mut runs = ["one", "two"].map(|name| bed.run(name, &scenario, &[]));
    for run in &mut runs {
        let status = run.end(Duration::from_secs(90));
        // Two at once may be more load than a small machine can measure, which is told and is no failure.
        assert!(matches!(status.code(), Some(0 | 11)), "{status}\n{}", run.said());
        let events = run.events();
        let held = |name: &str| {
            let judged = |event: &&Event| matches!(event, Event::Judged(judged) if judged.name == name);
            match events.iter().find(judged) {
                Some(Event::Judged(judged)) => judged.verdict == Verdict::Held,
                _ => false,
            }
        };
        for objective in ["v1 never met v2", "every line is unmixed"] {
            assert!(held(objective), "{objective}\n{}", run.said());
        }
    }
    bed.only_left(&[], AFTERLIFE);
}
