//! What a query comes to, and why it may come to nothing.

use crate::labels::Labels;
use std::fmt;

/// One element of an instant vector.
pub type Element = (Labels, f64);

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(f64),
    Vector(Vec<Element>),
}

impl Value {
    /// The number, where there is exactly one.
    pub fn single(&self) -> Option<f64> {
        match self {
            Value::Scalar(value) => Some(*value),
            Value::Vector(elements) => match elements.as_slice() {
                [(_, value)] => Some(*value),
                _ => None,
            },
        }
    }

    /// All numbers, one for a scalar.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Value::Scalar(value) => vec![*value],
            Value::Vector(elements) => elements.iter().map(|(_, value)| *value).collect(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Scalar(value) => write!(f, "{value}"),
            Value::Vector(elements) => {
                for (position, (labels, value)) in elements.iter().enumerate() {
                    let between = if position == 0 { "" } else { "\n" };
                    write!(f, "{between}{labels} {value}")?;
                }
                Ok(())
            }
        }
    }
}

/// A query that is right as a text and cannot be answered over these samples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{operation}` gives more than one series with the labels {labels}")]
    DuplicateLabels { operation: String, labels: Labels },
    #[error(
        "more than one series on the {side} side of `{operation}` has the labels {labels} that are matched on"
    )]
    ManyToMany { operation: String, side: &'static str, labels: Labels },
    #[error(
        "many series match one with the labels {labels} at `{operation}`: say so with group_left or group_right"
    )]
    ManyToOne { operation: String, labels: Labels },
    #[error("`{operation}` cannot count with {parameter}")]
    Parameter { operation: String, parameter: String },
}
