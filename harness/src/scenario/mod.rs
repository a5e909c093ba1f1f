//! A scenario: one file that says what runs, under which load, what shakes it, and what must hold.
//!
//! ```text
//! file ──read──► Scenario (checked; every name in it exists in its world) ──run──► verdict
//! ```
//! Two kinds of value only: the file's tree with its places ([`crate::yaml`]), and what is here. All problems are
//! found at once and nothing has been started by then.

mod check;
mod expectation;
mod names;
mod objectives;
mod read;
mod timeline;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use meshquake_xds::source::Place;

use crate::action::Step;
use crate::backend::Choice;
use crate::judge::objective::{Guard, Objective};
use crate::load::Journeys;
use crate::load::journey::Journey;
use crate::world::World;
pub use expectation::{Deviation, Expectation, Expected};
pub use names::Names;
pub use read::find;

/// A checked scenario, ready to run.
pub struct Scenario {
    /// As it was named, for messages and reports.
    pub file: String,
    pub path: PathBuf,
    /// Whether the file says all of it, so that a command can run it again.
    pub of_file: bool,
    pub text: String,
    pub name: String,
    pub about: String,
    pub seed: u64,
    pub world: World,
    pub journeys: Journeys,
    pub names: Names,
    pub load: Load,
    pub steady: Vec<Objective>,
    pub timeline: Vec<Step>,
    pub guards: Vec<Guard>,
    pub objectives: Vec<Objective>,
    pub expect: Option<Expectation>,
    /// Worth saying, but no reason to refuse.
    pub warnings: Vec<String>,
}

impl Scenario {
    /// What is worth saying about it on this backend.
    pub fn doubts(&self, choice: &Choice) -> Vec<String> {
        self.warnings.iter().cloned().chain(choice.leaves_unnamed(&self.world)).collect()
    }

    /// The journeys that the load drives, each with its weight among them.
    pub fn driven(&self) -> Vec<Journey> {
        let chosen = self.journeys.0.iter().filter_map(|journey| {
            let weight = *self.load.journeys.get(&journey.name)?;
            Some(Journey { weight, ..journey.clone() })
        });
        chosen.collect()
    }
}

/// The load of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub place: Place,
    /// Journey and its weight among the others.
    pub journeys: BTreeMap<String, u32>,
    pub arrivals: Arrivals,
    pub lasts: Duration,
    /// The first part of it, which no window counts.
    pub warm_up: Duration,
    pub timeout: Duration,
    /// How many workers share the load, beside the system under test where it runs in a cluster; without it, one
    /// on this machine.
    pub workers: Option<u32>,
    /// A test aid: takes so many percent of the processor time that each worker gets.
    pub hinder: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Open loop: so many each second, whatever the system answers.
    Rate { per_second: f64, max_in_flight: u32 },
    /// Closed loop: so many users, each waiting for its answers.
    Users(u32),
}
