//! What a scenario says of its own outcome, and how a run deviates from it.
//!
//! A known-bad scenario names each objective that fails, its bound and why; everything else must have held.

use std::fmt;

use meshquake_xds::source::{Place, Problem, Problems};

use super::names::unknown;
use crate::event::Judged;
use crate::judge::objective::{Bound, Objective};
use crate::verdict::Verdict;
use crate::yaml::{Fields, Node};

#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    pub verdict: Verdict,
    /// Why this outcome is right.
    pub why: String,
    pub objectives: Vec<Expected>,
}

/// An objective that is expected not to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub objective: String,
    pub verdict: Verdict,
    /// What the measured value must at least be like, so that it fails for the right reason.
    pub value: Option<Bound>,
    pub why: String,
}

/// A difference between what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation(pub String);

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Expectation {
    /// What a scenario without `expect:` expects.
    pub fn held() -> Self {
        Self { verdict: Verdict::Held, why: String::new(), objectives: vec![] }
    }

    /// Every deviation; none means that the run went as expected.
    pub fn compare(&self, verdict: Verdict, judged: &[Judged]) -> Vec<Deviation> {
        let mut deviations = Vec::new();
        if verdict != self.verdict {
            deviations.push(Deviation(format!("the verdict is {verdict}, {} was expected", self.verdict)));
        }
        for found in judged {
            let expected = self.objectives.iter().find(|expected| expected.objective == found.name);
            match expected {
                // A run that ends early judges what it can; only its verdict was promised.
                None if found.verdict != Verdict::Held && self.judges_all() => {
                    let text = format!(
                        "`{}` was expected to hold and is {}: {}",
                        found.name, found.verdict, found.reason
                    );
                    deviations.push(Deviation(text));
                }
                Some(expected) => expected.compare(found, &mut deviations),
                None => {}
            }
        }
        for expected in &self.objectives {
            if !judged.iter().any(|found| found.name == expected.objective) {
                let text =
                    format!("`{}` was not judged, {} was expected", expected.objective, expected.verdict);
                deviations.push(Deviation(text));
            }
        }
        deviations
    }

    fn judges_all(&self) -> bool {
        matches!(self.verdict, Verdict::Held | Verdict::Failed | Verdict::Inconclusive)
            && (self.verdict != Verdict::Inconclusive || !self.objectives.is_empty())
    }
}

impl Expected {
    fn compare(&self, found: &Judged, deviations: &mut Vec<Deviation>) {
        if found.verdict != self.verdict {
            let text = format!(
                "`{}` is {}, {} was expected: {}",
                found.name, found.verdict, self.verdict, found.reason
            );
            deviations.push(Deviation(text));
        } else if let Some(bound) = &self.value
            && !found.value.is_some_and(|value| bound.relation.holds(value, bound.value))
        {
            let value = found.value.map_or("no value".into(), |value| value.to_string());
            let text = format!(
                "`{}` is {} as expected, but its value is {value}, {} {} was expected",
                found.name,
                found.verdict,
                bound.relation.sign(),
                bound.value
            );
            deviations.push(Deviation(text));
        }
    }
}

pub fn read(node: &Node, objectives: &[Objective], problems: &mut Problems) -> Option<Expectation> {
    let mut fields = Fields::of(node, "`expect`", problems)?;
    let verdict = fields.required("verdict", problems).and_then(|node| {
        let choices = Verdict::ALL.map(|verdict| (verdict.word(), verdict));
        node.choice(&choices, problems)
    });
    let why = fields.required("why", problems).and_then(|node| node.words(problems)).map(str::to_owned);
    let mut expected = Vec::new();
    for (field, verdict) in [("fails", Verdict::Failed), ("inconclusive", Verdict::Inconclusive)] {
        let Some(list) = fields.optional(field) else { continue };
        for entry in list.list(problems).unwrap_or_default() {
            expected.extend(read_expected(entry, verdict, objectives, problems));
        }
    }
    fields.finish(problems);
    let verdict = verdict?;
    check(&node.place, verdict, &expected, problems);
    Some(Expectation { verdict, why: why?, objectives: expected })
}

fn check(place: &Place, verdict: Verdict, expected: &[Expected], problems: &mut Problems) {
    let fails = expected.iter().any(|expected| expected.verdict == Verdict::Failed);
    if verdict == Verdict::Failed && !fails {
        let problem = Problem::new(place, "`verdict: failed` without an objective that fails");
        problems.push(problem.help("name each under `fails:`, so that the run fails for the right reason"));
    }
    if verdict == Verdict::Held && !expected.is_empty() {
        problems.push(Problem::new(
            place,
            "`verdict: held` cannot be expected together with objectives that do not hold",
        ));
    }
}

fn read_expected(
    node: &Node,
    verdict: Verdict,
    objectives: &[Objective],
    problems: &mut Problems,
) -> Option<Expected> {
    let mut fields = Fields::of(node, "an expected objective", problems)?;
    let name = fields.required("objective", problems).and_then(|node| {
        let name = node.text(problems)?;
        if !objectives.iter().any(|objective| objective.name == name) {
            let known = objectives.iter().map(|objective| objective.name.as_str());
            problems.push(unknown(node, "objective", name, "this scenario", known));
        }
        Some(name.to_owned())
    });
    let unit = name.as_ref().and_then(|name| objectives.iter().find(|objective| objective.name == *name));
    let unit = unit.map(|objective| objective.expression.unit());
    let value = match fields.optional("value") {
        Some(node) => Fields::of(node, "`value`", problems).and_then(|mut inner| {
            let bound = super::objectives::read_bound(&mut inner, unit, problems);
            inner.finish(problems);
            bound
        }),
        None => None,
    };
    let why = fields.required("why", problems).and_then(|node| node.words(problems)).map(str::to_owned);
    fields.finish(problems);
    Some(Expected { objective: name?, verdict, value, why: why? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Relation, Unit};

    fn judged(name: &str, verdict: Verdict, value: f64) -> Judged {
        Judged {
            name: name.into(),
            window: "run".into(),
            verdict,
            value: Some(value),
            unit: Unit::Count,
            relation: Relation::AtMost,
            bound: 0.0,
            samples: 10,
            reason: "because".into(),
            promql: vec![],
        }
    }

    fn crossing() -> Expectation {
        Expectation {
            verdict: Verdict::Failed,
            why: "pinning is off".into(),
            objectives: vec![Expected {
                objective: "never met".into(),
                verdict: Verdict::Failed,
                value: Some(Bound { relation: Relation::Above, value: 10.0 }),
                why: "edges cross".into(),
            }],
        }
    }

    #[test]
    fn as_expected_has_no_deviation() {
        let found = [judged("never met", Verdict::Failed, 40.0), judged("quick", Verdict::Held, 0.0)];
        assert_eq!(crossing().compare(Verdict::Failed, &found), []);
    }

    #[test]
    fn everything_that_was_not_named_must_hold() {
        let found = [judged("never met", Verdict::Failed, 40.0), judged("quick", Verdict::Failed, 9.0)];
        let deviations = crossing().compare(Verdict::Failed, &found);
        assert_eq!(deviations.len(), 1);
        assert!(deviations[0].0.starts_with("`quick` was expected to hold"), "{}", deviations[0]);
    }

    #[test]
    fn failing_for_the_wrong_reason_is_a_deviation() {
        let deviations = crossing().compare(Verdict::Failed, &[judged("never met", Verdict::Failed, 3.0)]);
        assert!(deviations[0].0.contains("> 10 was expected"), "{}", deviations[0]);
    }

    #[test]
    fn holding_where_failure_was_expected_is_two_deviations() {
        let deviations = crossing().compare(Verdict::Held, &[judged("never met", Verdict::Held, 0.0)]);
        assert_eq!(deviations.len(), 2);
    }

    #[test]
    fn an_expected_objective_must_have_been_judged() {
        let deviations = crossing().compare(Verdict::Failed, &[]);
        assert!(deviations[0].0.contains("was not judged"), "{}", deviations[0]);
    }
}
