//! Values with a type or a unit: text, numbers, durations, percentages, rates, choices.
//!
//! Each returns `None` after it has pushed a problem that says what was found and what is allowed.

use std::ops::RangeInclusive;
use std::time::Duration;

use meshquake_xds::source::{Problem, Problems};

use super::fields::list;
use super::{Entry, Node, Value};
use crate::problem::nearest;

const DURATIONS: &str = "a duration such as `250ms`, `10s`, `1m30s` (units: us, ms, s, m, h)";
const PERCENTAGES: &str = "a percentage from 0% to 100%, such as `99.9%`";
const RATES: &str = "a rate such as `100/s` or `600/m` (units: s, m, h)";

impl Node {
    pub fn text(&self, problems: &mut Problems) -> Option<&str> {
        if let Value::Text(text) = &self.value {
            return Some(text);
        }
        let help = match &self.value {
            Value::Bool(value) => Some(format!("write \"{value}\" in quotes")),
            Value::Int(value) => Some(format!("write \"{value}\" in quotes")),
            Value::Float(_) => Some("write it in quotes".to_owned()),
            _ => None,
        };
        let mut problem = self.expected("text");
        problem.help = help.map(Box::from);
        problems.push(problem);
        None
    }

    /// A text with at least one character that is not white.
    pub fn words(&self, problems: &mut Problems) -> Option<&str> {
        let text = self.text(problems)?;
        if text.trim().is_empty() {
            problems.push(Problem::new(&self.place, "the text is empty"));
            return None;
        }
        Some(text)
    }

    pub fn integer(&self, range: RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
        let allowed = || match (*range.start(), *range.end()) {
            (low, i64::MAX) => format!("a whole number from {low}"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        match self.value {
            Value::Int(value) if range.contains(&value) => Some(value),
            Value::Int(value) => {
                problems
                    .push(Problem::new(&self.place, format!("`{value}` is out of range")).allowed(allowed()));
                None
            }
            _ => {
                problems.push(self.expected("a whole number").allowed(allowed()));
                None
            }
        }
    }

    /// A whole number that fits `u32`, within a range.
    pub fn count(&self, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<u32> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        self.integer(range, problems).and_then(|value| u32::try_from(value).ok())
    }

    pub fn number(&self, problems: &mut Problems) -> Option<f64> {
        match self.value {
            #[expect(
                clippy::cast_precision_loss,
                reason = "bounds are small; 2^53 is far beyond any of them"
            )]
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => {
                problems.push(self.expected("a number"));
                None
            }
        }
    }

    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => {
                problems.push(self.expected("`true` or `false`"));
                None
            }
        }
    }

    pub fn list(&self, problems: &mut Problems) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => {
                problems.push(self.expected("a list"));
                None
            }
        }
    }

    /// A map whose keys are names that the author chose.
    pub fn map(&self, problems: &mut Problems) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => {
                problems.push(self.expected("a map"));
                None
            }
        }
    }

    pub fn duration(&self, problems: &mut Problems) -> Option<Duration> {
        let parsed = match &self.value {
            Value::Text(text) => parse_duration(text),
            Value::Int(value) => Err(missing_unit(&value.to_string())),
            Value::Float(value) => Err(missing_unit(&value.to_string())),
            _ => Err(None),
        };
        self.or_problem(parsed, DURATIONS, problems)
    }

    /// A share between 0 and 1, written as a percentage.
    pub fn percent(&self, problems: &mut Problems) -> Option<f64> {
        let parsed = match &self.value {
            Value::Text(text) => parse_percent(text),
            Value::Int(value) => Err(Some(format!("the sign is missing; did you mean `{value}%`?"))),
            Value::Float(value) => Err(Some(format!("the sign is missing; did you mean `{value}%`?"))),
            _ => Err(None),
        };
        self.or_problem(parsed, PERCENTAGES, problems)
    }

    /// A number of events in a second.
    pub fn rate(&self, problems: &mut Problems) -> Option<f64> {
        let parsed = match &self.value {
            Value::Text(text) => parse_rate(text),
            Value::Int(value) => Err(Some(format!("the unit is missing; did you mean `{value}/s`?"))),
            Value::Float(value) => Err(Some(format!("the unit is missing; did you mean `{value}/s`?"))),
            _ => Err(None),
        };
        self.or_problem(parsed, RATES, problems)
    }

    /// One of a closed set of words.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let word = match &self.value {
            Value::Text(text) => text.as_str(),
            _ => {
                problems.push(self.expected("a word").allowed(list(&names)));
                return None;
            }
        };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(choice.clone());
        }
        let mut problem =
            Problem::new(&self.place, format!("`{}` is not known here", super::shortened(word)))
                .allowed(list(&names));
        if let Some(near) = nearest(word, names.iter().copied()) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        problems.push(problem);
        None
    }

    fn expected(&self, what: &str) -> Problem {
        Problem::new(&self.place, format!("expected {what}, found {self}"))
    }

    fn or_problem<T>(
        &self,
        parsed: Result<T, Option<String>>,
        allowed: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(help) => {
                let what = allowed.split_once(" such as").map_or(allowed, |(what, _)| what);
                let what = what.split_once(" from").map_or(what, |(what, _)| what);
                let mut problem = self.expected(what).allowed(allowed);
                problem.help = help.map(Box::from);
                problems.push(problem);
                None
            }
        }
    }
}

fn missing_unit(number: &str) -> Option<String> {
    Some(format!("the unit is missing; did you mean `{number}s` or `{number}ms`?"))
}

/// The error is advice, where there is any.
pub fn parse_duration(text: &str) -> Result<Duration, Option<String>> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    // Units must fall, so that `1s1m` is a slip and not 61 seconds.
    let mut largest = f64::INFINITY;
    if text.is_empty() {
        return Err(None);
    }
    while !rest.is_empty() {
        let cut = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(cut);
        let value: f64 = number.parse().map_err(|_| None)?;
        if tail.is_empty() {
            return Err(missing_unit(number));
        }
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let seconds = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(Some(format!("`{unit}` is no unit of time"))),
        };
        if seconds >= largest {
            return Err(Some("write larger units first and each once".to_owned()));
        }
        largest = seconds;
        let part = Duration::try_from_secs_f64(value * seconds).map_err(|_| None)?;
        // A year is a slip of the pen, and sums of larger values overflow in arithmetic on times.
        total = total.checked_add(part).filter(|sum| sum.as_secs() <= 366 * 24 * 3600).ok_or(None)?;
        rest = tail;
    }
    Ok(total)
}

fn parse_percent(text: &str) -> Result<f64, Option<String>> {
    let Some(number) = text.strip_suffix('%') else {
        return Err(text
            .parse::<f64>()
            .is_ok()
            .then(|| format!("the sign is missing; did you mean `{text}%`?")));
    };
    if !plain_decimal(number) {
        return Err(None);
    }
    // Shifting the decimal exponent keeps 99.9% exactly 0.999, which division does not.
    let share: f64 = format!("{number}e-2").parse().map_err(|_| None)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(Some("a share is between 0% and 100%".to_owned()))
    }
}

fn parse_rate(text: &str) -> Result<f64, Option<String>> {
    let Some((number, unit)) = text.split_once('/') else {
        return Err(plain_decimal(text).then(|| format!("the unit is missing; did you mean `{text}/s`?")));
    };
    let (number, unit) = (number.trim(), unit.trim());
    if !plain_decimal(number) {
        return Err(None);
    }
    let value: f64 = number.parse().map_err(|_| None)?;
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(Some(format!("`{unit}` is no unit of time"))),
    };
    if value > 0.0 { Ok(value / seconds) } else { Err(Some("a rate is more than 0".to_owned())) }
}

fn plain_decimal(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().filter(|byte| *byte == b'.').count() <= 1
}
