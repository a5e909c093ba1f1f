//! What fits together in a scenario only as a whole: times, windows, and objectives that could never fail.

use std::time::Duration;

use meshquake_xds::source::{Problem, Problems};

use super::{Load, Names};
use crate::action::{Action, Step};
use crate::judge;
use crate::judge::check::Known;
use crate::judge::objective::{Objective, Window};
use crate::load::series::EDGES_MS;

/// The interval in which everything is scraped.
const SCRAPE: Duration = Duration::from_secs(1);

/// The fixed part of a scenario that windows are made of.
pub struct Times<'s> {
    pub load: &'s Load,
    pub timeline: &'s [Step],
}

impl Times<'_> {
    /// The longest that a window can be expected to be.
    fn length(&self, window: &Window) -> Option<Duration> {
        let first = self.timeline.first().map(|step| step.at);
        match window {
            Window::Before => Some(first.unwrap_or(self.load.lasts).saturating_sub(self.load.warm_up)),
            Window::During(action) => {
                let mut steps =
                    self.timeline.iter().filter(|step| action.as_ref().is_none_or(|a| *a == step.name));
                // A kill lasts until its replacement is ready, which nobody knows before.
                if steps.clone().any(|step| step.lasts.is_none()) {
                    return None;
                }
                let from = steps.clone().map(|step| step.at).min()?;
                let to = steps.by_ref().filter_map(|step| Some(step.at + step.lasts?)).max()?;
                Some(to - from)
            }
            Window::After => {
                let last = self.timeline.iter().map(|step| step.at + step.lasts.unwrap_or_default()).max();
                Some(self.load.lasts.saturating_sub(last.unwrap_or_default()))
            }
            Window::Run => Some(self.load.lasts.saturating_sub(self.load.warm_up)),
            Window::Recovery { .. } => None,
        }
    }
}

/// Steps must lie inside the load, after its warm-up and with time for the steady state.
pub fn times(times: &Times<'_>, has_steady: bool, problems: &mut Problems) {
    let load = times.load;
    if load.warm_up >= load.lasts {
        let title =
            format!("the warm-up of {} takes all of the load's {}", shown(load.warm_up), shown(load.lasts));
        problems.push(Problem::new(&load.place, title));
    }
    for step in times.timeline {
        let end = step.at + step.lasts.unwrap_or_default();
        if step.at < load.warm_up {
            let title = format!(
                "`{}` begins at {}, inside the warm-up of {}",
                step.name,
                shown(step.at),
                shown(load.warm_up)
            );
            problems.push(Problem::new(&step.place, title));
        } else if end > load.lasts {
            let title =
                format!("`{}` ends at {}, after the load's {}", step.name, shown(end), shown(load.lasts));
            let help = "lengthen `load.for`, or let the action begin earlier or be shorter";
            problems.push(Problem::new(&step.place, title).help(help));
        }
    }
    if let Some(first) = times.timeline.first().filter(|_| has_steady) {
        let before = first.at.saturating_sub(load.warm_up);
        if before < 2 * SCRAPE {
            let title =
                format!("only {} before the first action, too little to see a steady state", shown(before));
            let help = format!("let `{}` begin at {} or later", first.name, shown(load.warm_up + 2 * SCRAPE));
            problems.push(Problem::new(&first.place, title).help(help));
        }
    }
}

/// What makes one objective impossible to judge, or impossible to fail.
pub fn objective(
    objective: &Objective,
    times: &Times<'_>,
    names: &Names,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    let scene = names.scene();
    let known = Known {
        scene: &scene,
        journeys: &names.journeys.keys().cloned().collect(),
        requests: &names.journeys.values().flatten().cloned().collect(),
        client_edges: &EDGES_MS.map(|edge| edge as f64 / 1e3),
        window: times.length(&objective.window),
    };
    let found = judge::check::objective(objective, &known);
    found.problems.into_iter().for_each(|problem| problems.push(problem));
    warnings.extend(found.warnings.iter().map(|warning| format!("{}: {}", warning.place, warning.title)));
    let every = objective.every.map(|(every, _)| every);
    if every.is_some_and(|every| every < SCRAPE) {
        let title = "`every` is shorter than the second between two scrapes";
        problems.push(Problem::new(&objective.place, title).allowed("1s or longer"));
    }
}

/// An action that changes nothing in this world, as far as that can be known before.
pub fn action(step: &Step, names: &Names, warnings: &mut Vec<String>) {
    if let Action::Kill(kill) = &step.action
        && names.deployments.iter().any(|d| kill.deployments.contains(&d.id()) && d.replicas == 1)
    {
        warnings.push(format!(
            "{}: `{}` may kill the only pod of its Deployment; until the replacement is ready nobody answers",
            step.place, step.name
        ));
    }
}

fn shown(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
