//! What a query can come to at all, whatever the samples are: the ground for refusing what cannot fail.

use crate::expr::{Aggregator, Arithmetic, Expr, MapFunction, Operation, RangeFunction, SetOperation};
use crate::query::Query;

/// The least and the greatest number that a query can give. NaN and no data stand outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub least: f64,
    pub greatest: f64,
}

impl Bounds {
    const ANY: Bounds = Bounds { least: f64::NEG_INFINITY, greatest: f64::INFINITY };
    const NOT_NEGATIVE: Bounds = Bounds { least: 0.0, greatest: f64::INFINITY };

    fn exactly(value: f64) -> Self {
        if value.is_nan() { Self::ANY } else { Self { least: value, greatest: value } }
    }

    fn either(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), greatest: self.greatest.max(other.greatest) }
    }

    fn is_not_negative(self) -> bool {
        self.least >= 0.0
    }
}

impl Query {
    /// The numbers that this query can give. Wide where nothing narrower is certain; counters are taken to be
    /// counters (`rate` of anything is at least 0).
    pub fn bounds(&self) -> Bounds {
        bounds(self.expr())
    }
}

fn bounds(expr: &Expr) -> Bounds {
    match expr {
        Expr::Number(number) => Bounds::exactly(number.0),
        Expr::Time => Bounds::NOT_NEGATIVE,
        Expr::Select(selector) => match selector.metric() {
            Some(name) if is_count(name) => Bounds::NOT_NEGATIVE,
            _ => Bounds::ANY,
        },
        Expr::Over { function, selector, .. } => match function {
            RangeFunction::Rate | RangeFunction::Irate | RangeFunction::Increase | RangeFunction::Stddev => {
                Bounds::NOT_NEGATIVE
            }
            RangeFunction::Count => Bounds { least: 1.0, greatest: f64::INFINITY },
            RangeFunction::Present | RangeFunction::Absent => Bounds::exactly(1.0),
            RangeFunction::Delta | RangeFunction::Quantile => Bounds::ANY,
            _ if selector.metric().is_some_and(is_count) => Bounds::NOT_NEGATIVE,
            _ => Bounds::ANY,
        },
        Expr::Absent(_) => Bounds::exactly(1.0),
        Expr::ToVector(inner) => bounds(inner),
        Expr::ToScalar(inner)
        | Expr::Sort { vector: inner, .. }
        | Expr::LabelReplace { vector: inner, .. }
        | Expr::LabelJoin { vector: inner, .. } => bounds(inner),
        Expr::Negate(inner) => {
            let inner = bounds(inner);
            Bounds { least: -inner.greatest, greatest: -inner.least }
        }
        Expr::HistogramQuantile { .. } => Bounds::ANY,
        Expr::Aggregate { aggregator, vector, .. } => match aggregator {
            Aggregator::Count => Bounds { least: 1.0, greatest: f64::INFINITY },
            Aggregator::Group => Bounds::exactly(1.0),
            Aggregator::Stddev | Aggregator::Stdvar => Bounds::NOT_NEGATIVE,
            Aggregator::Sum if bounds(vector).is_not_negative() => {
                Bounds { least: bounds(vector).least, greatest: f64::INFINITY }
            }
            Aggregator::Sum | Aggregator::Quantile => Bounds::ANY,
            Aggregator::Avg | Aggregator::Min | Aggregator::Max | Aggregator::Topk | Aggregator::Bottomk => {
                bounds(vector)
            }
        },
        Expr::Map { function, vector, parameters } => mapped(*function, bounds(vector), parameters),
        Expr::Binary { operation, left, right, .. } => binary(*operation, left, right),
    }
}

/// Whether a metric counts something, by the names that Prometheus asks for.
fn is_count(metric: &str) -> bool {
    ["_total", "_bucket", "_count"].iter().any(|ending| metric.ends_with(ending))
}

fn mapped(function: MapFunction, inner: Bounds, parameters: &[Expr]) -> Bounds {
    let parameter = |position: usize| match parameters.get(position) {
        Some(Expr::Number(number)) => Some(number.0),
        _ => None,
    };
    match function {
        MapFunction::Abs | MapFunction::Exp | MapFunction::Sqrt => Bounds::NOT_NEGATIVE,
        MapFunction::Ceil => Bounds { least: inner.least.ceil(), greatest: inner.greatest.ceil() },
        MapFunction::Floor => Bounds { least: inner.least.floor(), greatest: inner.greatest.floor() },
        MapFunction::Ln | MapFunction::Round => Bounds::ANY,
        MapFunction::Clamp | MapFunction::ClampMin | MapFunction::ClampMax => {
            let (lowest, highest) = match function {
                MapFunction::Clamp => (parameter(0), parameter(1)),
                MapFunction::ClampMin => (parameter(0), Some(f64::INFINITY)),
                _ => (Some(f64::NEG_INFINITY), parameter(0)),
            };
            match (lowest, highest) {
                (Some(lowest), Some(highest)) if lowest <= highest => Bounds {
                    least: inner.least.max(lowest).min(highest),
                    greatest: inner.greatest.min(highest).max(lowest),
                },
                _ => Bounds::ANY,
            }
        }
    }
}

fn binary(operation: Operation, left: &Expr, right: &Expr) -> Bounds {
    let (first, second) = (bounds(left), bounds(right));
    match operation {
        Operation::Set(SetOperation::Or) => first.either(second),
        Operation::Set(SetOperation::And | SetOperation::Unless) => first,
        Operation::Compare { as_bool: true, .. } => match (left, right) {
            (Expr::Number(_), Expr::Number(_)) => constant(operation, first, second),
            _ => Bounds { least: 0.0, greatest: 1.0 },
        },
        // A filter keeps the vector's values, on whichever side it stands.
        Operation::Compare { .. } => {
            if left.is_scalar() {
                second
            } else {
                first
            }
        }
        Operation::Arithmetic(_) if first.least == first.greatest && second.least == second.greatest => {
            constant(operation, first, second)
        }
        Operation::Arithmetic(arithmetic) => match arithmetic {
            Arithmetic::Add => sum(first.least + second.least, first.greatest + second.greatest),
            Arithmetic::Subtract => sum(first.least - second.greatest, first.greatest - second.least),
            Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Power
                if first.is_not_negative() && second.is_not_negative() =>
            {
                Bounds::NOT_NEGATIVE
            }
            Arithmetic::Modulo if first.is_not_negative() => Bounds::NOT_NEGATIVE,
            _ => Bounds::ANY,
        },
    }
}

fn constant(operation: Operation, left: Bounds, right: Bounds) -> Bounds {
    Bounds::exactly(crate::evaluate::scalars(operation, left.least, right.least))
}

fn sum(least: f64, greatest: f64) -> Bounds {
    if least.is_nan() || greatest.is_nan() { Bounds::ANY } else { Bounds { least, greatest } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_can_give() {
        let any = (f64::NEG_INFINITY, f64::INFINITY);
        let table = [
            ("vector(0)", (0.0, 0.0)),
            ("2 * 3 + 1", (7.0, 7.0)),
            ("sum(rate(x_total[5s]))", (0.0, f64::INFINITY)),
            ("sum(increase(x_total[5s])) or vector(0)", (0.0, f64::INFINITY)),
            ("count(x)", (1.0, f64::INFINITY)),
            ("rate(x[5s]) / rate(y[5s])", (0.0, f64::INFINITY)),
            ("1 - rate(x[5s])", (f64::NEG_INFINITY, 1.0)),
            ("-rate(x[5s])", (f64::NEG_INFINITY, 0.0)),
            ("clamp(x, 2, 5)", (2.0, 5.0)),
            ("clamp_max(sum(rate(x[5s])), 1)", (0.0, 1.0)),
            ("x > bool 3", (0.0, 1.0)),
            ("rate(x[5s]) > 3", (0.0, f64::INFINITY)),
            ("absent(x)", (1.0, 1.0)),
            ("x", any),
            ("x - y", any),
            ("histogram_quantile(0.9, x_bucket)", any),
        ];
        for (text, (least, greatest)) in table {
            let query: Query = text.parse().unwrap();
            assert_eq!(query.bounds(), Bounds { least, greatest }, "{text}");
        }
    }
}
