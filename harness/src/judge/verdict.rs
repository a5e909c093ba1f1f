//! From what was measured to a word. Pure: no error and no missing value ever becomes `held` by itself.

use super::objective::{Bound, NoData};
use crate::verdict::Verdict;

/// What a query came to over a window.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// Each value must keep the bound; more than one where a query gives several series.
    Values {
        values: Vec<Named>,
        /// Requests, or samples, behind them.
        samples: u64,
    },
    /// There was nothing to measure.
    Nothing(String),
    /// It could not be measured.
    Broken(String),
}

/// A value and the series it is of, where there is more than one.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub series: String,
    pub value: f64,
}

impl Named {
    pub fn plain(value: f64) -> Self {
        Self { series: String::new(), value }
    }
}

/// A word, the value that decided it, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub verdict: Verdict,
    /// Of several values the one farthest on the wrong side, or nearest to it.
    pub value: Option<f64>,
    pub samples: u64,
    pub reason: String,
}

impl Finding {
    fn new(verdict: Verdict, value: Option<f64>, samples: u64, reason: impl Into<String>) -> Self {
        Self { verdict, value, samples, reason: reason.into() }
    }

    pub fn inconclusive(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, None, 0, reason)
    }

    /// Takes back a `failed` that may be the doing of something else; nothing becomes `held` by it.
    #[must_use]
    pub fn excused(self, why: &str) -> Self {
        match self.verdict {
            Verdict::Failed => {
                Self { verdict: Verdict::Inconclusive, reason: format!("{}, but {why}", self.reason), ..self }
            }
            _ => self,
        }
    }

    /// Takes back a `held` that something else puts in doubt; what failed stays failed.
    #[must_use]
    pub fn doubted(self, doubt: Option<String>) -> Self {
        match doubt {
            Some(doubt) if self.verdict == Verdict::Held => {
                Self { verdict: Verdict::Inconclusive, reason: doubt, ..self }
            }
            _ => self,
        }
    }
}

/// How far a value is inside its bound; negative outside. For equality, minus the distance.
pub fn margin(value: f64, bound: Bound) -> f64 {
    use crate::event::Relation;
    match bound.relation {
        Relation::Below | Relation::AtMost => bound.value - value,
        Relation::Above | Relation::AtLeast => value - bound.value,
        Relation::Equal => -(value - bound.value).abs(),
    }
}

/// The verdict on one objective.
pub fn decide(measured: &Measured, bound: Bound, no_data: NoData, min_samples: u64) -> Finding {
    match measured {
        Measured::Broken(reason) => Finding::inconclusive(reason),
        Measured::Nothing(reason) => nothing(reason, bound, no_data),
        Measured::Values { values, samples } => {
            let (there, missing): (Vec<_>, Vec<_>) = values.iter().partition(|named| !named.value.is_nan());
            if let Some(endless) = there.iter().find(|named| named.value.is_infinite()) {
                let reason =
                    format!("the value{} is {}, which is no measurement", of(endless), endless.value);
                return Finding::new(Verdict::Inconclusive, None, *samples, reason);
            }
            let worst = there.iter().min_by(|a, b| margin(a.value, bound).total_cmp(&margin(b.value, bound)));
            let Some(worst) = worst else {
                return Finding {
                    samples: *samples,
                    ..nothing("no data: the query has no value", bound, no_data)
                };
            };
            if *samples < min_samples {
                let reason = format!("rests on {samples} samples, {min_samples} are needed");
                return Finding::new(Verdict::Inconclusive, Some(worst.value), *samples, reason);
            }
            let found = compare(worst, bound, *samples);
            match missing.first() {
                Some(missing) if found.verdict == Verdict::Held => {
                    let reason = format!("no data{}", of(missing));
                    let nothing = nothing(&reason, bound, no_data);
                    // The values that are there held; the missing one decides.
                    if nothing.verdict == Verdict::Held {
                        found
                    } else {
                        Finding { samples: *samples, ..nothing }
                    }
                }
                _ => found,
            }
        }
    }
}

fn compare(worst: &Named, bound: Bound, samples: u64) -> Finding {
    let held = bound.relation.holds(worst.value, bound.value);
    let verdict = if held { Verdict::Held } else { Verdict::Failed };
    let reason = if held { String::new() } else { format!("not within the bound{}", of(worst)) };
    Finding::new(verdict, Some(worst.value), samples, reason)
}

fn nothing(reason: &str, bound: Bound, no_data: NoData) -> Finding {
    match no_data {
        NoData::Inconclusive => Finding::inconclusive(reason),
        NoData::Fail => Finding::new(Verdict::Failed, None, 0, reason),
        NoData::Pass => Finding::new(Verdict::Held, None, 0, format!("{reason}; `no-data: pass`")),
        NoData::Zero => {
            let found = compare(&Named::plain(0.0), bound, 0);
            Finding { reason: format!("{reason}; `no-data: zero`"), ..found }
        }
    }
}

fn of(named: &Named) -> String {
    if named.series.is_empty() { String::new() } else { format!(" for {}", named.series) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Relation;

    fn bound(relation: Relation, value: f64) -> Bound {
        Bound { relation, value }
    }

    fn values(values: &[f64]) -> Measured {
        let values = values.iter().enumerate();
        let values =
            values.map(|(index, value)| Named { series: format!("s{index}"), value: *value }).collect();
        Measured::Values { values, samples: 100 }
    }

    #[test]
    fn the_worst_of_several_values_decides() {
        let finding = decide(&values(&[3.0, 9.0, 4.0]), bound(Relation::Below, 5.0), NoData::Inconclusive, 1);
        assert_eq!((finding.verdict, finding.value), (Verdict::Failed, Some(9.0)));
        assert_eq!(finding.reason, "not within the bound for s1");
        let finding =
            decide(&values(&[3.0, 9.0, 6.0]), bound(Relation::AtLeast, 3.0), NoData::Inconclusive, 1);
        assert_eq!((finding.verdict, finding.value), (Verdict::Held, Some(3.0)));
    }

    #[test]
    fn each_rule_for_no_data_does_what_it_says() {
        let nothing = Measured::Nothing("no data".into());
        let verdict = |no_data, most| decide(&nothing, bound(Relation::AtLeast, most), no_data, 1).verdict;
        assert_eq!(verdict(NoData::Inconclusive, 1.0), Verdict::Inconclusive);
        assert_eq!(verdict(NoData::Fail, 1.0), Verdict::Failed);
        assert_eq!(verdict(NoData::Pass, 1.0), Verdict::Held);
        assert_eq!(verdict(NoData::Zero, 1.0), Verdict::Failed);
        assert_eq!(verdict(NoData::Zero, 0.0), Verdict::Held);
    }

    #[test]
    fn one_series_without_a_value_keeps_the_rest_from_holding() {
        let some = values(&[3.0, f64::NAN]);
        let finding = decide(&some, bound(Relation::Below, 5.0), NoData::Inconclusive, 1);
        assert_eq!((finding.verdict, finding.reason.as_str()), (Verdict::Inconclusive, "no data for s1"));
        // What is there and fails has failed, whatever is missing.
        let finding = decide(&some, bound(Relation::Below, 2.0), NoData::Inconclusive, 1);
        assert_eq!(finding.verdict, Verdict::Failed);
    }

    #[test]
    fn too_few_samples_carry_no_verdict() {
        let few = Measured::Values { values: vec![Named::plain(1.0)], samples: 3 };
        for relation in [Relation::Below, Relation::Above] {
            let finding = decide(&few, bound(relation, 2.0), NoData::Fail, 10);
            assert_eq!(finding.verdict, Verdict::Inconclusive);
            assert_eq!(finding.reason, "rests on 3 samples, 10 are needed");
        }
    }

    fn any_bound() -> impl Strategy<Value = Bound> {
        let relation = prop_oneof![
            Just(Relation::Below),
            Just(Relation::AtMost),
            Just(Relation::Above),
            Just(Relation::AtLeast),
            Just(Relation::Equal)
        ];
        (relation, prop_oneof![prop::num::f64::ANY, Just(f64::INFINITY), Just(f64::NEG_INFINITY), -2.0..2.0])
            .prop_map(|(relation, value)| Bound { relation, value })
    }

    fn any_rule() -> impl Strategy<Value = NoData> {
        prop_oneof![Just(NoData::Inconclusive), Just(NoData::Fail), Just(NoData::Pass), Just(NoData::Zero)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_error_never_holds(bound in any_bound(), rule in any_rule(), min in 0u64..5) {
            let finding = decide(&Measured::Broken("many-to-many".into()), bound, rule, min);
            prop_assert_eq!(finding.verdict, Verdict::Inconclusive);
        }

        #[test]
        fn nothing_holds_only_where_somebody_said_so(bound in any_bound(), min in 0u64..5, samples in 0u64..9, strict in any::<bool>()) {
            let rule = if strict { NoData::Fail } else { NoData::Inconclusive };
            let nan = Named::plain(f64::NAN);
            for measured in [
                Measured::Nothing(String::new()),
                Measured::Values { values: vec![], samples },
                Measured::Values { values: vec![nan.clone(), nan], samples },
            ] {
                let finding = decide(&measured, bound, rule, min);
                prop_assert_ne!(finding.verdict, Verdict::Held);
            }
        }

        #[test]
        fn what_holds_is_a_number_within_its_bound(
            bound in any_bound(),
            numbers in prop::collection::vec(prop_oneof![prop::num::f64::ANY, -2.0..2.0, Just(f64::NAN)], 0..4),
            samples in 0u64..9,
            min in 1u64..9,
        ) {
            let named: Vec<_> = numbers.iter().copied().map(Named::plain).collect();
            let finding = decide(&Measured::Values { values: named, samples }, bound, NoData::Inconclusive, min);
            let all_within = numbers.iter().all(|number| number.is_finite() && bound.relation.holds(*number, bound.value));
            let expected = !numbers.is_empty() && all_within && samples >= min;
            prop_assert_eq!(finding.verdict == Verdict::Held, expected);
        }
    }
}
