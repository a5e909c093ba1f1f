//! Every name of the language that is understood, once: reading and writing both use these tables.

use crate::expr::{Aggregator, Arithmetic, Comparison, MapFunction, Operation, RangeFunction, SetOperation};

pub(crate) const RANGE_FUNCTIONS: [(&str, RangeFunction); 14] = [
    ("rate", RangeFunction::Rate),
    ("irate", RangeFunction::Irate),
    ("increase", RangeFunction::Increase),
    ("delta", RangeFunction::Delta),
    ("avg_over_time", RangeFunction::Avg),
    ("min_over_time", RangeFunction::Min),
    ("max_over_time", RangeFunction::Max),
    ("sum_over_time", RangeFunction::Sum),
    ("count_over_time", RangeFunction::Count),
    ("last_over_time", RangeFunction::Last),
    ("present_over_time", RangeFunction::Present),
    ("quantile_over_time", RangeFunction::Quantile),
    ("stddev_over_time", RangeFunction::Stddev),
    ("absent_over_time", RangeFunction::Absent),
];

pub(crate) const MAP_FUNCTIONS: [(&str, MapFunction); 10] = [
    ("abs", MapFunction::Abs),
    ("ceil", MapFunction::Ceil),
    ("floor", MapFunction::Floor),
    ("exp", MapFunction::Exp),
    ("ln", MapFunction::Ln),
    ("sqrt", MapFunction::Sqrt),
    ("round", MapFunction::Round),
    ("clamp", MapFunction::Clamp),
    ("clamp_min", MapFunction::ClampMin),
    ("clamp_max", MapFunction::ClampMax),
];

pub(crate) const OTHER_FUNCTIONS: [&str; 9] = [
    "time",
    "vector",
    "scalar",
    "absent",
    "sort",
    "sort_desc",
    "histogram_quantile",
    "label_replace",
    "label_join",
];

pub(crate) const AGGREGATORS: [(&str, Aggregator); 11] = [
    ("sum", Aggregator::Sum),
    ("avg", Aggregator::Avg),
    ("min", Aggregator::Min),
    ("max", Aggregator::Max),
    ("count", Aggregator::Count),
    ("group", Aggregator::Group),
    ("stddev", Aggregator::Stddev),
    ("stdvar", Aggregator::Stdvar),
    ("topk", Aggregator::Topk),
    ("bottomk", Aggregator::Bottomk),
    ("quantile", Aggregator::Quantile),
];

const ARITHMETIC: [(&str, Arithmetic); 6] = [
    ("+", Arithmetic::Add),
    ("-", Arithmetic::Subtract),
    ("*", Arithmetic::Multiply),
    ("/", Arithmetic::Divide),
    ("%", Arithmetic::Modulo),
    ("^", Arithmetic::Power),
];

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
];

const SETS: [(&str, SetOperation); 3] =
    [("and", SetOperation::And), ("or", SetOperation::Or), ("unless", SetOperation::Unless)];

pub(crate) fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

pub(crate) fn name_of<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

pub(crate) fn operation(text: &str, as_bool: bool) -> Option<Operation> {
    find(&ARITHMETIC, text)
        .map(Operation::Arithmetic)
        .or_else(|| find(&SETS, text).map(Operation::Set))
        .or_else(|| find(&COMPARISONS, text).map(|comparison| Operation::Compare { comparison, as_bool }))
}

pub(crate) fn operator(operation: Operation) -> &'static str {
    match operation {
        Operation::Arithmetic(arithmetic) => name_of(&ARITHMETIC, arithmetic),
        Operation::Compare { comparison, .. } => name_of(&COMPARISONS, comparison),
        Operation::Set(set) => name_of(&SETS, set),
    }
}

/// Whether a word with a parenthesis after it calls something that is understood.
pub(crate) fn is_callable(word: &str) -> bool {
    find(&RANGE_FUNCTIONS, word).is_some()
        || find(&MAP_FUNCTIONS, word).is_some()
        || find(&AGGREGATORS, word).is_some()
        || OTHER_FUNCTIONS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_one_thing() {
        for (name, function) in RANGE_FUNCTIONS {
            assert_eq!(name_of(&RANGE_FUNCTIONS, function), name);
        }
        for (name, aggregator) in AGGREGATORS {
            assert_eq!(name_of(&AGGREGATORS, aggregator), name);
        }
        for (name, function) in MAP_FUNCTIONS {
            assert_eq!(name_of(&MAP_FUNCTIONS, function), name);
        }
    }
}
