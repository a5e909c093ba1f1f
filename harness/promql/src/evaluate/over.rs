//! Functions over a range of samples: rates, and values over time.

use super::{Evaluation, quantile, sum, unique};
use crate::expr::{Expr, RangeFunction, Selector};
use crate::labels::Labels;
use crate::names::{RANGE_FUNCTIONS, name_of};
use crate::store::{Sample, between, is_stale};
use crate::value::{Element, Error};

impl Evaluation<'_> {
    pub(super) fn over(
        self,
        function: RangeFunction,
        parameter: Option<&Expr>,
        selector: &Selector,
        range_ms: i64,
    ) -> Result<Vec<Element>, Error> {
        let parameter = parameter.map(|parameter| self.scalar(parameter)).transpose()?.unwrap_or(f64::NAN);
        let end = self.at.saturating_sub(selector.offset_ms);
        let window = Window { start: end.saturating_sub(range_ms), end };
        let mut elements = Vec::new();
        for (labels, samples) in self.store.select(&selector.matchers) {
            let samples = between(samples, window.start, window.end).iter().copied();
            let samples: Vec<Sample> = samples.filter(|sample| !is_stale(sample.value)).collect();
            if let Some(value) = apply(function, parameter, &samples, window) {
                let keeps_name = function == RangeFunction::Last;
                let labels = if keeps_name { labels.clone() } else { labels.clone().without_name() };
                elements.push((labels, value));
            }
        }
        if function == RangeFunction::Absent {
            let is_absent = elements.is_empty();
            return Ok(if is_absent { vec![(required_labels(selector), 1.0)] } else { Vec::new() });
        }
        unique(name_of(&RANGE_FUNCTIONS, function), elements)
    }
}

/// The labels of an absent series, as far as the selector fixes them.
pub(super) fn required_labels(selector: &Selector) -> Labels {
    let mut labels = Labels::new();
    for matcher in selector.matchers().iter().filter(|matcher| matcher.label() != crate::METRIC_NAME) {
        let tests = selector.matchers().iter().filter(|other| other.label() == matcher.label()).count();
        if let (1, Some(value)) = (tests, matcher.required()) {
            labels.set(matcher.label(), value);
        }
    }
    labels
}

#[derive(Clone, Copy)]
struct Window {
    start: i64,
    end: i64,
}

fn apply(function: RangeFunction, parameter: f64, samples: &[Sample], window: Window) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
    let seconds = (window.end - window.start) as f64 / 1000.0;
    match function {
        RangeFunction::Rate => extrapolated(samples, window, true).map(|increase| increase / seconds),
        RangeFunction::Increase => extrapolated(samples, window, true),
        RangeFunction::Delta => extrapolated(samples, window, false),
        RangeFunction::Irate => {
            let [.., before, last] = samples else { return None };
            let grown = if last.value < before.value { last.value } else { last.value - before.value };
            Some(grown / ((last.at - before.at) as f64 / 1000.0))
        }
        RangeFunction::Avg => Some(sum::mean(&values)),
        RangeFunction::Min => Some(sum::extreme(&values, |new, old| new < old)),
        RangeFunction::Max => Some(sum::extreme(&values, |new, old| new > old)),
        RangeFunction::Sum => Some(sum::sum(&values)),
        RangeFunction::Count => Some(values.len() as f64),
        RangeFunction::Last => Some(last.value),
        RangeFunction::Present => Some(1.0),
        RangeFunction::Quantile => Some(quantile(parameter, values)),
        RangeFunction::Stddev => Some(sum::variance(&values).sqrt()),
        RangeFunction::Absent => Some(first.value),
    }
}

/// By how much a series grew over the whole window, of which the samples show only a part.
///
/// A counter that falls was reset: what it had before counts on. Where the samples begin or end close to the window's
/// edge (within 1.1 of their average distance), the growth is carried on to the edge, else by half of that distance;
/// a counter never back beyond the time at which it would have been zero.
fn extrapolated(samples: &[Sample], window: Window, is_counter: bool) -> Option<f64> {
    let [first, .., last] = samples else { return None };
    let mut growth = last.value - first.value;
    if is_counter {
        let pairs = samples.iter().zip(samples.iter().skip(1));
        growth += pairs.filter(|(old, new)| new.value < old.value).map(|(old, _)| old.value).sum::<f64>();
    }
    let covered = (last.at - first.at) as f64;
    let distance = covered / (samples.len() - 1) as f64;
    let towards = |gap: i64| if gap as f64 >= distance * 1.1 { distance / 2.0 } else { gap as f64 };
    let mut before = towards(first.at - window.start);
    if is_counter && growth > 0.0 && first.value >= 0.0 {
        before = before.min(covered * (first.value / growth));
    }
    let after = towards(window.end - last.at);
    Some(growth * ((covered + before + after) / covered))
}
