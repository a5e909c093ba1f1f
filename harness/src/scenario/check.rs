//! What fits together in a scenario only as a whole: times, windows, and objectives that could never fail.

use std::time::Duration;

use meshquake_promql::Query;
use meshquake_xds::source::{Problem, Problems};

use super::{Load, Names};
use crate::action::{Action, Step};
use crate::event::{Relation, Unit};
use crate::judge::objective::{Expression, Objective, Window};

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
pub fn objective(objective: &Objective, times: &Times<'_>, names: &Names, problems: &mut Problems) {
    if let Some(problem) = never_fails(objective) {
        problems.push(problem);
    }
    let window = times.length(&objective.window);
    if let Expression::Promql(text) = &objective.expression {
        promql(objective, text, window, names, problems);
    } else if let Some(window) = window.filter(|window| *window < 2 * SCRAPE)
        && matches!(objective.expression, Expression::CrossingVersions { .. })
    {
        let title = format!(
            "the window `{}` is {}, shorter than two scrapes",
            objective.window.words(),
            shown(window)
        );
        problems.push(Problem::new(&objective.place, title));
    }
    let every = objective.every.map(|(every, _)| every);
    if every.is_some_and(|every| every < SCRAPE) {
        let title = "`every` is shorter than the second between two scrapes";
        problems.push(Problem::new(&objective.place, title).allowed("1s or longer"));
    }
}

fn promql(
    objective: &Objective,
    text: &str,
    window: Option<Duration>,
    names: &Names,
    problems: &mut Problems,
) {
    let length = window.unwrap_or(Duration::from_secs(10));
    let Ok(query) = Query::parse(&text.replace("$window", &format!("{}ms", length.as_millis()))) else {
        return;
    };
    if query.is_constant() {
        let title = format!(
            "`{}` asks for no series, so nothing in world `{}` can make it fail",
            text.trim(),
            names.world
        );
        problems.push(Problem::new(&objective.place, title));
    }
    if let (Some(window), Some(range)) = (window, query.longest_range())
        && window < range.max(2 * SCRAPE)
    {
        let title = format!(
            "the window `{}` is {}, shorter than the query's range of {} and two scrapes",
            objective.window.words(),
            shown(window),
            shown(range)
        );
        let help = "write `[$window]`, or make the window longer";
        problems.push(Problem::new(&objective.place, title).help(help));
    }
}

/// A bound that every possible value keeps.
fn never_fails(objective: &Objective) -> Option<Problem> {
    let bound = objective.bound;
    let always = match (objective.expression.unit(), bound.relation) {
        (Unit::Percent, Relation::AtLeast) => bound.value <= 0.0,
        (Unit::Percent, Relation::AtMost) => bound.value >= 1.0,
        (Unit::Percent, Relation::Below) => bound.value > 1.0,
        (Unit::Seconds | Unit::Count | Unit::PerSecond, Relation::AtLeast) => bound.value <= 0.0,
        (Unit::Seconds | Unit::Count | Unit::PerSecond, Relation::Above) => bound.value < 0.0,
        _ => false,
    };
    let infinite = !bound.value.is_finite();
    (always || infinite).then(|| {
        let title = format!(
            "`{}` cannot fail: every value is {} {}",
            objective.name,
            bound.relation.sign(),
            bound.value
        );
        Problem::new(&objective.place, title)
            .help("an objective that cannot fail proves nothing; tighten its bound")
    })
}

/// An action that changes nothing in this world, as far as that can be known before.
pub fn action(step: &Step, names: &Names, warnings: &mut Vec<String>) {
    if let Action::Kill(kill) = &step.action
        && names.deployments.iter().any(|d| kill.deployments.contains(&d.name) && d.replicas == 1)
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
