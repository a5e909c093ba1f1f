//! `run --world-up`: the world is somebody else's. It stays, and what was done to it does not.

use std::time::Duration;

use rustix::process::Signal;

use crate::bed::{AFTERLIFE, Bed, PATIENCE, beside_others, cannot_run};
use crate::killed::{SHORT, long};
use crate::until::until;

#[test]
fn a_run_in_a_world_that_is_up_leaves_it_up() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let world = bed.up();
    let before = world.virtual_services();
    let mut run = bed.run("run", SHORT, &["--world-up", &world.id]);
    let status = run.end(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", run.said());
    assert_eq!(world.virtual_services(), before);
    world.answers_well(20);
    bed.only_left(&[&world], AFTERLIFE);
    bed.ends(&["down", "--run", &world.id], 0);
    bed.only_left(&[], AFTERLIFE);
}

#[test]
fn a_killed_client_has_its_fault_taken_back_by_the_supervisor() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let world = bed.up();
    let before = world.virtual_services();
    let mut run = bed.run("run", &long(), &["--world-up", &world.id]);
    run.wait_for_proof();
    assert_ne!(world.virtual_services(), before, "the fault is in the routes");
    run.signal(Signal::KILL);
    run.end(AFTERLIFE);

    until("the routes as before", Duration::from_secs(5), || match world.virtual_services() {
        routes if routes == before => Ok(()),
        routes => Err(format!("{routes:#?}")),
    });
    // An object is taken back a moment before the last sidecar has heard of it.
    until("no fault any more", Duration::from_secs(5), || {
        (0..20).try_for_each(|_| match world.answers()? {
            200 => Ok(()),
            other => Err(format!("{other}")),
        })
    });
    world.answers_well(50);
    bed.only_left(&[&world], AFTERLIFE);
    until("nothing open in the journal", Duration::from_secs(5), || {
        match bed.journals()[&world.id].open_intents() {
            open if open.is_empty() => Ok(()),
            open => Err(format!("{open:?}")),
        }
    });
    bed.ends(&["down", "--run", &world.id], 0);
    bed.only_left(&[], AFTERLIFE);
}
