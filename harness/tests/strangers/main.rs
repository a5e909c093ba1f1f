//! What somebody finds who has never seen the repository: the installed program, the tutorial, other people's programs,
//! and the library in a package of their own.
//!
//! Where something that a test needs is not there, it prints why and passes; `MESHQUAKE_REQUIRE=envoy` makes a missing
//! Envoy a failure, `MESHQUAKE_REQUIRE=install` runs `cargo install` too, which compiles everything once more.

#[path = "../bad_days/bed/mod.rs"]
#[expect(dead_code, reason = "of a test's own place this suite needs only a part")]
mod bed;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/until.rs"]
mod until;

// An empty home, the program on PATH, and no repository.
mod stranger;

// A shell that runs one command after the other, and what a page promises of each.
mod console;

// `docs/tutorial.md`, with a world of two programs that are not ours.
mod tutorial;

// A package outside this workspace whose tests use the library.
mod library;

// Completions and manual pages.
mod shells;
