//! A query that was understood whole, and what can be said of it without any sample.

use crate::expr::{Expr, Selector};
use crate::labels::Labels;
use crate::store::{Store, between, is_stale};
use crate::value::{Error, Value};
use crate::{evaluate, parse};
use std::fmt;
use std::time::Duration;

/// How far an instant selector looks back for a series' latest sample, as in Prometheus.
pub const LOOKBACK: Duration = Duration::from_secs(300);

pub(crate) const LOOKBACK_MS: i64 = 300_000;

/// Why a text is no query that this package evaluates, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    pub what: String,
    /// The offset in bytes, where it is known.
    pub at: Option<usize>,
}

impl Refused {
    pub(crate) fn at(what: impl Into<String>, at: usize) -> Self {
        Self { what: what.into(), at: Some(at) }
    }

    pub(crate) fn whole(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: None }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.at {
            Some(at) => write!(f, " (at byte {at})"),
            None => Ok(()),
        }
    }
}

/// A checked query. Its text form is canonical and reads back as an equal query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    expr: Expr,
}

impl Query {
    /// Reads a query; all that cannot be evaluated is refused here and never later.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        parse::expression(text).map(|expr| Self { expr })
    }

    /// The value at a time, in milliseconds since the epoch.
    pub fn evaluate(&self, store: &Store, at_ms: i64) -> Result<Value, Error> {
        evaluate::query(&self.expr, store, at_ms)
    }

    /// What is asked for: metric names with their matchers, from left to right.
    pub fn metrics(&self) -> Vec<&Selector> {
        self.reaches().into_iter().map(|(selector, _)| selector).collect()
    }

    /// The longest range that is selected; nothing for a query over instants only.
    pub fn longest_range(&self) -> Option<Duration> {
        let ranges = self.reaches().into_iter().filter_map(|(_, range)| range);
        ranges.max().map(|ms| Duration::from_millis(ms.unsigned_abs()))
    }

    /// The quantiles that are read from histograms, with the bucket metrics they are read from.
    pub fn histogram_quantiles(&self) -> Vec<(f64, Vec<&Selector>)> {
        let mut found = Vec::new();
        walk(&self.expr, &mut |expr| {
            if let Expr::HistogramQuantile { quantile, buckets } = expr
                && let Expr::Number(number) = quantile.as_ref()
            {
                found.push((number.0, reaches(buckets).into_iter().map(|(selector, _)| selector).collect()));
            }
        });
        found
    }

    /// Whether no sample has a say in the value.
    pub fn is_constant(&self) -> bool {
        self.reaches().is_empty()
    }

    /// How many samples the selectors see at a time: none means that the value rests on nothing.
    pub fn samples(&self, store: &Store, at_ms: i64) -> u64 {
        let mut count = 0;
        for (selector, range) in self.reaches() {
            let end = at_ms.saturating_sub(selector.offset_ms);
            for (_, samples) in store.select(&selector.matchers) {
                let seen = between(samples, end.saturating_sub(range.unwrap_or(LOOKBACK_MS)), end);
                count += match range {
                    Some(_) => seen.iter().filter(|sample| !is_stale(sample.value)).count(),
                    None => usize::from(seen.last().is_some_and(|sample| !is_stale(sample.value))),
                };
            }
        }
        count as u64
    }

    /// Labels of all series that any selector matches, whenever they were.
    pub fn series<'a>(&'a self, store: &'a Store) -> Vec<&'a Labels> {
        let selectors = self.metrics();
        selectors
            .iter()
            .flat_map(|selector| store.select(&selector.matchers))
            .map(|(labels, _)| labels)
            .collect()
    }

    pub(crate) fn expr(&self) -> &Expr {
        &self.expr
    }

    fn reaches(&self) -> Vec<(&Selector, Option<i64>)> {
        reaches(&self.expr)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl std::str::FromStr for Query {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        Self::parse(text)
    }
}

fn reaches(expr: &Expr) -> Vec<(&Selector, Option<i64>)> {
    let mut found = Vec::new();
    walk(expr, &mut |expr| match expr {
        Expr::Select(selector) => found.push((selector, None)),
        Expr::Over { selector, range_ms, .. } => found.push((selector, Some(*range_ms))),
        _ => {}
    });
    found
}

fn walk<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    for child in expr.children() {
        walk(child, visit);
    }
}
