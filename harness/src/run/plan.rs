//! The load that a scenario asks for, as its workers carry it out.

use std::time::Duration;

use crate::event::Event;
use crate::judge::objective::Window;
use crate::load::{self, LoadPlan, Mode, Pattern, Rate};
use crate::scenario::{Arrivals, Scenario};
use crate::verdict::{Cause, CauseKind};

/// Beyond the limit of a recovery: its hold has to be seen, and the last second to be reported.
pub const MARGIN: Duration = Duration::from_secs(3);

pub fn of(scenario: &Scenario, seed: u64, entry: &str) -> Result<LoadPlan, Cause> {
    let load = &scenario.load;
    let mode = match load.arrivals {
        Arrivals::Users(users) => Mode::Closed { users },
        Arrivals::Rate { per_second, max_in_flight } => {
            let rate = Rate::of_per_second(per_second).ok_or_else(|| {
                Cause::new(
                    CauseKind::Internal,
                    format!("a load of {per_second} requests each second is not possible"),
                )
            })?;
            Mode::Open { rate, pattern: Pattern::Even, max_in_flight }
        }
    };
    // Until every recovery is decided, whatever happens before.
    let recovery = scenario.objectives.iter().map(|objective| match objective.window {
        Window::Recovery { within, hold, .. } => within + hold + MARGIN,
        _ => Duration::ZERO,
    });
    let reserve = recovery.max().unwrap_or_default();
    let length = if scenario.timeline.is_empty() {
        load.lasts
    } else {
        load.lasts + reserve + Duration::from_secs(60)
    };
    let mut plan = LoadPlan::new(entry, scenario.driven(), mode);
    plan.seed = seed;
    plan.length = length;
    plan.timeout = load.timeout;
    plan.drain = load.timeout;
    plan.hinder = load.hinder.map(|percent| load::Hinder::Cpu { percent });
    Ok(plan)
}

/// What is told of it when it begins.
pub fn started(scenario: &Scenario) -> Event {
    let (rate, users) = match scenario.load.arrivals {
        Arrivals::Rate { per_second, .. } => (Some(per_second), None),
        Arrivals::Users(users) => (None, Some(users)),
    };
    let journeys = scenario.load.journeys.keys().cloned().collect();
    Event::LoadStarted { rate, users, workers: scenario.load.workers.unwrap_or(1), journeys }
}
