//! Two that want the same: a stranger on a port of the world, two worlds that want 127.0.0.1:8000, two runs at once.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use meshquake::event::Event;
use meshquake::verdict::Verdict;

use crate::bed::world::status;
use crate::bed::{AFTERLIFE, Bed, beside_others, cannot_run};
use crate::nobody;
use crate::support::{self, said};

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

/// A slice that no run has, but in which somebody listens where a pod's Envoy would.
#[test]
fn a_slice_with_a_left_over_listener_is_passed_over_and_told() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let first = bed.up();
    bed.ends(&["down"], 0);
    let slice = first.slice();
    let left_over = TcpListener::bind((Ipv4Addr::new(127, slice, 1, 1), 8080)).expect("nobody listens there");
    let output = bed.ends(&["up", "pinning"], 0);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let second = bed.with_runtime().into_iter().next().expect("the second world");
    assert_ne!(bed.journals()[&second].header.slice, slice);
    if bed.journals()[&second].header.slice < slice {
        // Another run has let go of an earlier one meanwhile.
        bed.ends(&["down"], 0);
        return;
    }
    let why =
        format!("127.{slice}.0.0/16 was passed over: no run has it, but process {} (", std::process::id());
    assert!(told.contains(&why) && told.contains(&format!("listens on 127.{slice}.1.1:8080")), "{told}");
    bed.ends(&["down"], 0);
    bed.only_left(&[], AFTERLIFE);
    drop(left_over);
}

/// Two people on one machine: neither is in the way of the other, nor can end what the other has up.
#[test]
fn a_world_of_another_user() {
    if cannot_run() || nobody::cannot_be_had() {
        return;
    }
    let _shared = beside_others();
    let (bed, theirs) = (Bed::new(), Bed::new());
    let world = bed.up();
    let up = theirs.as_of_nobody(&["up", "./pinning", "--json"]).output().expect("it starts");
    assert!(up.status.success(), "{}", said(&up));
    let told: serde_json::Value = serde_json::from_slice(&up.stdout).expect("JSON");
    let url = told["urls"].as_array().and_then(|urls| urls.last()?.as_str()).expect("a URL");
    let address = url.strip_prefix("http://").expect("a URL");
    assert_ne!(address, world.address);
    assert_eq!(status(address), Ok(200), "{told}");
    world.answers_well(3);

    // Their own worlds are all that they see and end.
    let id = told["run"].as_str().expect("an id");
    let listed = theirs.as_of_nobody(&["ls"]).output().expect("it starts");
    assert!(said(&listed).contains(id) && !said(&listed).contains(&world.id), "{}", said(&listed));
    for (command, exit) in [(&["down", "--run", &world.id][..], 2), (&["heal"], 0), (&["down", "--all"], 0)] {
        let output = theirs.as_of_nobody(command).output().expect("it starts");
        assert_eq!(output.status.code(), Some(exit), "{command:?}: {}", said(&output));
    }
    world.answers_well(3);
    assert_eq!(status(address).map_err(drop), Err(()), "theirs is gone");
    bed.ends(&["down"], 0);
    bed.only_left(&[], AFTERLIFE);
}

/// As many as a shell of today has by default, twice over, for a client, its supervisor and each of its children.
#[test]
fn two_thousand_file_descriptors_are_enough() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let many = "replicas: {microservice-a: 3, microservice-b: 3, microservice-c: 3}";
    let scenario = crate::killed::SHORT.replace("{use: WORLD}", &format!("{{use: WORLD, {many}}}"));
    let mut run = bed.run_with("run", &scenario, &[], |command| {
        let arguments = command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
        let environment =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let environment = environment.collect::<Vec<_>>();
        let said = std::fs::File::create(bed.path("run.log")).expect("a file for what it says");
        *command = Command::new("sh");
        command.args(["-c", "ulimit -n 2000 && exec \"$@\"", "sh", support::MESHQUAKE]).args(arguments);
        command.envs(environment).stdout(said.try_clone().expect("one more handle")).stderr(said);
        command.current_dir(support::root()).stdin(Stdio::null());
    });
    let status = run.end(Duration::from_secs(90));
    // Eighteen pods may be more than a small machine can measure, which is told and is no failure.
    assert!(matches!(status.code(), Some(0 | 11)), "{status}\n{}", run.said());
    bed.only_left(&[], AFTERLIFE);
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
