//! The identity of a series: label names and values, in order, without empty ones.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Labels of one series, its name among them. A label with an empty value is the same as no label.
///
/// Clones share them: the same series come again each second, and are kept in several places.
#[derive(Clone, Default)]
pub struct Labels(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    pairs: BTreeMap<String, String>,
    /// How they are written, where somebody has said it.
    text: Option<String>,
    /// Of the pairs, kept with the text.
    hash: Option<u64>,
}

impl Inner {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.pairs.hash(&mut hasher);
        hasher.finish()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.pairs == other.0.pairs
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.pairs.cmp(&other.0.pairs) }
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash.unwrap_or_else(|| self.0.hash()));
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Labels").field(&self.0.pairs).finish()
    }
}

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
        self.0.pairs.get(name).map_or("", String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.change().remove(name);
        } else {
            self.change().insert(name.to_owned(), value.to_owned());
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.change().remove(name);
    }

    /// Keeps how they are written, and their hash, for those who write and look for them again and again. Both go with the
    /// next change.
    #[must_use]
    pub fn with_text(mut self, text: String) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        (inner.text, inner.hash) = (Some(text), Some(inner.hash()));
        self
    }

    /// The text that was kept.
    pub fn text(&self) -> Option<&str> {
        self.0.text.as_deref()
    }

    fn change(&mut self) -> &mut BTreeMap<String, String> {
        let inner = Arc::make_mut(&mut self.0);
        (inner.text, inner.hash) = (None, None);
        &mut inner.pairs
    }

    fn of(pairs: BTreeMap<String, String>) -> Self {
        Self(Arc::new(Inner { pairs, ..Inner::default() }))
    }

    pub fn metric(&self) -> &str {
        self.get(METRIC_NAME)
    }

    pub fn is_empty(&self) -> bool {
        self.0.pairs.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[must_use]
    pub(crate) fn without_name(mut self) -> Self {
        self.remove(METRIC_NAME);
        self
    }

    /// Only the labels named.
    pub(crate) fn only(&self, names: &[String]) -> Self {
        let kept = names.iter().filter_map(|name| self.0.pairs.get_key_value(name));
        Self::of(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// All but the labels named and the metric's name.
    pub(crate) fn except(&self, names: &[String]) -> Self {
        let kept = self.0.pairs.iter().filter(|(name, _)| *name != METRIC_NAME && !names.contains(name));
        Self::of(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self::of(pairs.filter(|(_, value): &(String, String)| !value.is_empty()).collect())
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

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, BuildHasherDefault};

    use super::*;

    #[test]
    fn a_change_of_a_clone_is_its_own_and_has_no_text_yet() {
        let one = Labels::named("up").with("pod", "a").with_text("a text".to_owned());
        let mut other = one.clone();
        assert_eq!((one.cmp(&other), other.text()), (Ordering::Equal, Some("a text")));
        other.set("pod", "b");
        assert_eq!((one.get("pod"), one.text()), ("a", Some("a text")));
        assert_eq!((one.cmp(&other), other.text()), (Ordering::Less, None));
        // A text is no part of what they are.
        let hashed = |labels: &Labels| BuildHasherDefault::<DefaultHasher>::default().hash_one(labels);
        let again = Labels::named("up").with("pod", "a");
        assert_eq!((&one, hashed(&one)), (&again, hashed(&again)));
        // Nor is a hash that was kept that of what they become.
        assert_ne!(hashed(&one), hashed(&other));
        other.set("pod", "a");
        assert_eq!(hashed(&one), hashed(&other));
    }
}
