//! The time of day is set in the middle of a run: by a minute forwards, then by two backwards.
//!
//! The machine's own clock belongs to others, so it is the program's that is set: by a library that is loaded before all
//! others and answers in the C library's place.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use meshquake::event::{Event, Phase};
use meshquake::verdict::Verdict;

use crate::bed::{AFTERLIFE, Bed, PATIENCE, Run, beside_others, cannot_run, skipped};

/// Adds to the time of day what the first line of a file says, in seconds.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("OFFSET");
    if (result == 0 && clock == CLOCK_REALTIME && path) {
        long offset = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%ld", &offset) != 1) offset = 0;
            fclose(file);
        }
        time->tv_sec += offset;
    }
    return result;
}
"#;

const SCENARIO: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: clock
about: A fault that is gone as soon as it is taken back, whatever the time of day is by then.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 30/s, for: 14s, warm-up: 500ms}
steady:
  - {success: {journey: chain}, at-least: 100%}
timeline:
  - at: 3s
    for: 8s
    abort: {service: microservice-c, status: 503, share: 50%}
guards:
  - {promql: 'sum(rate(meshquake_load_requests_total{outcome="failed"}[2s]))', above: 100, for: 2s}
objectives:
  - name: all is well before
    before: {success: {journey: chain}, at-least: 100%, min-samples: 20}
  - name: a part of the requests gets through
    during: {success: {journey: chain}, at-least: 10%, min-samples: 20}
  - name: all is well after
    after: {success: {journey: chain}, at-least: 100%, min-samples: 20}
"#;

#[test]
fn the_time_of_day_is_set_during_a_run() {
    let Some(clock) = Clock::new() else { return };
    let _shared = beside_others();
    let mut run = clock.run(SCENARIO);
    // The worker gets its start by then, or has got it.
    run.wait_for_phase(Phase::WarmUp);
    clock.set(60);
    run.wait_for_proof();
    clock.set(-60);
    ended_well(&clock.bed, &mut run);
    let held = |event: &&Event| matches!(event, Event::Judged(judged) if judged.verdict == Verdict::Held);
    assert_eq!(run.events().iter().filter(held).count(), 3, "{}", run.said());
}

/// Between the run's beginning and the load's, when the worker is only told when to begin.
#[test]
fn the_time_of_day_is_set_before_the_load_begins() {
    let Some(clock) = Clock::new() else { return };
    let _shared = beside_others();
    let mut run = clock.run(crate::killed::SHORT);
    run.wait_for_phase(Phase::Up);
    clock.set(-60);
    ended_well(&clock.bed, &mut run);
}

/// A bed with a time of day of its own.
struct Clock {
    bed: Bed,
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Nothing where it cannot be tried, which is said.
    fn new() -> Option<Self> {
        if cannot_run() {
            return None;
        }
        let bed = Bed::new();
        let library = library(&bed)?;
        let offset = bed.write("offset", "0\n");
        Some(Self { bed, library, offset })
    }

    fn run(&self, scenario: &str) -> Run {
        self.bed.run_with("run", scenario, &[], |command| {
            command.env("LD_PRELOAD", &self.library).env("OFFSET", &self.offset);
        })
    }

    fn set(&self, seconds: i64) {
        // In one step: whoever reads it finds the one or the other.
        let new = self.offset.with_extension("new");
        fs::write(&new, format!("{seconds}\n"))
            .and_then(|()| fs::rename(&new, &self.offset))
            .expect("the clock is set");
    }
}

/// With its verdict, all moments between its beginning and its end, and nothing left.
fn ended_well(bed: &Bed, run: &mut Run) {
    let status = run.end(PATIENCE);
    // A machine too busy for the load says so, and that is no failure here.
    let is_busy = status.code() == Some(11) && run.said().contains("the load generator was the bottleneck");
    assert!(status.code() == Some(0) || is_busy, "{status}\n{}", run.said());
    let times = run.records().iter().map(|record| record.at).collect::<Vec<_>>();
    let began = times.first().copied().unwrap_or_default();
    let limit = i64::try_from(PATIENCE.as_millis()).expect("a short time");
    assert!(times.iter().all(|at| (began..began + limit).contains(at)), "{times:?}");
    bed.only_left(&[], AFTERLIFE);
}

/// The library, built by the compiler that this workspace needs in any case.
fn library(bed: &Bed) -> Option<PathBuf> {
    let source = bed.write("clock.c", CLOCK);
    let library = bed.path("clock.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    match built {
        Ok(built) if built.status.success() => Some(library),
        Ok(built) => {
            skipped(&format!("no library can be built here: {}", String::from_utf8_lossy(&built.stderr)));
            None
        }
        Err(error) => {
            skipped(&format!("no `cc` here: {error}"));
            None
        }
    }
}
