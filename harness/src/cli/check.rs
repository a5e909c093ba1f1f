//! `meshquake check`: everything that can be known without starting anything.

use clap::Args;

use super::cluster::Where;
use super::print::{answer, tell};
use super::run::read;
use crate::report::text::count;
use crate::verdict::Exit;

#[derive(Args)]
pub struct Check {
    /// Scenario files, or bare names from `scenarios/`
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    #[command(flatten)]
    place: Where,
}

impl Check {
    pub fn execute(self) -> Exit {
        let (choice, _) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        match read(&self.scenarios, &choice) {
            Err(exit) => exit,
            Ok(scenarios) => {
                for scenario in &scenarios {
                    scenario.doubts(&choice).iter().for_each(|doubt| tell(&format!("warning: {doubt}")));
                    let (steps, objectives) = (scenario.timeline.len(), scenario.objectives.len());
                    let steps = count(steps, "action", "actions");
                    let objectives = count(objectives, "objective", "objectives");
                    answer(&format!("{}: ok, {steps}, {objectives}", scenario.file));
                }
                Exit::HELD
            }
        }
    }
}
