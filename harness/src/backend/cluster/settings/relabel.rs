//! Relabel rules with Prometheus's meaning: source labels are joined, matched as a whole, and written to a target.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::problem::{Problem, Problems};
use crate::yaml::{Fields, Node};

/// One rule; rules are applied one after the other.
#[derive(Clone, Debug)]
pub struct Relabel {
    source: Vec<String>,
    separator: String,
    /// As it was written.
    pattern: String,
    regex: Regex,
    target: String,
    replacement: String,
}

impl Relabel {
    /// A rule of these parts, if the regular expression is one.
    pub fn new(source: &[&str], regex: &str, target: &str, replacement: &str) -> Result<Self, regex::Error> {
        Ok(Self {
            source: source.iter().map(|label| (*label).to_owned()).collect(),
            separator: ";".to_owned(),
            pattern: regex.to_owned(),
            regex: anchored(regex)?,
            target: target.to_owned(),
            replacement: replacement.to_owned(),
        })
    }

    pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(node, "a relabel rule", problems)?;
        let source = fields.required("source", problems).and_then(|node| node.list(problems));
        let source: Vec<String> = source
            .unwrap_or_default()
            .iter()
            .filter_map(|label| label.words(problems).map(str::to_owned))
            .collect();
        let separator = fields.optional("separator").and_then(|node| node.text(problems)).unwrap_or(";");
        let regex = match fields.optional("regex") {
            None => anchored(ANYTHING).ok().map(|regex| (ANYTHING, regex)),
            Some(node) => node.text(problems).and_then(|text| match anchored(text) {
                Ok(regex) => Some((text, regex)),
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim().to_owned();
                    problems.push(Problem::new(&node.place, format!("`{text}` is no pattern: {why}")));
                    None
                }
            }),
        };
        let target = fields.required("target", problems).and_then(|node| {
            let name = node.words(problems)?;
            let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Some(name.to_owned());
            }
            let problem = Problem::new(&node.place, format!("`{name}` is no name of a label"));
            problems.push(problem.allowed("letters, digits and `_`, no digit first"));
            None
        });
        let replacement = fields.optional("replacement").and_then(|node| node.text(problems)).unwrap_or("$1");
        fields.finish(problems);
        let (pattern, regex) = regex?;
        Some(Self {
            source,
            separator: separator.to_owned(),
            pattern: pattern.to_owned(),
            regex,
            target: target?,
            replacement: replacement.to_owned(),
        })
    }

    /// The label that the rule writes.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The rule in Prometheus's own words.
    pub fn to_prometheus(&self) -> Value {
        json!({"source_labels": self.source, "separator": self.separator, "regex": self.pattern,
            "target_label": self.target, "replacement": self.replacement, "action": "replace"})
    }

    /// What the rule writes into its target: `None` where it does not match, an empty text where the label goes.
    pub fn value<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> Option<String> {
        let joined = self
            .source
            .iter()
            .map(|name| label(name).unwrap_or(""))
            .collect::<Vec<_>>()
            .join(&self.separator);
        let found = self.regex.captures(&joined)?;
        let mut value = String::new();
        found.expand(&self.replacement, &mut value);
        Some(value)
    }

    /// Applies the rule to a set of labels.
    pub fn apply(&self, labels: &mut BTreeMap<String, String>) {
        let Some(value) = self.value(|name| labels.get(name).map(String::as_str)) else { return };
        if value.is_empty() {
            labels.remove(&self.target);
        } else {
            labels.insert(self.target.clone(), value);
        }
    }
}

/// What Prometheus takes where a rule names no pattern.
const ANYTHING: &str = "(.*)";

/// Prometheus matches the whole text, and `.` takes line ends as well.
fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?s:{pattern})$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_label_is_taken_apart() {
        let rule = Relabel::new(&["raw"], "([^;]*);([^;]*);.*", "destination_app", "$2").expect("a rule");
        let mut found = labels(&[("raw", "b-v1;shop;v1")]);
        rule.apply(&mut found);
        assert_eq!(found, labels(&[("raw", "b-v1;shop;v1"), ("destination_app", "shop")]));
    }

    #[test]
    fn several_sources_are_joined_and_the_whole_must_match() {
        let rule = Relabel::new(&["a", "b"], "x;y", "both", "yes").expect("a rule");
        let mut found = labels(&[("a", "x"), ("b", "y")]);
        rule.apply(&mut found);
        assert_eq!(found["both"], "yes");
        let mut found = labels(&[("a", "xx"), ("b", "y")]);
        rule.apply(&mut found);
        assert!(!found.contains_key("both"), "a part of the text is no match: {found:?}");
    }

    #[test]
    fn an_empty_value_removes_the_label_and_a_missing_one_counts_as_empty() {
        let rule = Relabel::new(&["none"], "", "gone", "").expect("a rule");
        let mut found = labels(&[("gone", "x")]);
        rule.apply(&mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}
