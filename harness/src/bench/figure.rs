//! A figure: what was measured, in raw samples, and what it is held to.
//!
//! Each is declared before anything is measured, so that one which could not be measured is still in the report, with
//! the reason in place of its samples.

use serde::{Deserialize, Serialize};

use super::statistics;
use crate::event::{Relation, Unit};
use crate::report::numbers;

/// One figure of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Figure {
    pub name: String,
    /// What it means, in a sentence.
    pub means: String,
    pub unit: Unit,
    pub better: Better,
    pub limits: Vec<Limit>,
    pub tolerance: Tolerance,
    /// As they were measured, in their order.
    pub samples: Vec<f64>,
    /// What the samples are made of, or what was measured beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What a reader should know if a limit is missed: what it hangs on, and what was tried. Then it becomes a note.
    #[serde(skip)]
    pub if_missed: Option<String>,
    /// Why there are no samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Of the processor time while it was measured, the share that the machine's host gave to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen: Option<f64>,
}

/// Which way is better, when one report is compared with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    Lower,
    Higher,
    /// Only its limits count.
    Neither,
}

/// What a limit looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    Median,
    P95,
    Smallest,
    Largest,
}

impl Statistic {
    pub const fn word(self) -> &'static str {
        match self {
            Statistic::Median => "median",
            Statistic::P95 => "p95",
            Statistic::Smallest => "smallest",
            Statistic::Largest => "largest",
        }
    }

    /// `None` of no samples.
    pub fn of(self, samples: &[f64]) -> Option<f64> {
        let share = match self {
            Statistic::Smallest => 0.0,
            Statistic::Median => 0.5,
            Statistic::P95 => 0.95,
            Statistic::Largest => 1.0,
        };
        statistics::quantile(samples, share)
    }
}

/// What a figure promises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limit {
    pub of: Statistic,
    pub relation: Relation,
    pub bound: f64,
}

/// How much worse the median may be than in an earlier report: by this share of it and this much on top.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tolerance {
    pub share: f64,
    pub slack: f64,
}

impl Tolerance {
    /// `25 % and 100 ms`
    pub fn words(&self, unit: Unit) -> String {
        let share = numbers::percent(self.share);
        if self.slack > 0.0 { format!("{share} and {}", numbers::value(self.slack, unit)) } else { share }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Part {
    pub name: String,
    pub unit: Unit,
    pub samples: Vec<f64>,
}

/// Whether a figure keeps what it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Met,
    Missed,
    /// It promises nothing.
    Free,
    /// It could not be measured.
    Unmeasured,
}

impl Judgement {
    pub const fn word(self) -> &'static str {
        match self {
            Judgement::Met => "met",
            Judgement::Missed => "MISSED",
            Judgement::Free => "–",
            Judgement::Unmeasured => "NOT MEASURED",
        }
    }

    pub const fn shape(self) -> &'static str {
        match self {
            Judgement::Met => "✔",
            Judgement::Missed => "✖",
            Judgement::Free => " ",
            Judgement::Unmeasured => "?",
        }
    }

    /// Nothing is left to be wished for.
    pub const fn is_good(self) -> bool {
        matches!(self, Judgement::Met | Judgement::Free)
    }
}

impl Limit {
    pub fn judge(&self, samples: &[f64]) -> Judgement {
        match self.of.of(samples) {
            None => Judgement::Unmeasured,
            Some(value) if self.relation.holds(value, self.bound) => Judgement::Met,
            Some(_) => Judgement::Missed,
        }
    }

    /// `median ≤ 2 s`
    pub fn words(&self, unit: Unit) -> String {
        format!("{} {} {}", self.of.word(), self.relation.sign(), numbers::value(self.bound, unit))
    }
}

impl Figure {
    pub fn new(name: &str, unit: Unit, better: Better, means: &str) -> Self {
        Self {
            name: name.to_owned(),
            means: means.to_owned(),
            unit,
            better,
            limits: vec![],
            // Two runs on one quiet machine differ by a tenth; a change that is worth a look, by more than this.
            tolerance: Tolerance { share: 0.25, slack: 0.0 },
            samples: vec![],
            parts: vec![],
            notes: vec![],
            if_missed: None,
            missing: None,
            stolen: None,
        }
    }

    pub fn limit(mut self, of: Statistic, relation: Relation, bound: f64) -> Self {
        self.limits.push(Limit { of, relation, bound });
        self
    }

    pub fn tolerance(mut self, share: f64, slack: f64) -> Self {
        self.tolerance = Tolerance { share, slack };
        self
    }

    pub fn with(mut self, samples: Vec<f64>) -> Self {
        self.samples = samples;
        self
    }

    pub fn part(mut self, name: &str, unit: Unit, samples: Vec<f64>) -> Self {
        self.parts.push(Part { name: name.to_owned(), unit, samples });
        self
    }

    /// Parts of one unit, as they were collected by name.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.parts.extend(parts.0);
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub fn if_missed(mut self, text: &str) -> Self {
        self.if_missed = Some(text.to_owned());
        self
    }

    /// Says what was tried, where it was not enough.
    pub fn explained(mut self) -> Self {
        let why = self.if_missed.take().filter(|_| self.judge() == Judgement::Missed);
        self.notes.extend(why);
        self
    }

    pub fn missing(mut self, why: impl Into<String>) -> Self {
        self.missing = Some(why.into());
        self
    }

    pub fn median(&self) -> Option<f64> {
        Statistic::Median.of(&self.samples)
    }

    /// The worst of its limits.
    pub fn judge(&self) -> Judgement {
        if self.samples.is_empty() {
            return Judgement::Unmeasured;
        }
        let judged = self.limits.iter().map(|limit| limit.judge(&self.samples));
        judged.fold(Judgement::Free, |worst, one| match (worst, one) {
            (Judgement::Missed, _) | (_, Judgement::Missed) => Judgement::Missed,
            _ => one,
        })
    }

    /// A statistic as text. It never reads like a bound that it misses.
    pub fn shown(&self, of: Statistic) -> String {
        let Some(value) = of.of(&self.samples) else { return "–".to_owned() };
        let bounds = self.limits.iter().filter(|limit| limit.of == of).map(|limit| limit.bound);
        let alike = bounds
            .filter(|bound| numbers::value(*bound, self.unit) == numbers::value(value, self.unit))
            .find(|bound| *bound != value);
        alike.map_or_else(
            || numbers::value(value, self.unit),
            |bound| numbers::against(value, bound, self.unit),
        )
    }

    pub fn limits_shown(&self) -> String {
        let words = self.limits.iter().map(|limit| limit.words(self.unit)).collect::<Vec<_>>();
        if words.is_empty() { "–".to_owned() } else { words.join(", ") }
    }
}

/// Parts of one unit that come sample by sample, in the order in which their names came first.
#[derive(Clone, Debug, Default)]
pub struct Parts(Vec<Part>);

impl Parts {
    pub fn add(&mut self, name: &str, unit: Unit, sample: f64) {
        match self.0.iter_mut().find(|part| part.name == name) {
            Some(part) => part.samples.push(sample),
            None => self.0.push(Part { name: name.to_owned(), unit, samples: vec![sample] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(samples: &[f64]) -> Figure {
        Figure::new("up", Unit::Seconds, Better::Lower, "how long").with(samples.to_vec()).limit(
            Statistic::Median,
            Relation::AtMost,
            2.0,
        )
    }

    #[test]
    fn the_worst_limit_decides() {
        let p95 = |figure: Figure| figure.limit(Statistic::P95, Relation::AtMost, 2.5);
        assert_eq!(p95(figure(&[1.0, 1.0, 2.4])).judge(), Judgement::Met);
        assert_eq!(p95(figure(&[1.0, 1.0, 9.0])).judge(), Judgement::Missed);
        assert_eq!(p95(figure(&[2.1, 2.1, 2.2])).judge(), Judgement::Missed);
        assert_eq!(figure(&[]).judge(), Judgement::Unmeasured, "no samples are no success");
        let free = Figure::new("x", Unit::Count, Better::Neither, "").with(vec![1.0]);
        assert_eq!(free.judge(), Judgement::Free);
    }

    #[test]
    fn what_was_tried_is_told_of_a_missed_limit_alone() {
        let notes = |samples: &[f64]| figure(samples).if_missed("two cores are not enough").explained().notes;
        assert_eq!(notes(&[2.1]), ["two cores are not enough"]);
        assert_eq!(notes(&[1.9]), Vec::<String>::new());
        assert_eq!(notes(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_missed_limit_does_not_read_like_a_kept_one() {
        assert_eq!(figure(&[2.001]).shown(Statistic::Median), "2001 ms");
        assert_eq!(figure(&[2.0]).shown(Statistic::Median), "2 s");
        assert_eq!(figure(&[0.812]).shown(Statistic::Median), "812 ms");
        assert_eq!(figure(&[]).shown(Statistic::Median), "–");
        assert_eq!(figure(&[]).limits_shown(), "median ≤ 2 s");
    }

    #[test]
    fn parts_keep_the_order_in_which_they_came() {
        let mut parts = Parts::default();
        for (name, sample) in [("nodes", 1.0), ("API", 2.0), ("nodes", 3.0)] {
            parts.add(name, Unit::Seconds, sample);
        }
        let figure = figure(&[1.0]).parts(parts);
        let told = figure.parts.iter().map(|part| (part.name.as_str(), part.samples.as_slice()));
        assert_eq!(told.collect::<Vec<_>>(), [("nodes", &[1.0, 3.0][..]), ("API", &[2.0])]);
    }
}
