//! Whether versions kept to themselves: no call crossed, every expected call was seen, and every answer was a 200.

use std::collections::BTreeMap;

use meshquake_promql::{Labels, Query, Value};

use super::judging::Judge;
use super::objective::{Expression, Objective};
use super::verdict::{self, Finding, Measured, Named};
use crate::verdict::Verdict;

/// The queries of `edges`.
pub(super) struct Seen<'q> {
    pub crossed: &'q [Query],
    pub expected: &'q Query,
    pub errors: &'q Query,
}

pub(super) fn decide(judge: &Judge<'_>, objective: &Objective, seen: &Seen<'_>, at: i64) -> Finding {
    match read(judge, seen, at) {
        Ok(counts) => weigh(judge, objective, &counts),
        Err(error) => Finding::inconclusive(error.to_string()),
    }
}

/// Requests by edge.
struct Counts {
    crossed: Vec<(Labels, f64)>,
    expected: BTreeMap<(String, String), f64>,
    errors: Vec<(Labels, f64)>,
}

fn read(judge: &Judge<'_>, seen: &Seen<'_>, at: i64) -> Result<Counts, meshquake_promql::Error> {
    let elements = |query: &Query| {
        Ok(match query.evaluate(judge.store, at)? {
            Value::Vector(elements) => elements,
            Value::Scalar(value) => vec![(Labels::new(), value)],
        })
    };
    let mut crossed = Vec::new();
    for query in seen.crossed {
        crossed.extend(elements(query)?.into_iter().filter(|(_, count)| *count > 0.0));
    }
    let key = |labels: &Labels| {
        (labels.get("source_workload").to_owned(), labels.get("destination_workload").to_owned())
    };
    let expected =
        elements(seen.expected)?.into_iter().map(|(labels, count)| (key(&labels), count)).collect();
    let errors = elements(seen.errors)?.into_iter().filter(|(_, count)| *count > 0.0).collect();
    Ok(Counts { crossed, expected, errors })
}

fn weigh(judge: &Judge<'_>, objective: &Objective, counts: &Counts) -> Finding {
    let Expression::CrossingVersions { min_requests } = objective.expression else {
        return Finding::inconclusive("this is no objective on edges");
    };
    let crossed: f64 = counts.crossed.iter().map(|(_, count)| count).sum();
    let expected = judge.scene.edges.iter().filter(|edge| !edge.crossing).map(|edge| {
        let key = (edge.source.clone(), edge.destination.clone());
        let count = counts.expected.get(&key).copied().unwrap_or(0.0);
        (edge, count)
    });
    let expected: Vec<_> = expected.collect();
    let samples = expected.iter().map(|(_, count)| *count as u64).sum::<u64>() + crossed as u64;
    // Whatever else is missing: what was seen to cross has crossed.
    if !objective.bound.relation.holds(crossed, objective.bound.value) {
        let reason = format!("crossed versions: {}", listed(&counts.crossed));
        return Finding { verdict: Verdict::Failed, value: Some(crossed), samples, reason };
    }
    if !counts.errors.is_empty() {
        let reason = format!("answers other than 200: {}", listed(&counts.errors));
        return Finding { verdict: Verdict::Failed, value: Some(crossed), samples, reason };
    }
    let short: Vec<String> = expected
        .iter()
        .filter(|(_, count)| *count < min_requests.max(1) as f64)
        .map(|(edge, count)| format!("{} → {} had {count} requests", edge.source, edge.destination))
        .collect();
    if expected.is_empty() || !short.is_empty() {
        let missing = if expected.is_empty() {
            "the world has no call within a version".into()
        } else {
            short.join(", ")
        };
        let reason = format!("no data: {missing}; {} are needed of each call", min_requests.max(1));
        let found = verdict::decide(&Measured::Nothing(reason), objective.bound, objective.no_data, 0);
        return Finding { samples, ..found };
    }
    let values = vec![Named::plain(crossed)];
    verdict::decide(
        &Measured::Values { values, samples },
        objective.bound,
        objective.no_data,
        objective.min_samples,
    )
}

/// `a-v1 → b-v2 (503) ×4, …`
fn listed(edges: &[(Labels, f64)]) -> String {
    const MOST: usize = 5;
    let one = |(labels, count): &(Labels, f64)| {
        let code = labels.get("response_code");
        let code = if code.is_empty() { String::new() } else { format!(" ({code})") };
        format!("{} → {}{code} ×{count}", labels.get("source_workload"), labels.get("destination_workload"))
    };
    let shown = edges.iter().take(MOST).map(one).collect::<Vec<_>>().join(", ");
    match edges.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
