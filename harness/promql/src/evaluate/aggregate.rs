//! Aggregations: many elements become one per group, or the first few of each group.

use super::{Evaluation, quantile, shown, sum};
use crate::expr::{Aggregator, Expr, Grouping};
use crate::labels::Labels;
use crate::names::{AGGREGATORS, name_of};
use crate::value::{Element, Error};
use std::collections::BTreeMap;

impl Evaluation<'_> {
    pub(super) fn aggregate(
        self,
        aggregator: Aggregator,
        parameter: Option<&Expr>,
        vector: &Expr,
        grouping: &Grouping,
    ) -> Result<Vec<Element>, Error> {
        let parameter = parameter.map(|parameter| self.scalar(parameter)).transpose()?.unwrap_or(f64::NAN);
        let mut groups: BTreeMap<Labels, Vec<Element>> = BTreeMap::new();
        for element in self.vector(vector)? {
            groups.entry(grouping.key(&element.0)).or_default().push(element);
        }
        if matches!(aggregator, Aggregator::Topk | Aggregator::Bottomk) {
            if parameter.is_nan() || parameter.is_infinite() {
                let operation = name_of(&AGGREGATORS, aggregator).to_owned();
                return Err(Error::Parameter { operation, parameter: shown(parameter) });
            }
            let kept = parameter.max(0.0) as usize;
            return Ok(groups.into_values().flat_map(|group| first(aggregator, kept, group)).collect());
        }
        let reduced = groups.into_iter().map(|(labels, group)| {
            let values: Vec<f64> = group.into_iter().map(|(_, value)| value).collect();
            (labels, reduce(aggregator, parameter, values))
        });
        Ok(reduced.collect())
    }
}

fn reduce(aggregator: Aggregator, parameter: f64, values: Vec<f64>) -> f64 {
    match aggregator {
        Aggregator::Sum => sum::sum(&values),
        Aggregator::Avg => sum::mean(&values),
        Aggregator::Min => sum::extreme(&values, |new, old| new < old),
        Aggregator::Max => sum::extreme(&values, |new, old| new > old),
        Aggregator::Count => values.len() as f64,
        Aggregator::Group => 1.0,
        Aggregator::Stddev => sum::variance(&values).sqrt(),
        Aggregator::Stdvar => sum::variance(&values),
        Aggregator::Quantile => quantile(parameter, values),
        // These keep elements instead of reducing them.
        Aggregator::Topk | Aggregator::Bottomk => f64::NAN,
    }
}

/// The greatest or least elements of a group, best first; NaN comes last in both.
fn first(aggregator: Aggregator, kept: usize, mut group: Vec<Element>) -> Vec<Element> {
    group.sort_by(|(_, left), (_, right)| match aggregator {
        Aggregator::Bottomk => left.total_cmp(right),
        _ => right.total_cmp(left),
    });
    group.sort_by_key(|(_, value)| value.is_nan());
    group.truncate(kept);
    group
}
