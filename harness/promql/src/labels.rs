//! The identity of a series: label names and values, in order, without empty ones.

use std::collections::BTreeMap;
use std::fmt;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Labels of one series, its name among them. A label with an empty value is the same as no label.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    pub fn new() -> Self {
        Self::default()
    }

    /// Labels with nothing but a metric's name.
    pub fn named(metric: &str) -> Self {
        Self::new().with(METRIC_NAME, metric)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// The value of a label; an absent one reads as empty.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub fn metric(&self) -> &str {
        self.get(METRIC_NAME)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[must_use]
    pub(crate) fn without_name(mut self) -> Self {
        self.0.remove(METRIC_NAME);
        self
    }

    /// Only the labels named.
    pub(crate) fn only(&self, names: &[String]) -> Self {
        let kept = names.iter().filter_map(|name| self.0.get_key_value(name));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// All but the labels named and the metric's name.
    pub(crate) fn except(&self, names: &[String]) -> Self {
        let kept = self.0.iter().filter(|(name, _)| *name != METRIC_NAME && !names.contains(name));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(pairs.filter(|(_, value): &(String, String)| !value.is_empty()).collect())
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric())?;
        let mut others = self.iter().filter(|(name, _)| *name != METRIC_NAME).peekable();
        if others.peek().is_none() {
            return f.write_str(if self.metric().is_empty() { "{}" } else { "" });
        }
        for (position, (name, value)) in others.enumerate() {
            let opening = if position == 0 { "{" } else { ", " };
            write!(f, "{opening}{name}={}", crate::display::quoted(value))?;
        }
        f.write_str("}")
    }
}
