//! A query as text, in one canonical form that reads back as the same query.

use crate::expr::{Arithmetic, Number};
use crate::expr::{Cardinality, Expr, Grouping, Matcher, Matching, Operation, Selector, SetOperation, Test};
use crate::labels::METRIC_NAME;
use crate::names::{self, AGGREGATORS, MAP_FUNCTIONS, RANGE_FUNCTIONS};
use std::fmt::{self, Display, Formatter};

/// Words that cannot stand where a metric's name is expected, in lower case.
const RESERVED: [&str; 24] = [
    "and",
    "or",
    "unless",
    "atan2",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "smoothed",
    "anchored",
    "fill",
    "fill_left",
    "fill_right",
    "start",
    "end",
    "step",
    "inf",
    "nan",
    "limitk",
    "limit_ratio",
];

/// A string literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", promql_parser::util::escape_string(text))
}

fn is_identifier(name: &str, also_colon: bool) -> bool {
    let fits = |c: char, first: bool| {
        c == '_' || c.is_ascii_alphabetic() || (also_colon && c == ':') || (!first && c.is_ascii_digit())
    };
    !name.is_empty() && name.chars().enumerate().all(|(position, c)| fits(c, position == 0))
}

fn is_plain_metric(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_identifier(name, true)
        && !name.starts_with(':')
        && !RESERVED.contains(&lower.as_str())
        && !names::is_callable(&lower)
        && lower != "count_values"
}

fn label(name: &str) -> String {
    if is_identifier(name, false) { name.to_owned() } else { quoted(name) }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| label(name)).collect::<Vec<_>>().join(", ")
}

/// A length of time as the language writes it.
pub(crate) fn duration(ms: i64) -> String {
    let mut left = ms.unsigned_abs();
    let mut text = String::from(if ms < 0 { "-" } else { "" });
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if left >= length {
            text.push_str(&format!("{}{unit}", left / length));
            left %= length;
        }
    }
    if ms == 0 { "0s".to_owned() } else { text }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (operator, value) = match &self.test {
            Test::Equal(value) => ("=", value),
            Test::NotEqual(value) => ("!=", value),
            Test::Matches(pattern) => ("=~", &pattern.text),
            Test::NotMatches(pattern) => ("!~", &pattern.text),
        };
        write!(f, "{}{operator}{}", label(&self.name), quoted(value))
    }
}

impl Selector {
    /// The selector, with a range's brackets where they belong: before the offset.
    fn write(&self, f: &mut Formatter<'_>, range_ms: Option<i64>) -> fmt::Result {
        // Only the first matcher can be the bare name: the order of matchers is part of a query.
        let bare = self.matchers.first().filter(|matcher| matcher.name == METRIC_NAME);
        let bare = bare.and_then(Matcher::required).filter(|name| is_plain_metric(name));
        // A second matcher on the name next to a bare one is not valid syntax.
        let names = self.matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).count();
        let bare = bare.filter(|_| names == 1);
        f.write_str(bare.unwrap_or_default())?;
        let in_braces = self.matchers.get(usize::from(bare.is_some())..).unwrap_or(&[]);
        if !in_braces.is_empty() {
            let matchers: Vec<_> = in_braces.iter().map(Matcher::to_string).collect();
            write!(f, "{{{}}}", matchers.join(","))?;
        }
        if let Some(range_ms) = range_ms {
            write!(f, "[{}]", duration(range_ms))?;
        }
        if self.offset_ms != 0 {
            write!(f, " offset {}", duration(self.offset_ms))?;
        }
        Ok(())
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl Operation {
    /// How tightly it binds its operands.
    fn strength(self) -> u8 {
        match self {
            Operation::Set(SetOperation::Or) => 1,
            Operation::Set(SetOperation::And | SetOperation::Unless) => 2,
            Operation::Compare { .. } => 3,
            Operation::Arithmetic(Arithmetic::Add | Arithmetic::Subtract) => 4,
            Operation::Arithmetic(Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Modulo) => 5,
            Operation::Arithmetic(Arithmetic::Power) => 6,
        }
    }
}

/// An operand, in parentheses where the reader would otherwise bind it differently.
fn operand(f: &mut Formatter<'_>, inner: &Expr, outer: Operation, is_left: bool) -> fmt::Result {
    let needs = match inner {
        Expr::Binary { operation, .. } => {
            let same_side = is_left != (outer.strength() == 6);
            operation.strength() < outer.strength()
                || (operation.strength() == outer.strength() && !same_side)
        }
        Expr::Negate(_) => outer.strength() == 6,
        Expr::Number(number) => number.0.is_sign_negative() && outer.strength() == 6,
        _ => false,
    };
    if needs { write!(f, "({inner})") } else { write!(f, "{inner}") }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.on {
            Grouping::Only(names) => write!(f, " on ({})", list(names))?,
            Grouping::Except(names) if names.is_empty() && self.cardinality == Cardinality::OneToOne => {}
            Grouping::Except(names) => write!(f, " ignoring ({})", list(names))?,
        }
        match &self.cardinality {
            Cardinality::OneToOne => Ok(()),
            Cardinality::ManyToOne(names) => write!(f, " group_left ({})", list(names)),
            Cardinality::OneToMany(names) => write!(f, " group_right ({})", list(names)),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(number) => write!(f, "{number}"),
            Expr::Time => f.write_str("time()"),
            Expr::Select(selector) => write!(f, "{selector}"),
            Expr::Over { function, parameter, selector, range_ms } => {
                write!(f, "{}(", names::name_of(&RANGE_FUNCTIONS, *function))?;
                if let Some(parameter) = parameter {
                    write!(f, "{parameter}, ")?;
                }
                selector.write(f, Some(*range_ms))?;
                f.write_str(")")
            }
            Expr::Map { function, vector, parameters } => {
                write!(f, "{}({vector}", names::name_of(&MAP_FUNCTIONS, *function))?;
                for parameter in parameters {
                    write!(f, ", {parameter}")?;
                }
                f.write_str(")")
            }
            Expr::Negate(inner) if matches!(**inner, Expr::Binary { .. }) => write!(f, "-({inner})"),
            Expr::Negate(inner) => write!(f, "-{inner}"),
            Expr::Binary { operation, left, right, matching } => {
                operand(f, left, *operation, true)?;
                write!(f, " {}", names::operator(*operation))?;
                if matches!(operation, Operation::Compare { as_bool: true, .. }) {
                    f.write_str(" bool")?;
                }
                write!(f, "{matching} ")?;
                operand(f, right, *operation, false)
            }
            Expr::Aggregate { aggregator, parameter, vector, grouping } => {
                f.write_str(names::name_of(&AGGREGATORS, *aggregator))?;
                match grouping {
                    Grouping::Only(names) if names.is_empty() => f.write_str("(")?,
                    Grouping::Only(names) => write!(f, " by ({}) (", list(names))?,
                    Grouping::Except(names) => write!(f, " without ({}) (", list(names))?,
                }
                if let Some(parameter) = parameter {
                    write!(f, "{parameter}, ")?;
                }
                write!(f, "{vector})")
            }
            Expr::Absent(inner) => write!(f, "absent({inner})"),
            Expr::ToVector(inner) => write!(f, "vector({inner})"),
            Expr::ToScalar(inner) => write!(f, "scalar({inner})"),
            Expr::Sort { vector, descending: false } => write!(f, "sort({vector})"),
            Expr::Sort { vector, descending: true } => write!(f, "sort_desc({vector})"),
            Expr::HistogramQuantile { quantile, buckets } => {
                write!(f, "histogram_quantile({quantile}, {buckets})")
            }
            Expr::LabelReplace { vector, target, replacement, source, pattern } => write!(
                f,
                "label_replace({vector}, {}, {}, {}, {})",
                quoted(target),
                quoted(replacement),
                quoted(source),
                quoted(&pattern.text)
            ),
            Expr::LabelJoin { vector, target, separator, sources } => {
                write!(f, "label_join({vector}, {}, {}", quoted(target), quoted(separator))?;
                for source in sources {
                    write!(f, ", {}", quoted(source))?;
                }
                f.write_str(")")
            }
        }
    }
}
