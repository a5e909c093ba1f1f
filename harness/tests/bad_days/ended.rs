//! Asked to end in the middle of a fault: it is taken back, the report is written, and the exit code says why.

use std::process::Stdio;
use std::time::Duration;

use meshquake::clock::now;
use meshquake::event::{ActionStep, Event};
use rustix::process::Signal;

use crate::bed::{Bed, PATIENCE, Run, beside_others, cannot_run};
use crate::killed::{SHORT, long};

/// From the signal to the end of the program: 5 s are promised, and a machine busy with other things gets more.
const LIMIT: Duration = Duration::from_secs(20);
/// From the signal to the moment at which the fault is being taken back.
const AT_ONCE_MS: i64 = 5000;

#[test]
fn ctrl_c_during_a_fault() {
    by_signal(Signal::INT, 130);
}

#[test]
fn sigterm_during_a_fault() {
    by_signal(Signal::TERM, 143);
}

#[test]
fn a_hung_up_terminal_during_a_fault() {
    by_signal(Signal::HUP, 130);
}

/// It stops the waiting, not the undoing.
#[test]
fn a_second_ctrl_c_during_the_undo() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let mut run = bed.run("run", &long(), &[]);
    run.wait_for_proof();
    run.signal(Signal::INT);
    run.wait_for("the undo", |event| matches!(event, Event::Action { step: ActionStep::UndoAsked, .. }));
    run.signal(Signal::INT);
    run.signal(Signal::INT);
    let status = run.end(LIMIT);
    assert_eq!(status.code(), Some(130), "{status}\n{}", run.said());
    undone_and_reported(&bed, &run);
    bed.only_left(&[], Duration::ZERO);
}

/// In a world that is up already, so that the limit is met by the fault and not by its coming up.
#[test]
fn a_timeout_during_a_fault() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let world = bed.up();
    let before = world.virtual_services();
    let mut run = bed.run("run", &long(), &["--world-up", &world.id, "--timeout", "8s"]);
    run.wait_for_proof();
    let status = run.end(LIMIT);
    assert_eq!(status.code(), Some(14), "{status}\n{}", run.said());
    assert!(run.said().contains("the limit of 8 s for the whole run has passed"), "{}", run.said());
    undone_and_reported(&bed, &run);
    assert_eq!(world.virtual_services(), before);
    bed.only_left(&[&world], Duration::ZERO);
    bed.ends(&["down"], 0);
}

fn by_signal(signal: Signal, exit: i32) {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let mut run = bed.run("run", &long(), &[]);
    ends_at_once(&bed, &mut run, exit, |run| run.signal(signal));
}

/// During the fault, by what is done to the run.
fn ends_at_once(bed: &Bed, run: &mut Run, exit: i32, done: impl FnOnce(&mut Run)) {
    run.wait_for_proof();
    let since = now();
    done(run);
    let status = run.end(LIMIT);
    assert_eq!(status.code(), Some(exit), "{status}\n{}", run.said());
    let asked = |event: &Event| matches!(event, Event::Action { step: ActionStep::UndoAsked, .. });
    let asked = run.records().iter().find(|record| asked(&record.event)).map(|record| record.at - since);
    assert!(asked.is_some_and(|after| after < AT_ONCE_MS), "the undo was asked {asked:?} ms after");
    undone_and_reported(bed, run);
    bed.only_left(&[], Duration::ZERO);
}

/// As with `meshquake run … | head -0`: only the answer at the end finds nobody.
#[test]
fn an_answer_that_nobody_reads() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let mut run = bed.run_with("run", SHORT, &[], |command| {
        command.stdout(Stdio::piped());
    });
    drop(run.child.stdout.take());
    let status = run.end(PATIENCE);
    // A machine too busy for the load says so, and that is no failure here.
    let is_busy = status.code() == Some(11) && run.said().contains("the load generator was the bottleneck");
    assert!(status.code() == Some(0) || is_busy, "{status}\n{}", run.said());
    reported(&bed, &run);
    bed.only_left(&[], Duration::ZERO);
}

/// As with `meshquake run … 2>&1 | head -0`.
#[test]
fn an_output_that_nobody_reads() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let mut run = bed.run_with("run", &long(), &[], |command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    // Both reading ends close. Where there is no terminal the load tells a line every ten seconds only, and to notice
    // it then is too late.
    ends_at_once(&bed, &mut run, 130, |run| drop((run.child.stdout.take(), run.child.stderr.take())));
}

fn undone_and_reported(bed: &Bed, run: &Run) {
    let verified =
        |event: &Event| matches!(event, Event::Action { step: ActionStep::UndoVerified { .. }, .. });
    assert!(run.events().iter().any(verified), "no undo in {:#?}", run.events());
    reported(bed, run);
}

/// All reports are there, and `report` writes the same again, byte for byte.
fn reported(bed: &Bed, run: &Run) {
    let folder = run.folder().expect("a run has a folder");
    let reports = ["report.html", "report.md", "junit.xml"];
    let read = || reports.map(|report| std::fs::read(folder.join(report)).unwrap_or_default());
    let first = read();
    assert!(first.iter().all(|text| !text.is_empty()), "a report is missing or empty\n{}", run.said());
    for report in reports {
        std::fs::remove_file(folder.join(report)).expect("the report is removed");
    }
    bed.ends(&["report", &folder.to_string_lossy()], 0);
    for ((report, first), again) in reports.iter().zip(first).zip(read()) {
        assert!(first == again, "{report} differs when it is written again");
    }
}
