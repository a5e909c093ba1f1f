//! What one call came to: the answer, and the series that it left at every proxy on its way.

use std::collections::BTreeMap;
use std::fmt;

use meshquake::backend::call::Told;
use meshquake_promql::Labels;
use serde_json::Value;

use crate::look::Counts;

/// In words, so that outcomes of two backends are compared as people read them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome(String);

impl Outcome {
    pub fn of(told: &Told, counted: &Counts) -> Self {
        let mut lines = BTreeMap::<String, u64>::new();
        for (labels, count) in counted {
            *lines.entry(line(labels)).or_default() += count;
        }
        let lines = lines.iter().map(|(line, count)| format!("\n      {line} x{count}")).collect::<String>();
        Self(format!(
            "{}{}",
            answer(told),
            if lines.is_empty() { "\n      nothing is counted" } else { &lines }
        ))
    }

    pub fn read(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who reports which call, how it ended and why.
fn line(labels: &Labels) -> String {
    let word = |name: &str| match labels.get(name) {
        "" => "unknown".to_owned(),
        value => value.to_owned(),
    };
    format!(
        "{:<11}  {} > {}  {} {}",
        word("reporter"),
        word("source_workload"),
        word("destination_workload"),
        word("response_code"),
        word("response_flags"),
    )
}

/// Status, and who answered in which version.
fn answer(told: &Told) -> String {
    match told {
        Told::Failure { error, .. } => error.to_string(),
        Told::Answer { status, body, .. } => match serde_json::from_str::<Value>(body) {
            Ok(told) if told["error"].is_string() => format!("{status} {}", failure(&told)),
            _ => format!("{status} {}", first_words(body)),
        },
    }
}

/// The shop's own words for a call that failed, hop by hop.
fn failure(told: &Value) -> String {
    let word = |name: &str| told[name].as_str().unwrap_or_default();
    let mut words = vec![word("error").to_owned()];
    if !word("service").is_empty() {
        words.insert(0, format!("{} {}:", word("service"), word("version")));
    }
    words.extend(told["status"].as_u64().map(|status| status.to_string()));
    if told["cause"].is_object() {
        words.push(format!("< {}", failure(&told["cause"])));
    }
    words.join(" ")
}

/// What a proxy says of a connection that failed goes on with addresses and the words of a library.
fn first_words(body: &str) -> String {
    let line = body.lines().next().unwrap_or_default();
    let line = line.split(". ").next().unwrap_or_default();
    match line.trim() {
        "" => "(no text)".to_owned(),
        text => text.to_owned(),
    }
}
