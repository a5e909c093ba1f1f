//! A checked query: what `parse` lets through, in types that cannot hold anything else.

use regex::Regex;

/// A number that is equal to itself, NaN too, so that queries can be compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

/// A fully anchored regular expression, in which `.` also matches a newline (as in Prometheus 3).
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub text: String,
    pub regex: Regex,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        let regex = Regex::new(&format!("^(?s:{text})$"))?;
        Ok(Self { text: text.to_owned(), regex })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Equal(String),
    NotEqual(String),
    Matches(Pattern),
    NotMatches(Pattern),
}

/// One condition of a selector on one label.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    pub(crate) name: String,
    pub(crate) test: Test,
}

impl Matcher {
    pub fn label(&self) -> &str {
        &self.name
    }

    /// The value that the label must have, where exactly one will do.
    pub fn required(&self) -> Option<&str> {
        match &self.test {
            Test::Equal(value) => Some(value),
            Test::NotEqual(_) | Test::Matches(_) | Test::NotMatches(_) => None,
        }
    }

    /// Whether a value passes; a label that is not there is passed as empty.
    pub fn matches(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => wanted == value,
            Test::NotEqual(unwanted) => unwanted != value,
            Test::Matches(pattern) => pattern.regex.is_match(value),
            Test::NotMatches(pattern) => !pattern.regex.is_match(value),
        }
    }
}

/// Which series are meant, and how far back.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The metric's name is one of these, as `__name__`.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) offset_ms: i64,
}

impl Selector {
    /// The metric's name, where the selector asks for exactly one.
    pub fn metric(&self) -> Option<&str> {
        self.matchers.iter().filter(|matcher| matcher.name == crate::METRIC_NAME).find_map(Matcher::required)
    }

    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeFunction {
    Rate,
    Irate,
    Increase,
    Delta,
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
    Present,
    Quantile,
    Stddev,
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapFunction {
    Abs,
    Ceil,
    Floor,
    Exp,
    Ln,
    Sqrt,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregator {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
}

/// `by` or `on` name the labels that count; `without` or `ignoring` those that do not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Grouping {
    Only(Vec<String>),
    Except(Vec<String>),
}

impl Grouping {
    pub fn key(&self, labels: &crate::Labels) -> crate::Labels {
        match self {
            Grouping::Only(names) => labels.only(names),
            Grouping::Except(names) => labels.except(names),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetOperation {
    And,
    Or,
    Unless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Arithmetic(Arithmetic),
    /// `bool` gives 0 and 1 instead of dropping what does not compare.
    Compare {
        comparison: Comparison,
        as_bool: bool,
    },
    Set(SetOperation),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left`: many on the left, the labels named come from the right.
    ManyToOne(Vec<String>),
    /// `group_right`: many on the right, the labels named come from the left.
    OneToMany(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matching {
    pub on: Grouping,
    pub cardinality: Cardinality,
}

impl Matching {
    /// What an operator without modifiers does.
    pub fn plain() -> Self {
        Self { on: Grouping::Except(Vec::new()), cardinality: Cardinality::OneToOne }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Number(Number),
    Time,
    Select(Selector),
    Over { function: RangeFunction, parameter: Option<Box<Expr>>, selector: Selector, range_ms: i64 },
    Map { function: MapFunction, vector: Box<Expr>, parameters: Vec<Expr> },
    Negate(Box<Expr>),
    Binary { operation: Operation, left: Box<Expr>, right: Box<Expr>, matching: Matching },
    Aggregate { aggregator: Aggregator, parameter: Option<Box<Expr>>, vector: Box<Expr>, grouping: Grouping },
    Absent(Box<Expr>),
    ToVector(Box<Expr>),
    ToScalar(Box<Expr>),
    Sort { vector: Box<Expr>, descending: bool },
    HistogramQuantile { quantile: Box<Expr>, buckets: Box<Expr> },
    LabelReplace { vector: Box<Expr>, target: String, replacement: String, source: String, pattern: Pattern },
    LabelJoin { vector: Box<Expr>, target: String, separator: String, sources: Vec<String> },
}

impl Expr {
    pub fn is_scalar(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::Time | Expr::ToScalar(_) => true,
            Expr::Negate(inner) => inner.is_scalar(),
            Expr::Binary { left, right, .. } => left.is_scalar() && right.is_scalar(),
            _ => false,
        }
    }

    /// The expressions directly inside this one, parameters before vectors.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Number(_) | Expr::Time | Expr::Select(_) => Vec::new(),
            Expr::Over { parameter, .. } => parameter.iter().map(Box::as_ref).collect(),
            Expr::Map { vector, parameters, .. } => {
                parameters.iter().chain(std::iter::once(vector.as_ref())).collect()
            }
            Expr::Binary { left, right, .. } => vec![left, right],
            Expr::Aggregate { parameter, vector, .. } => {
                parameter.iter().map(Box::as_ref).chain(std::iter::once(vector.as_ref())).collect()
            }
            Expr::HistogramQuantile { quantile, buckets } => vec![quantile, buckets],
            Expr::Negate(inner) | Expr::Absent(inner) | Expr::ToVector(inner) | Expr::ToScalar(inner) => {
                vec![inner]
            }
            Expr::Sort { vector, .. }
            | Expr::LabelReplace { vector, .. }
            | Expr::LabelJoin { vector, .. } => {
                vec![vector]
            }
        }
    }
}
