//! Objectives, steady-state checks and guards: expressions with a bound, read into checked values.

use std::time::Duration;

use meshquake_promql::Query;
use meshquake_xds::source::{Problem, Problems};

use super::names::{Names, unknown};
use crate::action::Step;
use crate::event::{Relation, Unit};
use crate::judge::objective::{Bound, Expression, Guard, NoData, Objective, Quantifier, Requests, Window};
use crate::yaml::{Fields, Node};

const EXPRESSIONS: [&str; 6] = ["success", "latency", "rate", "errors", "edges", "promql"];
const WINDOWS: [&str; 5] = ["before", "during", "after", "run", "recovery"];
const BOUNDS: [(&str, Relation); 5] = [
    ("below", Relation::Below),
    ("at-most", Relation::AtMost),
    ("above", Relation::Above),
    ("at-least", Relation::AtLeast),
    ("equals", Relation::Equal),
];

/// The default of `hold` in a recovery.
const HOLD: Duration = Duration::from_secs(3);

pub fn read(node: &Node, names: &Names, timeline: &[Step], problems: &mut Problems) -> Vec<Objective> {
    let mut objectives: Vec<Objective> = Vec::new();
    for entry in node.list(problems).unwrap_or_default() {
        let Some(objective) = read_one(entry, names, timeline, problems) else { continue };
        if let Some(other) = objectives.iter().find(|other| other.name == objective.name) {
            let title = format!("two objectives are called `{}`", objective.name);
            let help = format!("the other was written at {}", other.place);
            problems.push(Problem::new(&objective.place, title).help(help));
        }
        objectives.push(objective);
    }
    objectives
}

fn read_one(node: &Node, names: &Names, timeline: &[Step], problems: &mut Problems) -> Option<Objective> {
    let mut fields = Fields::of(node, "an objective", problems)?;
    let name = fields.required("name", problems).and_then(|name| name.words(problems)).map(str::to_owned);
    let window = fields.one_of(&WINDOWS, problems);
    fields.finish(problems);
    let (window, body) = window?;
    let mut objective = read_body(body, window, names, timeline, problems)?;
    objective.name = name?;
    objective.place = node.place.clone();
    Some(objective)
}

/// What stands under a window: an expression, its bound and their rules.
fn read_body(
    node: &Node,
    window: &str,
    names: &Names,
    timeline: &[Step],
    problems: &mut Problems,
) -> Option<Objective> {
    let mut fields = Fields::of(node, format!("`{window}`"), problems)?;
    let expression = read_expression(&mut fields, names, problems);
    let window = read_window(window, node, &mut fields, names, timeline, problems);
    let unit = expression.as_ref().map(Expression::unit);
    let bound = match (&expression, bound_of_edges(node)) {
        (Some(Expression::CrossingVersions { .. }), Some(most)) => {
            Some(Bound { relation: Relation::AtMost, value: most })
        }
        (Some(Expression::CrossingVersions { .. }), None) => None,
        _ => read_bound(&mut fields, unit, problems),
    };
    let no_data = fields.optional("no-data").and_then(|node| {
        let choices = [
            ("inconclusive", NoData::Inconclusive),
            ("fail", NoData::Fail),
            ("zero", NoData::Zero),
            ("pass", NoData::Pass),
        ];
        node.choice(&choices, problems)
    });
    let min_samples = fields.optional("min-samples").and_then(|node| node.count(0..=u32::MAX, problems));
    let every = fields.optional("every").and_then(|node| node.duration(problems));
    let quantifier = fields
        .optional("require")
        .and_then(|node| node.choice(&[("all", Quantifier::All), ("any", Quantifier::Any)], problems));
    fields.finish(problems);
    Some(Objective {
        name: String::new(),
        place: node.place.clone(),
        window: window?,
        expression: expression?,
        bound: bound?,
        no_data: no_data.unwrap_or(NoData::Inconclusive),
        min_samples: min_samples.map_or(1, u64::from),
        every: every.map(|every| (every, quantifier.unwrap_or(Quantifier::All))),
    })
}

fn read_window(
    word: &str,
    node: &Node,
    fields: &mut Fields<'_>,
    names: &Names,
    timeline: &[Step],
    problems: &mut Problems,
) -> Option<Window> {
    let action = match word {
        "during" | "recovery" => fields.optional("action").and_then(|node| {
            let action = node.text(problems)?;
            if !timeline.iter().any(|step| step.name == action) {
                let known = timeline.iter().map(|step| step.name.as_str());
                names.object(unknown(node, "action", action, "the timeline", known), problems);
            }
            Some(action.to_owned())
        }),
        _ => None,
    };
    if timeline.is_empty() && word != "run" && !names.blind {
        let problem = Problem::new(&node.place, format!("there is no window `{word}` without a timeline"));
        problems.push(problem.help("use `run`, or add an action to the timeline"));
        return None;
    }
    match word {
        "before" => Some(Window::Before),
        "during" => Some(Window::During(action)),
        "after" => Some(Window::After),
        "run" => Some(Window::Run),
        _ => {
            let within = fields.required("within", problems).and_then(|node| node.duration(problems));
            let hold = fields.optional("hold").and_then(|node| node.duration(problems)).unwrap_or(HOLD);
            Some(Window::Recovery { action, within: within?, hold })
        }
    }
}

fn read_expression(fields: &mut Fields<'_>, names: &Names, problems: &mut Problems) -> Option<Expression> {
    let (kind, node) = fields.one_of(&EXPRESSIONS, problems)?;
    match kind {
        "success" => read_requests(node, kind, names, problems).map(Expression::Success),
        "rate" => read_requests(node, kind, names, problems).map(Expression::Rate),
        "errors" => read_requests(node, kind, names, problems).map(Expression::Errors),
        "latency" => {
            let mut inner = Fields::of(node, "`latency`", problems)?;
            let of = requests(&mut inner, names, problems);
            let quantile = inner.required("quantile", problems);
            let quantile = quantile.and_then(|node| {
                let quantile = node.number(problems)?;
                if !(quantile > 0.0 && quantile < 1.0) {
                    let problem = Problem::new(&node.place, format!("`{quantile}` is no quantile"));
                    problems.push(problem.allowed("a number between 0 and 1, such as `0.99`"));
                    return None;
                }
                Some(quantile)
            });
            inner.finish(problems);
            Some(Expression::Latency { of, quantile: quantile? })
        }
        "edges" => read_edges(node, names, problems),
        _ => {
            let text = node.words(problems)?;
            read_promql(node, text, problems).then(|| Expression::Promql(text.to_owned()))
        }
    }
}

fn read_requests(node: &Node, what: &str, names: &Names, problems: &mut Problems) -> Option<Requests> {
    let mut fields = Fields::of(node, format!("`{what}`"), problems)?;
    let requests = requests(&mut fields, names, problems);
    fields.finish(problems);
    Some(requests)
}

fn requests(fields: &mut Fields<'_>, names: &Names, problems: &mut Problems) -> Requests {
    let journey = fields.optional("journey").and_then(|node| {
        let journey = node.text(problems)?;
        if !names.journeys.contains_key(journey) {
            let place = format!("the load of world `{}`", names.world);
            let known = names.journeys.keys().map(String::as_str);
            names.object(unknown(node, "journey", journey, &place, known), problems);
        }
        Some(journey.to_owned())
    });
    let request = fields.optional("request").and_then(|node| {
        let request = node.text(problems)?;
        let known = names.journeys.iter().filter(|(name, _)| journey.as_ref().is_none_or(|j| j == *name));
        let known = known.flat_map(|(_, requests)| requests).map(String::as_str).collect::<Vec<_>>();
        if !known.contains(&request) {
            names.object(unknown(node, "request", request, "these journeys", known), problems);
        }
        Some(request.to_owned())
    });
    Requests { journey, request }
}

fn read_edges(node: &Node, names: &Names, problems: &mut Problems) -> Option<Expression> {
    let mut fields = Fields::of(node, "`edges`", problems)?;
    let most = fields.required("crossing-versions", problems);
    let most = most.and_then(|node| node.count(0..=u32::MAX, problems));
    let min_requests = fields.optional("min-requests").and_then(|node| node.count(1..=u32::MAX, problems));
    fields.finish(problems);
    most?;
    if !names.edges().iter().any(|(_, _, crossing)| *crossing) {
        let title = format!("no call of world `{}` can cross versions, so this cannot fail", names.world);
        let help = "the world's `calls` must name who calls whom, and its Deployments carry at least two values of `version`";
        names.object(Problem::new(&node.place, title).help(help), problems);
        return None;
    }
    Some(Expression::CrossingVersions { min_requests: min_requests.map_or(1, u64::from) })
}

/// The bound of `edges` is inside it.
fn bound_of_edges(body: &Node) -> Option<f64> {
    match body.get("edges")?.get("crossing-versions")?.value {
        crate::yaml::Value::Int(most) => Some(most as f64),
        _ => None,
    }
}

pub fn read_bound(fields: &mut Fields<'_>, unit: Option<Unit>, problems: &mut Problems) -> Option<Bound> {
    let words = BOUNDS.map(|(word, _)| word);
    let (word, node) = fields.one_of(&words, problems)?;
    let relation = BOUNDS.iter().find(|(name, _)| *name == word).map(|(_, relation)| *relation)?;
    let value = match unit? {
        Unit::Percent => node.percent(problems)?,
        Unit::Seconds => node.duration(problems)?.as_secs_f64(),
        Unit::PerSecond => node.rate(problems)?,
        Unit::Bytes | Unit::Count | Unit::Number => node.number(problems)?,
    };
    Some(Bound { relation, value })
}

/// Whether the PromQL can be evaluated; what cannot is refused by name.
fn read_promql(node: &Node, text: &str, problems: &mut Problems) -> bool {
    // `$window` stands for a duration; which one does not matter here.
    match Query::parse(&text.replace("$window", "10s")) {
        Ok(_) => true,
        Err(refused) => {
            problems.push(Problem::new(&node.place, format!("PromQL: {refused}")).found(text.trim()));
            false
        }
    }
}

/// Checks of the steady state: like objectives, without name and window.
pub fn read_steady(node: &Node, names: &Names, timeline: &[Step], problems: &mut Problems) -> Vec<Objective> {
    let mut checks = Vec::new();
    for (index, entry) in node.list(problems).unwrap_or_default().iter().enumerate() {
        let window = if timeline.is_empty() { "run" } else { "before" };
        if let Some(mut check) = read_body(entry, window, names, timeline, problems) {
            check.window = Window::Before;
            check.name = format!("steady state {}", index + 1);
            checks.push(check);
        }
    }
    checks
}

pub fn read_guards(node: &Node, problems: &mut Problems) -> Vec<Guard> {
    let mut guards = Vec::new();
    for (index, entry) in node.list(problems).unwrap_or_default().iter().enumerate() {
        let Some(mut fields) = Fields::of(entry, "a guard", problems) else { continue };
        let name = fields.optional("name").and_then(|name| name.words(problems)).map(str::to_owned);
        let promql = fields.required("promql", problems).and_then(|node| {
            let text = node.words(problems)?;
            read_promql(node, text, problems).then(|| text.to_owned())
        });
        let bound = read_bound(&mut fields, Some(Unit::Number), problems);
        let lasts = fields.required("for", problems).and_then(|node| node.duration(problems));
        fields.finish(problems);
        let (Some(promql), Some(bound), Some(lasts)) = (promql, bound, lasts) else { continue };
        let name = name.unwrap_or_else(|| format!("guard {}", index + 1));
        guards.push(Guard { name, place: entry.place.clone(), promql, bound, lasts });
    }
    guards
}
