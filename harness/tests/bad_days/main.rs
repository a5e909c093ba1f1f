//! What must not go wrong: the real program, real Envoys, and a bad day.
//!
//! Each test has folders of its own for state, sockets and reports, so none sees another's journals. Where worlds
//! cannot run, a test prints why and passes; `MESHQUAKE_REQUIRE=envoy` makes that a failure.

#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/until.rs"]
mod until;

// The folders of one test, what runs in them, and what is left.
mod bed;

// Client, supervisor or both are killed with SIGKILL, in every phase of a run.
mod killed;

// SIGINT, SIGTERM and a closed pipe: undone, reported, right exit code.
mod ended;

// Runs in a world that somebody else has brought up.
mod joined;

// Files with problems: all of them in one report, and nothing started.
mod refused;

// Apps that die, never get ready, or listen where nobody looks for them.
mod ill;

// What two worlds, or a world and a stranger, both want.
mod contended;

// Changes of a world that is up which do not go as meant.
mod changed;

// A disk that runs full in the middle of a run.
mod full;

// The time of day is set in the middle of a run.
mod clocks;

// Everything stands still for a while, as on a laptop that sleeps.
mod asleep;

// No home, no place for what is fetched, nothing to fetch it with.
mod homeless;

// Secrets, and what other users of the machine can reach; threads that are such a user.
mod nobody;
mod private;

// Run after run, and what is left of them.
mod soak;

// The bench, as the program does it, and Ctrl-C in the middle of it.
mod measured;

// Changed files of every kind, by the thousand: read or refused, soon and with a place.
mod fuzzed;
mod mutation;
