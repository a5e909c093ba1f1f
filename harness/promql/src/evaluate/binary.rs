//! Operators between numbers and vectors, and how the elements of two vectors find each other.

use super::{Evaluation, unique};
use crate::expr::{Arithmetic, Cardinality, Comparison, Expr, Grouping, Matching, Operation, SetOperation};
use crate::labels::{Labels, METRIC_NAME};
use crate::names::operator;
use crate::value::{Element, Error};
use std::collections::{BTreeMap, BTreeSet};

impl Evaluation<'_> {
    pub(super) fn binary(
        self,
        operation: Operation,
        left: &Expr,
        right: &Expr,
        matching: &Matching,
    ) -> Result<Vec<Element>, Error> {
        match (left.is_scalar(), right.is_scalar()) {
            (true, _) => {
                let (number, elements) = (self.scalar(left)?, self.vector(right)?);
                with_number(operation, elements, |value| (number, value))
            }
            (_, true) => {
                let (elements, number) = (self.vector(left)?, self.scalar(right)?);
                with_number(operation, elements, |value| (value, number))
            }
            _ => {
                let (left, right) = (self.vector(left)?, self.vector(right)?);
                match operation {
                    Operation::Set(set) => Ok(sets(set, left, right, &matching.on)),
                    _ => vectors(operation, left, right, matching),
                }
            }
        }
    }
}

pub(crate) fn scalars(operation: Operation, left: f64, right: f64) -> f64 {
    match operation {
        Operation::Arithmetic(arithmetic) => compute(arithmetic, left, right),
        Operation::Compare { comparison, .. } => f64::from(u8::from(compare(comparison, left, right))),
        // `parse` allows these between vectors only.
        Operation::Set(_) => f64::NAN,
    }
}

fn compute(arithmetic: Arithmetic, left: f64, right: f64) -> f64 {
    match arithmetic {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Modulo => left % right,
        Arithmetic::Power => left.powf(right),
    }
}

fn compare(comparison: Comparison, left: f64, right: f64) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Greater => left > right,
        Comparison::Less => left < right,
        Comparison::GreaterOrEqual => left >= right,
        Comparison::LessOrEqual => left <= right,
    }
}

/// A result, or nothing where a comparison drops the element. A comparison keeps the value on its left.
fn outcome(operation: Operation, left: f64, right: f64) -> Option<f64> {
    match operation {
        Operation::Compare { comparison, as_bool: false } => compare(comparison, left, right).then_some(left),
        _ => Some(scalars(operation, left, right)),
    }
}

/// A comparison that only filters keeps the metric's name; what computes a new value has none.
fn drops_name(operation: Operation) -> bool {
    !matches!(operation, Operation::Compare { as_bool: false, .. } | Operation::Set(_))
}

fn with_number(
    operation: Operation,
    elements: Vec<Element>,
    sides: impl Fn(f64) -> (f64, f64),
) -> Result<Vec<Element>, Error> {
    let kept = elements.into_iter().filter_map(|(labels, value)| {
        let (left, right) = sides(value);
        let result = outcome(operation, left, right)?;
        // The vector's value is kept, on whichever side it stands.
        let result = if drops_name(operation) { result } else { value };
        Some((if drops_name(operation) { labels.without_name() } else { labels }, result))
    });
    unique(operator(operation), kept.collect())
}

fn sets(set: SetOperation, left: Vec<Element>, right: Vec<Element>, on: &Grouping) -> Vec<Element> {
    let keys = |elements: &[Element]| -> BTreeSet<Labels> {
        elements.iter().map(|(labels, _)| on.key(labels)).collect()
    };
    match set {
        SetOperation::And => {
            let wanted = keys(&right);
            left.into_iter().filter(|(labels, _)| wanted.contains(&on.key(labels))).collect()
        }
        SetOperation::Unless => {
            let unwanted = keys(&right);
            left.into_iter().filter(|(labels, _)| !unwanted.contains(&on.key(labels))).collect()
        }
        SetOperation::Or => {
            let there = keys(&left);
            let added = right.into_iter().filter(|(labels, _)| !there.contains(&on.key(labels)));
            left.into_iter().chain(added).collect()
        }
    }
}

fn vectors(
    operation: Operation,
    left: Vec<Element>,
    right: Vec<Element>,
    matching: &Matching,
) -> Result<Vec<Element>, Error> {
    let swapped = matches!(matching.cardinality, Cardinality::OneToMany(_));
    let (many, one, one_side) = if swapped { (right, left, "left") } else { (left, right, "right") };
    let name = || operator(operation).to_owned();
    let mut ones: BTreeMap<Labels, Element> = BTreeMap::new();
    for element in one {
        let key = matching.on.key(&element.0);
        if ones.contains_key(&key) {
            return Err(Error::ManyToMany { operation: name(), side: one_side, labels: key });
        }
        ones.insert(key, element);
    }
    let mut matched = BTreeSet::new();
    let mut results = Vec::new();
    for (labels, value) in many {
        let key = matching.on.key(&labels);
        let Some((one_labels, one_value)) = ones.get(&key) else { continue };
        let (left, right) = if swapped { (*one_value, value) } else { (value, *one_value) };
        let Some(result) = outcome(operation, left, right) else { continue };
        if matching.cardinality == Cardinality::OneToOne && !matched.insert(key.clone()) {
            return Err(Error::ManyToOne { operation: name(), labels: key });
        }
        results.push((result_labels(operation, labels, one_labels, matching), result));
    }
    unique(operator(operation), results)
}

fn result_labels(operation: Operation, many: Labels, one: &Labels, matching: &Matching) -> Labels {
    let mut labels = if drops_name(operation) { many.without_name() } else { many };
    match &matching.cardinality {
        Cardinality::OneToOne => match &matching.on {
            Grouping::Only(names) => labels = labels.only(names),
            Grouping::Except(names) => names.iter().for_each(|name| labels.remove(name)),
        },
        Cardinality::ManyToOne(included) | Cardinality::OneToMany(included) => {
            for name in included.iter().filter(|name| *name != METRIC_NAME || !drops_name(operation)) {
                labels.set(name, one.get(name));
            }
        }
    }
    labels
}
