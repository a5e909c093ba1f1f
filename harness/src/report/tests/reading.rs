//! `events.jsonl` read back: whole, cut off, damaged, from another time.

use super::*;
use crate::event::SCHEMA;

#[test]
fn a_run_cut_off_at_any_byte_is_an_error_that_says_so_or_a_story_that_never_held() {
    let whole = &case("held").jsonl;
    for end in (0..whole.len() - 1).step_by(397) {
        match read(&whole.as_bytes()[..end]) {
            Ok(story) => {
                assert_ne!(story.verdict, Verdict::Held, "cut off at {end}");
                render(&story);
            }
            Err(error) => assert!(matches!(error, Error::Empty { .. }), "cut off at {end}: {error}"),
        }
    }
}

#[test]
fn a_line_cut_inside_a_letter_is_left_out() {
    let mut bytes = case("held").jsonl.clone().into_bytes();
    bytes.extend(b"{\"at\":1,\"event\":{\"warning\":{\"text\":\"\xc3");
    let story = read(&bytes).unwrap();
    assert_eq!(story.verdict, Verdict::Held);
    assert!(story.warnings[0].contains("cut off in the middle of its line"), "{:?}", story.warnings);
}

#[test]
fn a_bad_line_in_the_middle_is_an_error_with_its_number() {
    let mut lines = case("held").jsonl.lines().map(str::to_owned).collect::<Vec<_>>();
    lines[4] = "{\"at\":1}".into();
    let error = read(lines.join("\n") + "\n").unwrap_err().to_string();
    assert!(error.contains("events.jsonl:5 is no event of a run"), "{error}");
}

#[test]
fn another_schema_is_refused_by_its_number() {
    let text = case("held").jsonl.replacen("\"schema\":1", "\"schema\":99", 1);
    let error = read(text).unwrap_err().to_string();
    assert!(error.contains(&format!("schema 99, this meshquake reads {SCHEMA}")), "{error}");
}

#[test]
fn seconds_come_in_order_and_once() {
    let mut lines = case("held").jsonl.lines().map(str::to_owned).collect::<Vec<_>>();
    let at = lines.iter().position(|line| line.contains("load-second")).unwrap();
    let first = lines.remove(at);
    lines.push(first.clone());
    lines.push(first);
    let story = read(lines.join("\n") + "\n").unwrap();
    assert_eq!(story.seconds.len(), 20);
    assert!(story.seconds.is_sorted_by_key(|second| second.second));
}

#[test]
fn windows_are_as_the_design_draws_them() {
    let told = |name: &str| {
        let windows = story(case(name)).windows();
        let told = windows.iter().map(|w| {
            format!(
                "{} {}: {:.2} to {:.2}",
                w.kind.word(),
                w.action.as_deref().unwrap_or("–"),
                w.from,
                w.until
            )
        });
        told.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(told("held"), @"
    before –: 0.00 to 5.00
    during kill: 5.31 to 6.00
    recovery kill: 6.24 to 7.00
    after –: 6.24 to 20.00
    ");
    insta::assert_snapshot!(told("several-actions"), @"
    before –: 0.00 to 4.00
    during slow-inventory: 4.40 to 12.00
    during failing-payments: 5.09 to 9.00
    during kill: 5.31 to 7.00
    recovery slow-inventory: 12.24 to 13.24
    after –: 12.24 to 20.00
    ");
    insta::assert_snapshot!(told("undo-failed"), @"
    before –: 0.00 to 2.00
    during delay: 2.12 to 5.00
    ");
    insta::assert_snapshot!(told("failed"), @"run –: 0.00 to 20.00");
}

#[test]
fn a_killed_pod_is_counted_as_lost_and_its_workload_dips() {
    let story = story(case("held"));
    let pods = story.pod_stories();
    let lost = pods.iter().filter(|pod| pod.lost > 0).map(|pod| pod.last.name.as_str()).collect::<Vec<_>>();
    assert_eq!(lost, ["microservice-b-v1-7d4f9-2x"]);
    let workloads = story.workloads();
    let dipped = workloads.iter().find(|workload| workload.name == "microservice-b-v1").unwrap();
    assert_eq!(dipped.steps.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 0, 1]);
}
