//! A laptop that sleeps in the middle of a fault: everything of a run stands still for a while, and goes on.

use std::time::{Duration, Instant};

use meshquake::event::{ActionStep, Event};
use rustix::process::Signal;

use crate::bed::{AFTERLIFE, Bed, PATIENCE, Process, beside_others, cannot_run};
use crate::killed::faulty;
use crate::until::until;

/// Longer than a load worker may be silent, and than the fault lasts.
const NAP: Duration = Duration::from_secs(7);

#[test]
fn a_laptop_that_sleeps_during_a_fault() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    // The fault ends while everything sleeps.
    let mut run = bed.run("run", &faulty("5s", "10s"), &[]);
    run.wait_for_proof();
    let sleepers = bed.processes();
    // Client, supervisor, warden, load worker, six apps and seven Envoys.
    assert!(sleepers.len() >= 17, "{sleepers:?}");
    let all = |signal| sleepers.iter().filter(|process| Process::signal(process, signal)).count();
    assert_eq!(all(Signal::STOP), sleepers.len());
    let began = Instant::now();
    until("the end of the nap", PATIENCE, || match began.elapsed() {
        slept if slept >= NAP => Ok(()),
        slept => Err(format!("{slept:?}")),
    });
    assert_eq!(all(Signal::CONT), sleepers.len());

    let status = run.end(PATIENCE);
    // All that was due meanwhile is sent at once on waking, and what that breaks says nothing.
    assert_eq!(status.code(), Some(11), "{status}\n{}", run.said());
    let verified =
        |event: &Event| matches!(event, Event::Action { step: ActionStep::UndoVerified { .. }, .. });
    assert!(run.events().iter().any(verified), "no undo in {:#?}", run.events());
    let folder = run.folder().expect("a run has a folder");
    let report = std::fs::read_to_string(folder.join("report.md")).expect("a report");
    assert!(report.contains("stood still for"), "{report}");
    bed.only_left(&[], AFTERLIFE);
}
