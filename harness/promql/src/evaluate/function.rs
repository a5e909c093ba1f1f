//! Functions of one vector: on each value, on its labels, on its order, on its absence.

use super::over::required_labels;
use super::{Evaluation, unique};
use crate::expr::{Expr, MapFunction, Pattern};
use crate::labels::Labels;
use crate::names::{MAP_FUNCTIONS, name_of};
use crate::value::{Element, Error};

impl Evaluation<'_> {
    pub(super) fn map(
        self,
        function: MapFunction,
        vector: &Expr,
        parameters: &[Expr],
    ) -> Result<Vec<Element>, Error> {
        let parameters =
            parameters.iter().map(|parameter| self.scalar(parameter)).collect::<Result<Vec<_>, _>>()?;
        let elements = self.vector(vector)?;
        if let (MapFunction::Clamp, [lowest, highest]) = (function, parameters.as_slice())
            && highest < lowest
        {
            return Ok(Vec::new());
        }
        let mapped = elements
            .into_iter()
            .map(|(labels, value)| (labels.without_name(), apply(function, value, &parameters)));
        unique(name_of(&MAP_FUNCTIONS, function), mapped.collect())
    }

    pub(super) fn absent(self, inner: &Expr) -> Result<Vec<Element>, Error> {
        if !self.vector(inner)?.is_empty() {
            return Ok(Vec::new());
        }
        let labels = match inner {
            Expr::Select(selector) => required_labels(selector),
            _ => Labels::new(),
        };
        Ok(vec![(labels, 1.0)])
    }

    pub(super) fn sort(self, vector: &Expr, descending: bool) -> Result<Vec<Element>, Error> {
        let mut elements = self.vector(vector)?;
        elements.sort_by(|(_, left), (_, right)| {
            let upwards = left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal);
            if descending { upwards.reverse() } else { upwards }
        });
        // NaN is last in both orders.
        elements.sort_by_key(|(_, value)| value.is_nan());
        Ok(elements)
    }

    pub(super) fn label_replace(
        self,
        vector: &Expr,
        target: &str,
        replacement: &str,
        source: &str,
        pattern: &Pattern,
    ) -> Result<Vec<Element>, Error> {
        let replaced = self.vector(vector)?.into_iter().map(|(mut labels, value)| {
            let written = pattern.regex.captures(labels.get(source)).map(|captures| {
                let mut written = String::new();
                captures.expand(replacement, &mut written);
                written
            });
            if let Some(written) = written {
                labels.set(target, &written);
            }
            (labels, value)
        });
        unique("label_replace", replaced.collect())
    }

    pub(super) fn label_join(
        self,
        vector: &Expr,
        target: &str,
        separator: &str,
        sources: &[String],
    ) -> Result<Vec<Element>, Error> {
        let joined = self.vector(vector)?.into_iter().map(|(mut labels, value)| {
            let parts: Vec<&str> = sources.iter().map(|source| labels.get(source)).collect();
            let written = parts.join(separator);
            labels.set(target, &written);
            (labels, value)
        });
        unique("label_join", joined.collect())
    }
}

fn apply(function: MapFunction, value: f64, parameters: &[f64]) -> f64 {
    let parameter = |position: usize, default: f64| parameters.get(position).copied().unwrap_or(default);
    match function {
        MapFunction::Abs => value.abs(),
        MapFunction::Ceil => value.ceil(),
        MapFunction::Floor => value.floor(),
        MapFunction::Exp => value.exp(),
        MapFunction::Ln => value.ln(),
        MapFunction::Sqrt => value.sqrt(),
        MapFunction::Round => {
            // Ties go up; multiplying by the inverse keeps 0.1 and the like exact.
            let inverse = 1.0 / parameter(0, 1.0);
            (value * inverse + 0.5).floor() / inverse
        }
        MapFunction::Clamp => at_most(at_least(value, parameter(0, f64::NAN)), parameter(1, f64::NAN)),
        MapFunction::ClampMin => at_least(value, parameter(0, f64::NAN)),
        MapFunction::ClampMax => at_most(value, parameter(0, f64::NAN)),
    }
}

/// Like Go's `math.Max`: NaN wins.
fn at_least(value: f64, lowest: f64) -> f64 {
    if value.is_nan() || lowest.is_nan() { f64::NAN } else { value.max(lowest) }
}

fn at_most(value: f64, highest: f64) -> f64 {
    if value.is_nan() || highest.is_nan() { f64::NAN } else { value.min(highest) }
}
