//! Run after run: at the end the machine is as it was at the start, and a world that stays has not grown.
//!
//! A few runs in the suite. `MESHQUAKE_SOAK_RUNS=300` takes about two hours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::bed::{AFTERLIFE, Bed, PATIENCE, World, beside_others, cannot_run};
use crate::until::until;

/// A fault in the mesh and a killed pod.
const SCENARIO: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: soak
about: A fault and a killed pod.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 20/s, for: 4s, warm-up: 200ms, timeout: 2s}
timeline:
  - at: 500ms
    for: 1s
    abort: {service: microservice-c, status: 503, share: 50%}
  - at: 2s
    kill: {labels: {app: microservice-b}}
objectives:
  - name: something gets through
    run: {success: {journey: chain}, at-least: 10%, min-samples: 10}
"#;

/// Where the runs in the world that stays are kept, and those in worlds of their own.
const REPORTS: [&str; 2] = ["stays", "own"];

/// Each run of a world that stays may leave this much in its supervisor, whose history of changes is limited: events of
/// the killed pod, and what an allocator keeps.
const KIB_A_RUN: u64 = 1500;
/// What the history may take in all, and what differs by chance.
const KIB_IN_ALL: u64 = 40_000;
/// From so many runs on the history has been full for as long as it took to fill it.
const LONG: usize = 160;
/// What the supervisor's memory may differ by from one quarter of a long soak to the next.
const KIB_BY_CHANCE: u64 = 3_000;

#[test]
fn run_after_run_leaves_nothing() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let asked = std::env::var("MESHQUAKE_SOAK_RUNS").ok();
    let runs: u64 = asked.map_or(2, |runs| runs.parse().expect("MESHQUAKE_SOAK_RUNS is a number"));
    let bed = Bed::new();
    fs::create_dir(bed.path("t")).expect("a folder for what is temporary");
    let world = bed.up();
    let pods = bed.processes_of(&world.id).len();
    // Whatever is made once is there after one run.
    both(&bed, &world, 0);
    let before = left(&bed, &world, pods);
    let mut memory = Vec::new();
    for number in 1..=runs {
        both(&bed, &world, number);
        memory.push(left(&bed, &world, pods)["KiB of the supervisor"]);
    }
    grows_no_more(&memory);
    let after = left(&bed, &world, pods);
    for (what, count) in &before {
        let (count, now) = (*count, after[what]);
        let most = match *what {
            "KiB of the supervisor" => count + (KIB_A_RUN * runs).min(KIB_IN_ALL),
            // One may be on its way at the moment of the look.
            "descriptors of the supervisor" | "threads of the supervisor" => count + 8,
            "logs of worlds that are over" => (count + runs).min(21),
            "reports" => (count + 2 * runs).min(40),
            _ => count,
        };
        assert!(now <= most, "{what}: {count} before, {now} after {runs} runs: {before:#?}, {after:#?}");
    }
    bed.ends(&["down"], 0);
    bed.only_left(&[], AFTERLIFE);
    assert_eq!(entries(&bed.path("t")), 0, "temporary files");
}

/// A run in the world that stays, and beside it one in a world of its own.
fn both(bed: &Bed, world: &World, number: u64) {
    let start = |name: &str, more: &[&str]| {
        bed.run_with(name, SCENARIO, more, |command| {
            command.env("TMPDIR", bed.path("t"));
        })
    };
    for mut run in [start(REPORTS[0], &["--world-up", &world.id]), start(REPORTS[1], &[])] {
        let status = run.end(PATIENCE);
        // What a busy machine measures is of no interest here, only that everything was taken back and taken down.
        assert!(matches!(status.code(), Some(0 | 10..=13)), "run {number}: {status}\n{}", run.said());
    }
    bed.only_left(&[world], AFTERLIFE);
    world.answers_well(3);
}

/// Its memory after each run: once the history is full, it is as large as before.
fn grows_no_more(memory: &[u64]) {
    let quarter = memory.len() / 4;
    if memory.len() < LONG {
        return;
    }
    let mean = |of: &[u64]| of.iter().sum::<u64>() / of.len() as u64;
    let (third, last) = (mean(&memory[quarter * 2..quarter * 3]), mean(&memory[quarter * 3..]));
    assert!(last <= third + KIB_BY_CHANCE, "KiB of the supervisor: {third}, then {last}: {memory:?}");
}

/// What there is of everything that could be left, by what it is.
fn left(bed: &Bed, world: &World, pods: usize) -> BTreeMap<&'static str, u64> {
    // Pods that were killed have their successors by then.
    let of_world = until("as many processes as at first", PATIENCE, || match bed.processes_of(&world.id) {
        all if all.len() == pods => Ok(all),
        all => Err(format!("{all:?}")),
    });
    let supervisor = bed.journals()[&world.id].header.supervisor.pid;
    let proc = |what: &str| format!("/proc/{supervisor}/{what}");
    // Its own alone: what it shares depends on who else runs.
    let memory = fs::read_to_string(proc("smaps_rollup")).expect("the supervisor runs");
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:")?.trim().strip_suffix(" kB")?.parse().ok());
    let sockets = fs::read_to_string("/proc/net/unix").expect("the kernel's table");
    let state = bed.path("s/meshquake");
    [
        ("processes", (bed.processes().len() - of_world.len()) as u64),
        ("KiB of the supervisor", memory.expect("its memory")),
        ("descriptors of the supervisor", entries(Path::new(&proc("fd")))),
        ("threads of the supervisor", entries(Path::new(&proc("task")))),
        ("runtime folders", bed.with_runtime().len() as u64),
        ("journals", bed.journals().len() as u64),
        ("temporary files", entries(&bed.path("t"))),
        ("logs of worlds that are over", entries(&state.join("logs"))),
        ("reports", REPORTS.iter().map(|folder| entries(&bed.path(folder))).sum()),
        ("kinds of state", entries(&state)),
        ("slices", slices_of(&sockets, supervisor)),
    ]
    .into()
}

fn entries(folder: &Path) -> u64 {
    fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

/// The slices whose lock this process holds.
fn slices_of(table: &str, pid: u32) -> u64 {
    let held = fs::read_dir(format!("/proc/{pid}/fd")).expect("the supervisor runs").flatten();
    let held = held
        .filter_map(|descriptor| Some(fs::read_link(descriptor.path()).ok()?.to_string_lossy().into_owned()));
    let held: Vec<String> = held.collect();
    let locks = table.lines().filter(|line| line.contains("@meshquake-slice-"));
    let inode = |line: &str| Some(format!("socket:[{}]", line.split_ascii_whitespace().nth(6)?));
    locks.filter(|line| inode(line).is_some_and(|inode| held.contains(&inode))).count() as u64
}
