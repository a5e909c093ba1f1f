//! One objective over one run: window, queries, values, verdict.

use meshquake_promql::{Error, Query, Store, Value};

use super::compile::{Compiled, Scene, compile};
use super::objective::{Bound, Expression, Objective, Quantifier, Window};
use super::verdict::{Finding, Measured, Named, decide};
use super::window::{Aligned, Beat, Marks};
use super::{coverage, edges, recovery};
use crate::event::{Judged, Relation, Unit};
use crate::verdict::Verdict;

/// The samples of a run, when what happened, and what the world is like.
#[derive(Clone, Copy)]
pub struct Judge<'r> {
    pub store: &'r Store,
    pub marks: &'r Marks,
    pub scene: &'r Scene,
}

impl Judge<'_> {
    /// The verdict on an objective, with all that a person needs to follow it.
    pub fn judge(&self, objective: &Objective) -> Judged {
        let (finding, queries) = match objective.window {
            Window::Recovery { within, .. } => {
                let (finding, queries) = recovery::judge(self, objective);
                let (unit, relation, bound) = (Unit::Seconds, Relation::AtMost, within.as_secs_f64());
                return judged(objective, self.weighed(objective, finding), queries, unit, relation, bound);
            }
            _ => self.find(objective),
        };
        let Bound { relation, value } = objective.bound;
        let finding = self.weighed(objective, finding);
        judged(objective, finding, queries, objective.expression.unit(), relation, value)
    }

    fn find(&self, objective: &Objective) -> (Finding, Vec<String>) {
        let aligned = self.align(objective);
        let aligned = match aligned {
            Ok(aligned) => aligned,
            Err(reason) => {
                // There is a window, but nothing in it; which query would have been asked is shown all the same.
                let texts =
                    compile(&objective.expression, self.scene, 1000).map_or(Vec::new(), |all| all.texts());
                let finding = match self.marks.span(&objective.window) {
                    Ok(_) => decide(&Measured::Nothing(reason), objective.bound, objective.no_data, 0),
                    Err(reason) => Finding::inconclusive(reason),
                };
                return (finding, texts);
            }
        };
        match objective.every {
            None => self.over(objective, aligned),
            Some((step, quantifier)) => {
                let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
                self.stepwise(objective, aligned, step, quantifier)
            }
        }
    }

    /// The window of an objective between two samples of the metrics that it asks for.
    pub(super) fn align(&self, objective: &Objective) -> Result<Aligned, String> {
        let beat = self.beat(&objective.expression)?;
        self.marks.span(&objective.window)?.align(self.store, beat)
    }

    pub(super) fn beat(&self, expression: &Expression) -> Result<Beat, String> {
        compile(expression, self.scene, 1000).map(|all| all.beat()).map_err(|refused| refused.to_string())
    }

    /// The finding over one stretch of time, evaluated at its end.
    pub(super) fn over(&self, objective: &Objective, aligned: Aligned) -> (Finding, Vec<String>) {
        match compile(&objective.expression, self.scene, aligned.length_ms()) {
            Err(refused) => (Finding::inconclusive(refused.to_string()), Vec::new()),
            Ok(compiled) => {
                let finding = match &compiled {
                    Compiled::Plain { value, volume } => {
                        let measured = self.measure(value, volume.as_ref(), aligned.to);
                        decide(&measured, objective.bound, objective.no_data, objective.min_samples)
                    }
                    Compiled::Crossing { crossed, expected, errors } => {
                        let seen = edges::Seen { crossed, expected, errors };
                        edges::decide(self, objective, &seen, aligned.to)
                    }
                };
                let doubt = coverage::doubt(self.store, compiled.beat(), aligned);
                (finding.doubted(doubt), compiled.texts())
            }
        }
    }

    pub(super) fn compiled(&self, objective: &Objective, aligned: Aligned) -> Result<Compiled, String> {
        compile(&objective.expression, self.scene, aligned.length_ms()).map_err(|refused| refused.to_string())
    }

    fn measure(&self, query: &Query, volume: Option<&Query>, at: i64) -> Measured {
        let broken = |error: Error| Measured::Broken(error.to_string());
        let samples = match volume.map(|volume| volume.evaluate(self.store, at)) {
            None => query.samples(self.store, at),
            Some(Ok(value)) => value.single().filter(|count| *count > 0.0).map_or(0, |count| count as u64),
            Some(Err(error)) => return broken(error),
        };
        if samples == 0 {
            let what = if volume.is_some() { "no request was counted" } else { "no sample was selected" };
            return Measured::Nothing(format!("no data: {what} in the window"));
        }
        match query.evaluate(self.store, at) {
            Err(error) => broken(error),
            Ok(Value::Scalar(value)) => Measured::Values { values: vec![Named::plain(value)], samples },
            Ok(Value::Vector(elements)) if elements.is_empty() => {
                Measured::Nothing("no data: the query gives no series".to_owned())
            }
            Ok(Value::Vector(elements)) => {
                let alone = elements.len() == 1;
                let named = |(labels, value): (meshquake_promql::Labels, f64)| Named {
                    series: if alone { String::new() } else { labels.to_string() },
                    value,
                };
                Measured::Values { values: elements.into_iter().map(named).collect(), samples }
            }
        }
    }

    /// The finding at every step; `all` or `any` must hold.
    fn stepwise(
        &self,
        objective: &Objective,
        aligned: Aligned,
        step: i64,
        quantifier: Quantifier,
    ) -> (Finding, Vec<String>) {
        let mut queries = Vec::new();
        let mut findings = Vec::new();
        for step in aligned.steps(step) {
            let (finding, texts) = self.over(objective, step);
            queries = texts;
            findings.push((step.to, finding));
        }
        let samples = findings.iter().map(|(_, finding)| finding.samples).sum();
        let count = findings.len();
        // `all` is decided by the worst step, `any` by the best.
        let rank = |finding: &Finding| match finding.verdict {
            Verdict::Failed => 0,
            Verdict::Held => 2,
            _ => 1,
        };
        let margin = |finding: &Finding| {
            finding.value.map_or(f64::INFINITY, |value| super::verdict::margin(value, objective.bound))
        };
        let order = |a: &&(i64, Finding), b: &&(i64, Finding)| {
            rank(&a.1).cmp(&rank(&b.1)).then(margin(&a.1).total_cmp(&margin(&b.1)))
        };
        let decisive = match quantifier {
            Quantifier::All => findings.iter().min_by(order),
            Quantifier::Any => findings.iter().max_by(order),
        };
        let Some((at, finding)) = decisive else {
            return (Finding::inconclusive("the window is shorter than one step of `every`"), queries);
        };
        let held = findings.iter().filter(|(_, finding)| finding.verdict == Verdict::Held).count();
        let offset = (at - aligned.from) as f64 / 1000.0;
        let why = if finding.reason.is_empty() { String::new() } else { format!(": {}", finding.reason) };
        let reason = match finding.verdict {
            Verdict::Held => format!("held in {held} of {count} steps"),
            _ => format!("held in {held} of {count} steps; {offset:.1} s into the window{why}"),
        };
        (Finding { samples, reason, ..finding.clone() }, queries)
    }

    /// The finding, held against what is known of the run beside it.
    fn weighed(&self, objective: &Objective, finding: Finding) -> Finding {
        let finding = self.doubted(objective, finding);
        let Bound { relation, value: bound } = objective.bound;
        // Versions that met have met, whatever the load was like.
        let have_met = matches!(objective.expression, Expression::CrossingVersions { .. })
            && finding.value.is_some_and(|crossed| !relation.holds(crossed, bound));
        match &self.marks.spoiled {
            Some(why) if !have_met => finding.excused(why),
            _ => finding,
        }
    }

    /// What holds by the client's or the callers' word only while both tell the same story.
    fn doubted(&self, objective: &Objective, finding: Finding) -> Finding {
        match objective.expression {
            Expression::Success(_) | Expression::Errors(_) | Expression::CrossingVersions { .. } => {
                finding.doubted(coverage::disagreement(self))
            }
            Expression::Promql(_) | Expression::Latency { .. } | Expression::Rate(_) => finding,
        }
    }
}

fn judged(
    objective: &Objective,
    finding: Finding,
    promql: Vec<String>,
    unit: Unit,
    relation: Relation,
    bound: f64,
) -> Judged {
    Judged {
        name: objective.name.clone(),
        window: objective.window.words(),
        verdict: finding.verdict,
        value: finding.value,
        unit,
        relation,
        bound,
        samples: finding.samples,
        reason: finding.reason,
        promql,
    }
}

#[cfg(test)]
mod tests;
