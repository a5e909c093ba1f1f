//! A checked query over a store at one time. Each kind of expression has a file of its own.

mod aggregate;
mod binary;
mod function;
mod histogram;
mod over;
mod sum;

pub(crate) use binary::scalars;

use crate::display::quoted;
use crate::expr::{Expr, Selector};
use crate::labels::Labels;
use crate::query::LOOKBACK_MS;
use crate::store::{Store, between, is_stale};
use crate::value::{Element, Error, Value};
use std::collections::BTreeSet;

pub(crate) fn query(expr: &Expr, store: &Store, at: i64) -> Result<Value, Error> {
    let evaluation = Evaluation { store, at };
    if expr.is_scalar() {
        return evaluation.scalar(expr).map(Value::Scalar);
    }
    let mut elements = evaluation.vector(expr)?;
    // What has an order keeps it; all else is in order of its labels, so that equal runs print equally.
    if !has_order(expr) {
        elements.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
    Ok(Value::Vector(elements))
}

fn has_order(expr: &Expr) -> bool {
    use crate::expr::Aggregator::{Bottomk, Topk};
    matches!(expr, Expr::Sort { .. } | Expr::Aggregate { aggregator: Topk | Bottomk, .. })
}

#[derive(Clone, Copy)]
struct Evaluation<'a> {
    store: &'a Store,
    at: i64,
}

impl Evaluation<'_> {
    fn scalar(self, expr: &Expr) -> Result<f64, Error> {
        match expr {
            Expr::Number(number) => Ok(number.0),
            Expr::Time => Ok(self.at as f64 / 1000.0),
            Expr::Negate(inner) => self.scalar(inner).map(|value| -value),
            Expr::ToScalar(inner) => Ok(match self.vector(inner)?.as_slice() {
                [(_, value)] => *value,
                _ => f64::NAN,
            }),
            Expr::Binary { operation, left, right, .. } => {
                Ok(binary::scalars(*operation, self.scalar(left)?, self.scalar(right)?))
            }
            // `parse` lets no other expression stand where a scalar is needed.
            _ => Ok(f64::NAN),
        }
    }

    fn vector(self, expr: &Expr) -> Result<Vec<Element>, Error> {
        match expr {
            // `parse` lets no scalar stand where a vector is needed.
            Expr::Number(_) | Expr::Time | Expr::ToScalar(_) => Ok(vec![(Labels::new(), self.scalar(expr)?)]),
            Expr::Select(selector) => Ok(self.instant(selector)),
            Expr::Over { function, parameter, selector, range_ms } => {
                self.over(*function, parameter.as_deref(), selector, *range_ms)
            }
            Expr::Map { function, vector, parameters } => self.map(*function, vector, parameters),
            Expr::Negate(inner) => {
                let negated =
                    self.vector(inner)?.into_iter().map(|(labels, value)| (labels.without_name(), -value));
                unique("-", negated.collect())
            }
            Expr::Binary { operation, left, right, matching } => {
                self.binary(*operation, left, right, matching)
            }
            Expr::Aggregate { aggregator, parameter, vector, grouping } => {
                self.aggregate(*aggregator, parameter.as_deref(), vector, grouping)
            }
            Expr::Absent(inner) => self.absent(inner),
            Expr::ToVector(inner) => Ok(vec![(Labels::new(), self.scalar(inner)?)]),
            Expr::Sort { vector, descending } => self.sort(vector, *descending),
            Expr::HistogramQuantile { quantile, buckets } => self.histogram_quantile(quantile, buckets),
            Expr::LabelReplace { vector, target, replacement, source, pattern } => {
                self.label_replace(vector, target, replacement, source, pattern)
            }
            Expr::LabelJoin { vector, target, separator, sources } => {
                self.label_join(vector, target, separator, sources)
            }
        }
    }

    /// The latest sample of each series, unless that is a marker or too old.
    fn instant(self, selector: &Selector) -> Vec<Element> {
        let end = self.at.saturating_sub(selector.offset_ms);
        let start = end.saturating_sub(LOOKBACK_MS);
        let latest = self.store.select(&selector.matchers).filter_map(|(labels, samples)| {
            let sample = between(samples, start, end).last()?;
            (!is_stale(sample.value)).then(|| (labels.clone(), sample.value))
        });
        latest.collect()
    }
}

/// Passes a vector on, unless two of its elements have the same labels.
fn unique(operation: &str, elements: Vec<Element>) -> Result<Vec<Element>, Error> {
    let mut seen = BTreeSet::new();
    match elements.iter().find(|(labels, _)| !seen.insert(labels)) {
        Some((labels, _)) => {
            Err(Error::DuplicateLabels { operation: operation.to_owned(), labels: labels.clone() })
        }
        None => Ok(elements),
    }
}

/// The value at a share of sorted-by-size values, between two neighbours by straight line.
fn quantile(share: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    // NaN counts as less than any number, as in Prometheus.
    values.sort_by(|left, right| match (left.is_nan(), right.is_nan()) {
        (false, false) => left.total_cmp(right),
        (left, right) => right.cmp(&left),
    });
    let rank = share * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    match (values.get(lower), values.get(upper)) {
        (Some(low), Some(high)) => low * (1.0 - weight) + high * weight,
        _ => f64::NAN,
    }
}

/// A parameter as an error shows it.
fn shown(value: f64) -> String {
    if value.is_nan() { quoted("NaN") } else { value.to_string() }
}
