//! A page of metrics as text, read without losing a character of a label's value.
//!
//! `prometheus-parse` cuts labels at every comma and equal sign and never unescapes. So each quoted value is encoded
//! into letters before it sees the line, and decoded after it. A line that is not understood and equal labels twice
//! on one page are errors: a page that is read in part would judge in part.
//!
//! The same series come again each second, so what the text of one means is worked out once for each target: see [`Pages`].

mod letters;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use meshquake_promql::{Labels, METRIC_NAME};
use prometheus_parse::{LineInfo, SampleType};

use self::letters::{decode, encode_line};

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
    /// No page before has had this series.
    pub new: bool,
}

/// Reads a page as Envoy and applications write it, with Istio's names for what Envoy's stats logger counts.
pub fn read(page: &str) -> Result<Vec<Reading>, Error> {
    Pages::default().read(page, |_| true, |labels| labels)
}

/// Reads the pages of one target, one after the other.
#[derive(Default)]
pub struct Pages {
    series: Vec<Series>,
    /// Where in `series`, by the text on a page; several texts may mean the same.
    texts: HashMap<String, usize>,
    /// And by what it was shaped to.
    known: HashMap<Labels, usize>,
    /// How many have been read.
    page: u64,
}

struct Series {
    /// As on the page, with Istio's names.
    labels: Labels,
    /// As whoever reads wants them.
    shaped: Labels,
    counts: bool,
    /// The last page that had it.
    page: u64,
}

/// A line's series by its position, and what else the line says.
struct Line<'p> {
    series: usize,
    new: bool,
    value: Cow<'p, str>,
    at: Option<i64>,
}

impl Pages {
    /// Reads metrics whose name on the page `keep` wants (the others cost no more than a look at their name), under the
    /// labels that `shape` makes of the page's. Both must mean the same at each call.
    pub fn read(
        &mut self,
        page: &str,
        keep: impl Fn(&str) -> bool,
        shape: impl Fn(Labels) -> Labels,
    ) -> Result<Vec<Reading>, Error> {
        self.page += 1;
        let mut kinds = None;
        let mut readings = Vec::new();
        for (index, text) in page.lines().enumerate() {
            let line = index + 1;
            if text.starts_with('#') || name_of(text).is_some_and(|name| !keep(name)) {
                continue;
            }
            let found = match self.find(text) {
                Some(found) => found,
                None => {
                    let kinds = kinds.get_or_insert_with(|| kinds_of(page));
                    let Some(learnt) = self.learn(line, text, kinds, &shape)? else { continue };
                    learnt
                }
            };
            let series = &mut self.series[found.series];
            if series.page == self.page {
                return Err(Error::Twice { line, labels: series.labels.clone() });
            }
            series.page = self.page;
            let value = number(&found.value)
                .ok_or_else(|| Error::NoNumber { line, value: found.value.into_owned() })?;
            let (labels, counts) = (series.shaped.clone(), series.counts);
            readings.push(Reading { labels, value, counts, at: found.at, new: found.new });
        }
        Ok(readings)
    }

    /// The series of all pages until now.
    pub fn all(&self) -> impl Iterator<Item = &Labels> {
        self.series.iter().map(|series| &series.shaped)
    }

    /// Those that the page before the last had and the last has not.
    pub fn gone(&self) -> impl Iterator<Item = &Labels> {
        self.series.iter().filter(|series| series.page + 1 == self.page).map(|series| &series.shaped)
    }

    /// A line whose series was there before.
    fn find<'p>(&self, text: &'p str) -> Option<Line<'p>> {
        let (series, value, at) = parts(text)?;
        let series = *self.texts.get(series)?;
        Some(Line { series, new: false, value: Cow::Borrowed(value), at })
    }

    /// A line whose series has to be understood; nothing for what is none.
    fn learn(
        &mut self,
        line: usize,
        text: &str,
        kinds: &BTreeMap<String, SampleType>,
        shape: impl Fn(Labels) -> Labels,
    ) -> Result<Option<Line<'static>>, Error> {
        let not_understood = || Error::NotUnderstood { line, text: shortened(text) };
        let encoded = encode_line(text).ok_or_else(not_understood)?;
        let (name, labels, value, at) = match LineInfo::parse(&encoded) {
            LineInfo::Sample { metric_name, labels, value, timestamp } => {
                (metric_name, labels.unwrap_or(""), value, timestamp)
            }
            LineInfo::Empty | LineInfo::Doc { .. } | LineInfo::Type { .. } => return Ok(None),
            LineInfo::Ignored if encoded.trim_start().starts_with('#') => return Ok(None),
            LineInfo::Ignored => return Err(not_understood()),
        };
        let labels = labels_of(name, labels).ok_or_else(not_understood)?;
        let shaped = shape(labels.clone());
        let new = !self.known.contains_key(&shaped);
        if new {
            self.known.insert(shaped.clone(), self.series.len());
            self.series.push(Series { labels, shaped: shaped.clone(), counts: counts(kinds, name), page: 0 });
        }
        let series = self.known[&shaped];
        let at = at.and_then(|at| at.parse().ok());
        // A line that can be cut in two ways is read in the long way each time.
        if let Some((text, ..)) = parts(text).filter(|(_, short, time)| *short == value && *time == at) {
            self.texts.insert(text.to_owned(), series);
        }
        Ok(Some(Line { series, new, value: Cow::Owned(value.to_owned()), at }))
    }
}

/// The text of a line's series, its value, and its time where it has one; nothing for what is written otherwise than
/// programs write it.
fn parts(line: &str) -> Option<(&str, &str, Option<i64>)> {
    // No value and no time has a brace, so the last one closes the labels.
    let end = match line.rfind('}') {
        Some(at) => at + 1,
        None => line.find(' ')?,
    };
    let (series, rest) = line.split_at(end);
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?;
    let at = words.next().map(|at| at.parse::<i64>().ok());
    match (at, words.next()) {
        (None, None) => Some((series, value, None)),
        (Some(Some(at)), None) => Some((series, value, Some(at))),
        _ => None,
    }
}

/// What the page says of its metrics.
fn kinds_of(page: &str) -> BTreeMap<String, SampleType> {
    let comments = page.lines().filter(|line| line.trim_start().starts_with('#'));
    let types = comments.filter_map(|line| match LineInfo::parse(line) {
        LineInfo::Type { metric_name, metric_alias, sample_type } => {
            Some((metric_alias.unwrap_or(metric_name), sample_type))
        }
        _ => None,
    });
    types.collect()
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
        assert_eq!(reading, Reading { labels: expected, value: 7.0, counts: true, at: None, new: true });
    }

    #[test]
    fn what_a_series_means_is_kept_and_its_values_are_not() {
        let mut pages = Pages::default();
        let mut read = |page: &str| {
            let shape = |labels: Labels| labels.with("pod", "p");
            let readings = pages.read(page, |name| name != "left_out", shape);
            let told = |reading: Reading| {
                format!(
                    "{} {} {:?} {} {}",
                    reading.labels, reading.value, reading.at, reading.counts, reading.new
                )
            };
            readings
                .map(|all| all.into_iter().map(told).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        let first = "# TYPE c counter\nc{a=\"} 1\"} 1\nleft_out 3\ng 2 7\n";
        let expected = ["c{a=\"} 1\", pod=\"p\"} 1 None true true", "g{pod=\"p\"} 2 Some(7) false true"];
        assert_eq!(read(first).as_deref(), Ok(&expected.map(str::to_owned)[..]));
        // The same series with other values, one of them no more, and one that comes under two texts.
        let second = read("# TYPE c counter\nc{a=\"} 1\"} 5\nd{x=\"1\",y=\"2\"} 1\n");
        let expected =
            ["c{a=\"} 1\", pod=\"p\"} 5 None true false", "d{pod=\"p\", x=\"1\", y=\"2\"} 1 None false true"];
        assert_eq!(second.as_deref(), Ok(&expected.map(str::to_owned)[..]));
        let twice = read("d{x=\"1\",y=\"2\"} 1\nd{y=\"2\",x=\"1\"} 1\n").expect_err("one series");
        assert!(twice.starts_with("line 2: ") && twice.ends_with("are on the page twice"), "{twice}");
        // Cut at its last brace this is another line.
        let odd = "a{x=\"1\"} 3_sum{} 4\n";
        assert_eq!([read(odd), read(odd)], [(); 2].map(|()| Err("line 1: `3_sum` is no number".to_owned())));
        // What is known by its beginning is still read to its end.
        assert_eq!(read("g many\n").expect_err("no number"), "line 1: `many` is no number");
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
