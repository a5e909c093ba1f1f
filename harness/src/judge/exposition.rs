//! A page of metrics as text, read without losing a character of a label's value.
//!
//! `prometheus-parse` cuts labels at every comma and equal sign and never unescapes. So each quoted value is encoded
//! into letters before it sees the line, and decoded after it. A line that is not understood and equal labels twice
//! on one page are errors: a page that is read in part would judge in part.

use std::collections::{BTreeMap, BTreeSet};

use meshquake_promql::{Labels, METRIC_NAME};
use prometheus_parse::{LineInfo, SampleType};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("line {line} is no metric: `{text}`")]
    NotUnderstood { line: usize, text: String },
    #[error("line {line}: `{value}` is no number")]
    NoNumber { line: usize, value: String },
    #[error("line {line}: the labels {labels} are on the page twice")]
    Twice { line: usize, labels: Labels },
}

/// One value of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub labels: Labels,
    pub value: f64,
    /// It counts up from zero, so before it was first seen it was zero.
    pub counts: bool,
    /// Milliseconds, where the page says so.
    pub at: Option<i64>,
}

/// Reads a page as Envoy and applications write it, with Istio's names for what Envoy's stats logger counts.
pub fn read(page: &str) -> Result<Vec<Reading>, Error> {
    read_kept(page, |_| true)
}

/// [`read`], but only of metrics whose name on the page `keep` wants: the others cost no more than a look at their name.
pub fn read_kept(page: &str, keep: impl Fn(&str) -> bool) -> Result<Vec<Reading>, Error> {
    let mut kinds: BTreeMap<String, SampleType> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut readings = Vec::new();
    for (index, text) in page.lines().enumerate() {
        let line = index + 1;
        if name_of(text).is_some_and(|name| !keep(name)) {
            continue;
        }
        let encoded =
            encode_line(text).ok_or_else(|| Error::NotUnderstood { line, text: shortened(text) })?;
        match LineInfo::parse(&encoded) {
            LineInfo::Type { metric_name, metric_alias, sample_type } => {
                kinds.insert(metric_alias.unwrap_or(metric_name), sample_type);
            }
            LineInfo::Sample { metric_name, labels, value, timestamp } => {
                let counts = counts(&kinds, metric_name);
                let labels = labels_of(metric_name, labels.unwrap_or(""))
                    .ok_or_else(|| Error::NotUnderstood { line, text: shortened(text) })?;
                if !seen.insert(labels.clone()) {
                    return Err(Error::Twice { line, labels });
                }
                let value = number(value).ok_or_else(|| Error::NoNumber { line, value: value.to_owned() })?;
                let at = timestamp.and_then(|at| at.parse().ok());
                readings.push(Reading { labels, value, counts, at });
            }
            LineInfo::Empty | LineInfo::Doc { .. } => {}
            LineInfo::Ignored if encoded.trim_start().starts_with('#') => {}
            LineInfo::Ignored => return Err(Error::NotUnderstood { line, text: shortened(text) }),
        }
    }
    Ok(readings)
}

/// The metric that a line is about, as far as that shows without reading the line.
fn name_of(line: &str) -> Option<&str> {
    let name = match line.strip_prefix("# ") {
        Some(comment) => comment.strip_prefix("TYPE ").or_else(|| comment.strip_prefix("HELP "))?,
        None => line,
    };
    name.split(['{', ' ']).next().filter(|name| !name.is_empty())
}

fn counts(kinds: &BTreeMap<String, SampleType>, name: &str) -> bool {
    let is = |base: &str, wanted| kinds.get(base).is_some_and(|kind| *kind == wanted);
    let part_of = |ending, wanted| name.strip_suffix(ending).is_some_and(|base| is(base, wanted));
    is(name, SampleType::Counter)
        || part_of("_total", SampleType::Counter)
        || ["_bucket", "_sum", "_count"].iter().any(|ending| part_of(ending, SampleType::Histogram))
}

/// The metric's name and its labels, decoded; Istio's metrics under Istio's names.
fn labels_of(name: &str, encoded: &str) -> Option<Labels> {
    let name = name.strip_prefix("envoy_").filter(|rest| rest.starts_with("istio_")).unwrap_or(name);
    let mut labels = Labels::named(name);
    for pair in encoded.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=')?;
        let value = decode(value.strip_prefix('"')?.strip_suffix('"')?)?;
        if label.is_empty() || !labels.get(label).is_empty() {
            return None;
        }
        // An empty label is no label; Istio says `unknown` where it does not know.
        let unknown = value.is_empty() && name.starts_with("istio_");
        labels.set(label, if unknown { "unknown" } else { &value });
    }
    (labels.get(METRIC_NAME) == name).then_some(labels)
}

/// The line with every quoted value in letters that the parser passes on; `None` where a quote is not closed.
fn encode_line(line: &str) -> Option<String> {
    if line.trim_start().starts_with('#') {
        return Some(line.to_owned());
    }
    let mut encoded = String::with_capacity(line.len());
    let mut rest = line.chars();
    let mut in_braces = false;
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                encoded.push('"');
                encode(&quoted(&mut rest)?, &mut encoded);
                encoded.push('"');
            }
            '{' => {
                in_braces = true;
                encoded.push(c);
            }
            '}' => {
                in_braces = false;
                encoded.push(c);
            }
            c if in_braces && c.is_whitespace() => {}
            c => encoded.push(c),
        }
    }
    // The parser wants something between the braces.
    Some(encoded.replace("{}", ""))
}

/// What stands up to the closing quote, unescaped.
fn quoted(rest: &mut std::str::Chars<'_>) -> Option<String> {
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                // The format knows no other escapes: both characters are meant.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
}

/// Letters, digits and a few signs stay; each other byte becomes `%` and two hexadecimal digits.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/') {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02x}"));
        }
    }
}

fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        rest = after;
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(*high)? * 16 + digit(*low)?);
    }
    String::from_utf8(bytes).ok()
}

/// A number as the format writes it; Rust reads `NaN`, `+Inf` and the rest alike.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A label's value as the format writes it.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(page: &str) -> Reading {
        let mut readings = read(page).expect(page);
        assert_eq!(readings.len(), 1, "{readings:?}");
        readings.remove(0)
    }

    #[test]
    fn istio_keeps_its_names() {
        let page = "# TYPE envoy_istio_requests_total counter\n\
            envoy_istio_requests_total{reporter=\"source\",source_workload=\"a-v1\",destination_principal=\"\"} 7\n";
        let reading = one(page);
        let expected = Labels::named("istio_requests_total")
            .with("reporter", "source")
            .with("source_workload", "a-v1")
            .with("destination_principal", "unknown");
        assert_eq!(reading, Reading { labels: expected, value: 7.0, counts: true, at: None });
    }

    #[test]
    fn only_istio_knows_unknown() {
        assert_eq!(one("envoy_cluster_x{name=\"\"} 1\n").labels, Labels::named("envoy_cluster_x"));
    }

    #[test]
    fn what_counts_up_is_told_from_what_does_not() {
        let page = "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_sum 3\nh_count{} 1\n\
            # TYPE g gauge\ng 1\n# TYPE c counter\nc_total 1 1700000000000\nu NaN\n";
        let readings = read(page).expect("understood");
        let counts: Vec<_> =
            readings.iter().map(|reading| (reading.labels.metric(), reading.counts)).collect();
        let expected = [
            ("h_bucket", true),
            ("h_sum", true),
            ("h_count", true),
            ("g", false),
            ("c_total", true),
            ("u", false),
        ];
        assert_eq!(counts, expected);
        assert_eq!(readings[0].labels.get("le"), "0.5");
        assert_eq!(readings[4].at, Some(1_700_000_000_000));
        assert!(readings[5].value.is_nan());
    }

    #[test]
    fn a_page_that_is_not_whole_is_an_error() {
        let table = [
            ("a{x=\"1\"} 1\na{x=\"1\"} 2\n", "line 2: the labels a{x=\"1\"} are on the page twice"),
            // Two spellings of what Istio calls unknown are one label set.
            (
                "istio_x{a=\"\"} 1\nistio_x{a=\"unknown\"} 2\n",
                "line 2: the labels istio_x{a=\"unknown\"} are on the page twice",
            ),
            ("<html>\n", "line 1 is no metric: `<html>`"),
            ("a{x=\"1} 2\n", "line 1 is no metric: `a{x=\"1} 2`"),
            ("a{x=1} 2\n", "line 1 is no metric: `a{x=1} 2`"),
            ("a{x=\"1\",x=\"2\"} 2\n", "line 1 is no metric: `a{x=\"1\",x=\"2\"} 2`"),
            ("a many\n", "line 1: `many` is no number"),
        ];
        for (page, expected) in table {
            assert_eq!(read(page).expect_err(page).to_string(), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_label_value_survives(
            values in prop::collection::vec("(\\PC|[,={}\"\\\\\n\t #%]){1,12}", 1..4),
            value in prop::num::f64::NORMAL,
        ) {
            let labels: Labels = values
                .iter()
                .enumerate()
                .map(|(index, value)| (format!("l{index}"), value.clone()))
                .collect::<Labels>()
                .with(METRIC_NAME, "m_total");
            let pairs: Vec<_> = labels
                .iter()
                .filter(|(name, _)| *name != METRIC_NAME)
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
                .collect();
            let reading = one(&format!("m_total{{{}}} {value}\n", pairs.join(", ")));
            prop_assert_eq!(reading.labels, labels);
            prop_assert_eq!(reading.value, value);
        }

        #[test]
        fn any_page_is_read_or_refused(page in "(\\PC|[,={}\"\\\\\n #]){0,60}") {
            let _either = read(&page);
        }
    }
}
