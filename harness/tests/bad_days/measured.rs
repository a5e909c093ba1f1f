//! The bench by the program: a figure is measured, written, held against an earlier one, and given up on request.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output};

use meshquake::bench::Report;
use meshquake::bench::figure::Tolerance;
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::{Bed, PATIENCE, cannot_run};
use crate::support;
use crate::until::until;

/// A bench to its end. Whether its limits are kept is the machine's affair, so it ends with 0 or with 10.
fn measured(bed: &Bed, arguments: &[&str], file: (&str, &Path)) -> Output {
    let mut command = bed.meshquake(&["bench"]);
    let output = command.args(arguments).arg(file.0).arg(file.1).output().expect("the program starts");
    assert!(matches!(output.status.code(), Some(0 | 10)), "{}", support::said(&output));
    output
}

#[test]
fn a_figure_is_written_with_its_samples_and_found_worse_than_an_earlier_one() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let out = bed.path("figures/bench.md");
    let output = measured(&bed, &["down", "--rounds", "2"], ("--out", &out));
    let json = out.with_extension("json");
    let mut report = Report::read(&json).expect("a report that can be read back");
    let names = report.figures.iter().map(|figure| (figure.name.as_str(), figure.samples.len()));
    assert_eq!(names.collect::<Vec<_>>(), [("up", 2), ("down", 2)], "{}", support::said(&output));
    let longest = PATIENCE.as_secs_f64();
    let samples = report.figures.iter().flat_map(|figure| &figure.samples);
    assert!(samples.clone().all(|took| (0.0..longest).contains(took)), "{:?}", samples.collect::<Vec<_>>());
    assert!(report.versions.iter().any(|(name, _)| name == "envoy"), "{:?}", report.versions);
    let text = std::fs::read_to_string(&out).expect("the report to read");
    assert!(text.contains("| [down](#down) |") && text.contains("bench.json"), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("median ≤ 2 s"), "{}", support::said(&output));

    // A world was once up in a microsecond.
    report.figures[0].samples = vec![1e-6];
    report.figures[0].tolerance = Tolerance { share: 0.25, slack: 0.0 };
    std::fs::write(&json, report.to_json()).expect("written");
    let output = measured(&bed, &["up", "--rounds", "1"], ("--check", &json));
    assert_eq!(output.status.code(), Some(10), "{}", support::said(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = said.lines().find(|line| line.contains("was 1e-6") || line.contains("was 1 µs"));
    // On a machine that is too busy for the limit, that is what is said first.
    let found =
        verdict.is_some_and(|line| line.starts_with("WORSE    up") || line.starts_with("MISSED   up"));
    assert!(found, "{}", support::said(&output));
    assert_eq!(Report::read(&json).expect("as it was"), report, "what is compared with is not written");
    bed.only_left(&[], PATIENCE);
}

#[test]
fn calls_are_counted_through_sidecars_and_past_them_and_beside_the_generators_of_others() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let out = bed.path("bench.md");
    let output = measured(&bed, &["added-p50", "closed-loop", "--rounds", "1"], ("--out", &out));
    let report = Report::read(&out.with_extension("json")).expect("a report that can be read back");
    let said = support::said(&output);
    // Five seconds of 200 calls a second in one lane, then in five.
    for (name, calls) in [("added-p50", 1000.0), ("added-p99", 1000.0), ("added-p50-1000", 5000.0)] {
        let figure = report.figure(name).expect("it is declared");
        let part = |name: &str| figure.parts.iter().find(|part| part.name == name);
        assert_eq!(part("calls each way").map(|part| part.samples.as_slice()), Some(&[calls][..]), "{said}");
        let quantile = name.split('-').nth(1).expect("the quantile is in the name");
        let at = |way: &str| part(&format!("{quantile} {way}")).map(|part| part.samples[0]);
        let (through, past) = (at("through both sidecars"), at("past them"));
        let added = through.zip(past).map(|(through, past)| through - past).expect("both were measured");
        // A number that went through a file may differ in its last digit.
        assert!((figure.samples[0] - added).abs() < 1e-9, "{:?}, {added}: {said}", figure.samples);
    }
    let ours = report.figure("closed-loop").expect("it is declared");
    assert!(ours.samples.len() == 1 && ours.samples[0] > 0.0, "{said}");
    for other in ["wrk", "k6"] {
        let is_there = ours.parts.iter().any(|part| part.name == other && part.samples[0] > 0.0);
        let is_missed = ours.notes.iter().any(|note| note.starts_with(&format!("{other} is not on PATH")));
        assert!(is_there != is_missed, "{other}: {ours:?}");
    }
    bed.only_left(&[], PATIENCE);
}

#[test]
fn a_figure_that_is_not_there_is_refused_before_anything_starts() {
    let bed = Bed::new();
    let output = bed.ends(&["bench", "dwon"], 2);
    assert!(support::said(&output).contains("did you mean `down`?"), "{}", support::said(&output));
    let output = bed.ends(&["bench", "down", "--check", "/no/such.json"], 2);
    assert!(
        support::said(&output).contains("there is no report /no/such.json"),
        "{}",
        support::said(&output)
    );
    assert!(bed.journals().is_empty());
}

#[test]
fn ctrl_c_while_a_world_is_measured() {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let out = bed.path("bench");
    let mut command = bed.meshquake(&["bench", "up", "--rounds", "1000", "--out"]);
    let mut bench = Bench::start(command.arg(&out), &bed.path("said"));
    until("a world on its way", PATIENCE, || {
        assert!(bench.0.try_wait().expect("looked at").is_none(), "it ended: {}", bench.said());
        if bed.journals().is_empty() { Err(bench.said()) } else { Ok(()) }
    });
    kill_process(Pid::from_child(&bench.0), Signal::INT).expect("it can be signalled");
    let status =
        until("its end", PATIENCE, || bench.0.try_wait().expect("looked at").ok_or_else(|| bench.said()));
    assert_eq!(status.code(), Some(130), "{}", bench.said());
    assert!(bench.said().contains("no report was written"), "{}", bench.said());
    assert!(!out.with_extension("json").exists());
    bed.only_left(&[], PATIENCE);
}

/// A bench under way.
struct Bench(Child, std::path::PathBuf);

impl Bench {
    fn start(command: &mut Command, said: &Path) -> Self {
        let file = File::create(said).expect("a file for what it says");
        let command = command.stdout(file.try_clone().expect("one more handle")).stderr(file);
        Self(command.spawn().expect("the program starts"), said.to_owned())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Of a failed test; one that has ended does not mind.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}
