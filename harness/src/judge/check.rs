//! What can be said of an objective before anything runs: that it cannot fail, cannot be judged, or is blurred.

use std::collections::BTreeSet;
use std::time::Duration;

use meshquake_promql::{Query, Selector};
use meshquake_xds::source::Problem;

use super::compile::{Scene, compile};
use super::load::BUCKETS;
use super::objective::{Bound, Expression, NoData, Objective, Window};
use crate::event::Relation;

mod selectors;

use selectors::matches_nothing;

/// Everything is scraped once in this time.
const SCRAPE: Duration = Duration::from_secs(1);

/// Upper edges of the sidecars' histograms of durations, in milliseconds, as in Istio.
const SIDECAR_EDGES_MS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// What a check can know before a run.
pub struct Known<'k> {
    pub scene: &'k Scene,
    /// Names of journeys and of their requests.
    pub journeys: &'k BTreeSet<String>,
    pub requests: &'k BTreeSet<String>,
    /// Upper edges of the client's histogram, in seconds.
    pub client_edges: &'k [f64],
    /// How long the objective's window will be, where that is known.
    pub window: Option<Duration>,
}

/// Problems keep a run from starting; warnings do not.
#[derive(Debug, Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// Checks one objective; the place of each finding is the objective's.
pub fn objective(objective: &Objective, known: &Known<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut refuse = |title: String, help: &str| {
        findings.problems.push(Problem::new(&objective.place, title).help(help));
    };
    if let Some(reason) = never_fails(objective, known) {
        refuse(format!("`{}` cannot fail: {reason}", objective.name), "what cannot fail proves nothing");
        return findings;
    }
    let length = known.window.unwrap_or(Duration::from_secs(10));
    let queries = match &objective.expression {
        Expression::Promql(_) => {
            let ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 2);
            match compile(&objective.expression, known.scene, ms) {
                Ok(compiled) => compiled.texts(),
                Err(refused) => {
                    refuse(format!("PromQL: {refused}"), "see the query's text at that place");
                    return findings;
                }
            }
        }
        _ => Vec::new(),
    };
    let queries: Vec<Query> = queries.iter().filter_map(|text| Query::parse(text).ok()).collect();
    if let Some(title) = too_short(objective, known) {
        refuse(title, "make the window longer, or ask for less: `[$window]` is as long as the window");
    }
    for query in &queries {
        for selector in query.metrics() {
            if let Some(reason) = matches_nothing(selector, known) {
                let title = format!("`{selector}` can never have a sample: {reason}");
                refuse(title, "an objective on what does not exist says nothing");
            }
        }
    }
    if let Some(warning) = blurred(objective, known, &queries) {
        findings.warnings.push(Problem::new(&objective.place, warning).help("bounds on an edge are exact"));
    }
    findings
}

/// Why every value that this can have keeps the bound.
fn never_fails(objective: &Objective, known: &Known<'_>) -> Option<String> {
    let Bound { relation, value } = objective.bound;
    let least_and_greatest = match &objective.expression {
        Expression::Success(_) => (0.0, 1.0),
        Expression::Latency { .. } | Expression::Rate(_) | Expression::Errors(_) => (0.0, f64::INFINITY),
        Expression::CrossingVersions { .. } => {
            if !known.scene.edges.iter().any(|edge| edge.crossing) {
                return Some("no call of this world can cross versions".to_owned());
            }
            (0.0, f64::INFINITY)
        }
        Expression::Promql(text) => {
            let query = Query::parse(&text.replace("$window", "10s")).ok()?;
            if query.is_constant() {
                return Some(format!("`{query}` asks for no series"));
            }
            // That there is a value at all is what such an objective holds: `absent(…)`, for instance.
            if objective.no_data == NoData::Fail {
                return None;
            }
            let bounds = query.bounds();
            (bounds.least, bounds.greatest)
        }
    };
    // Infinity is no measurement, so a bound there is kept by all that are.
    let (least, greatest) = least_and_greatest;
    let always = match relation {
        Relation::Below => greatest < value || value == f64::INFINITY,
        Relation::AtMost => greatest <= value,
        Relation::Above => least > value || value == f64::NEG_INFINITY,
        Relation::AtLeast => least >= value,
        Relation::Equal => least == greatest && least == value,
    };
    let exists = match objective.expression {
        Expression::Promql(_) => "; with `no-data: fail` it would fail where there is no value",
        _ => "",
    };
    always.then(|| format!("every value is {} {value}{exists}", relation.sign()))
}

/// A window must hold the longest range, and two scrapes in any case.
fn too_short(objective: &Objective, known: &Known<'_>) -> Option<String> {
    let window = match (&objective.window, objective.every) {
        // Recovery is looked at second by second.
        (Window::Recovery { .. }, _) => return None,
        (_, Some((step, _))) => {
            let title = || format!("steps of {step:?} are shorter than the {SCRAPE:?} between two scrapes");
            return (step < SCRAPE).then(title);
        }
        (_, None) => known.window?,
    };
    let range = match &objective.expression {
        // A range of `$window` fits any window: only what is written out counts.
        Expression::Promql(text) => {
            Query::parse(&text.replace("$window", "1s")).ok().and_then(|query| query.longest_range())
        }
        _ => None,
    };
    let needed = range.unwrap_or_default().max(2 * SCRAPE);
    (window < needed).then(|| {
        let words = objective.window.words();
        format!(
            "the window `{words}` is {window:?}, shorter than the query's range and two scrapes ({needed:?})"
        )
    })
}

/// A bound on a quantile that lies between two edges of its histogram is compared with a guess.
fn blurred(objective: &Objective, known: &Known<'_>, queries: &[Query]) -> Option<String> {
    let bound = objective.bound.value;
    let client: Vec<f64> = known.client_edges.to_vec();
    let edges = match &objective.expression {
        Expression::Latency { .. } => client,
        Expression::Promql(_) => {
            let metrics =
                queries.iter().flat_map(Query::histogram_quantiles).flat_map(|(_, metrics)| metrics);
            let metric = metrics.filter_map(Selector::metric).next()?;
            match metric {
                "istio_request_duration_milliseconds_bucket" => SIDECAR_EDGES_MS.to_vec(),
                BUCKETS => client,
                _ => return None,
            }
        }
        _ => return None,
    };
    let is_edge = edges.iter().any(|edge| (edge - bound).abs() <= 1e-9 * edge.abs());
    if is_edge || edges.is_empty() {
        return None;
    }
    let below = edges.iter().copied().filter(|edge| *edge < bound).fold(0.0, f64::max);
    let above = edges.iter().copied().filter(|edge| *edge > bound).fold(f64::INFINITY, f64::min);
    Some(format!("the bound {bound} is no edge of the histogram: the nearest are {below} and {above}"))
}

#[cfg(test)]
mod tests;
