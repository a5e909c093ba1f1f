//! Files with problems are refused with all of them in one report, and nothing is started or left on the disk.

use std::fs;
use std::path::Path;

use crate::bed::{Bed, cannot_run};
use crate::support;

const SCENARIO: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: wrong
about: Many things are wrong here.
sed: 7
world: {use: ./pinning}
load: {journey: chian, rate: 50/s, for: 10 sec, warm-up: 1s}
timeline:
  - at: 2s
    for: 3s
    abort: {service: microservice-d, status: 503, share: 150%}
  - at: 3s
    kill: {labels: {ap: microservice-b}}
  - at: 4s
    expolde: {labels: {app: microservice-b}}
objectives:
  - name: it works
    run: {success: {journey: chain}, at-least: 99%}
"#;

/// A bed with a copy of the pinning world in which these texts were replaced: file, old, new.
pub fn with_world(changes: &[(&str, &str, &str)]) -> Bed {
    let bed = Bed::new();
    copy(&support::root().join("services/deploy/pinning"), &bed.path("pinning"));
    for (file, old, new) in changes {
        let path = bed.path("pinning").join(file);
        let text = fs::read_to_string(&path).expect("a file of the world");
        assert!(text.contains(old), "{file} has {old}");
        fs::write(path, text.replacen(old, new, 1)).expect("the file is written");
    }
    bed
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("the file is copied");
        }
    }
}

/// What a refused command says on standard error; that it does nothing else is proved here.
fn refused(bed: &Bed, arguments: &[&str]) -> String {
    let output = bed.meshquake(arguments).current_dir(bed.path("")).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(20), "{arguments:?}: {}", support::said(&output));
    assert!(output.stdout.is_empty(), "{}", support::said(&output));
    for made in ["s", "r/meshquake", "reports", "out"] {
        assert!(!bed.path(made).exists(), "{arguments:?} has made {made}");
    }
    assert!(bed.processes().is_empty(), "{arguments:?} has started {:?}", bed.processes());
    let here = bed.path("").canonicalize().expect("the bed is there");
    let here = here.to_string_lossy();
    String::from_utf8_lossy(&output.stderr).replace(here.trim_end_matches('/'), "HERE")
}

#[test]
fn a_scenario_with_many_problems() {
    let bed = with_world(&[]);
    bed.write("wrong.yaml", SCENARIO.trim_start());
    let told = refused(&bed, &["run", "wrong.yaml", "--reports", "out"]);
    insta::assert_snapshot!(told);
    assert_eq!(refused(&bed, &["check", "wrong.yaml"]), told, "`check` says what `run` says");
}

#[test]
fn an_objective_that_cannot_fail() {
    let bed = with_world(&[]);
    let objectives = r#"objectives:
  - name: always
    run: {success: {journey: chain}, at-least: 0%}
  - name: of nothing
    run: {promql: "vector(1)", at-least: 1}
"#;
    let (head, _) = crate::killed::SHORT.split_once("objectives:").expect("it has some");
    bed.write("wrong.yaml", &(head.replace("WORLD", "./pinning").trim_start().to_owned() + objectives));
    insta::assert_snapshot!(refused(&bed, &["run", "wrong.yaml", "--reports", "out"]));
}

#[test]
fn a_journey_with_problems() {
    let bed = with_world(&[
        ("journeys/chain.yaml", "think: 0ms", "thnik: 0ms"),
        ("journeys/chain.yaml", "weight: 1", "weight: many"),
        ("journeys/chain.yaml", "status: 200", "status: 2000"),
    ]);
    bed.write("wrong.yaml", crate::killed::SHORT.replace("WORLD", "./pinning").trim_start());
    insta::assert_snapshot!(refused(&bed, &["run", "wrong.yaml", "--reports", "out"]));
}

#[test]
fn a_world_with_problems() {
    let bed = with_world(&[
        ("base/gateway.yaml", "weight: 50", "weight: -50"),
        ("base/routing.yaml", "destination: {host: microservice-c,", "destination: {host: microservice-q,"),
        ("base/routing.yaml", "- sourceLabels", "- sourceLables"),
        ("base/mtls.yaml", "kind: PeerAuthentication", "kind: EnvoyFilter"),
        ("base/microservice-c.yaml", "memory: 64Mi", "memory: 64Mibi"),
        ("world.yaml", "entry: microservice-a", "entry: microservice-aa"),
    ]);
    // The world grows, so its lines move; scenarios of this file show that lines are told.
    let told = refused(&bed, &["up", "./pinning"]);
    let lines = regex::Regex::new(r"(?m)(\.yaml:|^ +)\d+( │|$)").expect("an expression");
    insta::assert_snapshot!(lines.replace_all(&told, "${1}LINE$2"));
}

/// Each file is well by itself, but not all of them together.
#[test]
fn several_scenarios_are_checked_before_the_first_starts() {
    let bed = with_world(&[]);
    bed.write("good.yaml", crate::killed::SHORT.replace("WORLD", "./pinning").trim_start());
    bed.write("wrong.yaml", crate::killed::SHORT.replace("WORLD", "./pining").trim_start());
    insta::assert_snapshot!(refused(&bed, &["run", "good.yaml", "wrong.yaml", "--reports", "out"]));
}

/// The journal cannot be written, so nothing may be done that it would have to undo.
#[test]
fn no_place_for_the_journal() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new();
    // Also root cannot make a folder below a file.
    bed.write("s", "in the way");
    let output = bed.ends(&["up", "pinning"], 21);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("cannot create the folder") && told.contains("s/meshquake"), "{told}");
    assert!(bed.with_runtime().is_empty(), "sockets of {:?}", bed.with_runtime());
    assert!(bed.processes().is_empty(), "{:?}", bed.processes());
}
