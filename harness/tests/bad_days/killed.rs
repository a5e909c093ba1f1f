//! SIGKILL, which nobody can handle: whoever is left cleans up, and nobody else is touched.

use std::time::Duration;

use meshquake::event::{Event, Phase};
use meshquake::verdict::Verdict;
use rustix::process::Signal;

use crate::bed::{AFTERLIFE, Bed, PATIENCE, World, beside_others, cannot_run, kill_supervisor};
use crate::support;
use crate::until::until;

/// A fault under load, for so long each.
pub fn faulty(fault: &str, load: &str) -> String {
    format!(
        r#"
apiVersion: meshquake/v1
kind: Scenario
name: faulty
about: Half of the calls to the last service fail.
seed: 7
world: {{use: WORLD}}
load: {{journey: chain, rate: 50/s, for: {load}, warm-up: 500ms}}
timeline:
  - at: 800ms
    for: {fault}
    abort: {{service: microservice-c, status: 503, share: 50%}}
objectives:
  - name: a part of the requests gets through
    during: {{success: {{journey: chain}}, at-least: 20%, min-samples: 10}}
"#
    )
}

/// Long enough in every phase to be met there; it goes on until somebody ends the run.
pub fn long() -> String {
    faulty("30s", "40s")
}

/// Comes to its end by itself.
pub const SHORT: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: short
about: Nothing is shaken.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 50/s, for: 2500ms, warm-up: 200ms}
timeline: []
objectives:
  - name: every line is unmixed
    run: {success: {journey: chain}, at-least: 100%, min-samples: 20}
"#;

/// One of its workers will miss.
const SHARED: &str = r#"
apiVersion: meshquake/v1
kind: Scenario
name: shared
about: Two workers have a share of the load each.
seed: 7
world: {use: WORLD}
load: {journey: chain, rate: 50/s, for: 6s, warm-up: 1s, workers: 2}
timeline: []
objectives:
  - name: both shares were sent
    run: {promql: 'sum(increase(meshquake_load_requests_total[$window]))', at-least: 245, min-samples: 2}
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Client,
    Supervisor,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Up,
    WarmUp,
    Action,
    Down,
}

const MOMENTS: [Moment; 4] = [Moment::Up, Moment::WarmUp, Moment::Action, Moment::Down];

#[test]
fn a_killed_client_takes_its_world_with_it() {
    in_every_phase(Victim::Client);
}

#[test]
fn a_killed_supervisor_leaves_nothing_but_a_journal() {
    in_every_phase(Victim::Supervisor);
}

#[test]
fn client_and_supervisor_killed_at_once_leave_nothing_but_a_journal() {
    in_every_phase(Victim::Both);
}

/// What is missed with its half of the load is nobody's failure.
#[test]
fn a_killed_load_worker_decides_nothing() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let mut run = bed.run("run", SHARED, &[]);
    run.wait_for("a second of load", |event| matches!(event, Event::LoadSecond(_)));
    let workers = bed.processes().into_iter().filter(|process| process.command.contains("load-worker"));
    let workers = workers.collect::<Vec<_>>();
    assert_eq!(workers.len(), 2, "{workers:?}");
    workers[1].kill();
    let status = run.end(PATIENCE);
    assert_eq!(status.code(), Some(11), "{status}\n{}", run.said());
    assert!(run.said().contains("was lost: "), "{}", run.said());
    let events = run.events();
    let judged = events.iter().find_map(|event| match event {
        Event::Judged(judged) => Some(judged),
        _ => None,
    });
    let judged = judged.expect("it is judged all the same");
    assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
    assert!(judged.value.is_some_and(|sent| (1.0..judged.bound).contains(&sent)), "{judged:?}");
    bed.only_left(&[], AFTERLIFE);
}

fn in_every_phase(victim: Victim) {
    if cannot_run() {
        return;
    }
    let _alone = support::under_load();
    let bed = Bed::new();
    let bystander = bed.up();
    for moment in MOMENTS {
        killed(&bed, &bystander, victim, moment);
    }
    bed.ends(&["down", "--run", &bystander.id], 0);
    bed.only_left(&[], AFTERLIFE);
}

fn killed(bed: &Bed, bystander: &World, victim: Victim, moment: Moment) {
    let scenario = if moment == Moment::Down { SHORT.to_owned() } else { long() };
    let mut run = bed.run(&format!("{moment:?}"), &scenario, &[]);
    run.wait_for_phase(Phase::Up);
    // The world is on its way from here on.
    let journal = until("a journal", PATIENCE, || bed.journal_beside(&[bystander]));
    let id = journal.header.run.clone();
    match moment {
        Moment::Up => {
            until("a process of the world", PATIENCE, || match bed.processes_of(&id).len() {
                0..4 => Err(run.said()),
                _ => Ok(()),
            });
        }
        Moment::WarmUp => run.wait_for_phase(Phase::WarmUp),
        Moment::Action => run.wait_for_proof(),
        Moment::Down => run.wait_for_phase(Phase::Down),
    }
    if victim != Victim::Client {
        kill_supervisor(&journal);
    }
    if victim != Victim::Supervisor {
        run.signal(Signal::KILL);
        run.end(AFTERLIFE);
    }

    until(&format!("all processes gone after {victim:?} was killed during {moment:?}"), AFTERLIFE, || {
        match bed.processes_of(&id) {
            left if left.is_empty() => Ok(()),
            left => Err(left.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    });
    until(
        &format!("the sockets gone after {victim:?} was killed during {moment:?}"),
        AFTERLIFE,
        || match bed.with_runtime().contains(&id) {
            true => Err(format!("{id} still has its runtime folder")),
            false => Ok(()),
        },
    );
    bystander.answers_well(5);
    if victim == Victim::Supervisor {
        // A client whose world is gone says so instead of waiting for it.
        let status = run.end(Duration::from_secs(20));
        // Killed in its last moment, it may have done its work.
        assert!(
            matches!(status.code(), Some(1 | 21 | 22)) || moment == Moment::Down,
            "{status}\n{}",
            run.said()
        );
        assert!(run.folder().is_some_and(|folder| folder.join("report.html").is_file()), "{}", run.said());
    }

    let crashed = bed.journals().contains_key(&id);
    assert!(
        crashed || victim == Victim::Client || moment == Moment::Down,
        "no journal after {victim:?} was killed during {moment:?}"
    );
    let healed = bed.ends(&["heal"], 0);
    let told = String::from_utf8_lossy(&healed.stdout);
    let expected = if crashed { format!("healed {id} (pinning)") } else { "nothing to heal".to_owned() };
    assert!(told.starts_with(&expected), "{told}");
    bed.only_left(&[bystander], Duration::ZERO);
    bystander.answers_well(5);
}
