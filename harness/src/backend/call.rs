//! A call that a pod makes on demand: what is asked, and what is told of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One request, to be made by the pod's own client under its own names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Call {
    pub method: String,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub within_ms: u64,
}

impl Call {
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.to_owned(), url: url.into(), headers: BTreeMap::new(), within_ms: 5000 }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// How there was no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failed {
    /// The name has no address, or nobody takes connections there.
    Unreachable,
    /// There was a connection, and it ended before the whole answer.
    Broken,
    Timeout,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failed::Unreachable => "unreachable",
            Failed::Broken => "broken off",
            Failed::Timeout => "no answer in time",
        })
    }
}

/// What came of it, as the pod tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Told {
    Answer { status: u16, headers: BTreeMap<String, String>, body: String },
    Failure { error: Failed, detail: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_a_failure() {
        let told = |json: &str| serde_json::from_str::<Told>(json).expect(json);
        let answer = r#"{"status": 503, "headers": {"server": "envoy"}, "body": "no healthy upstream"}"#;
        assert!(matches!(told(answer), Told::Answer { status: 503, .. }));
        let failure = r#"{"error": "broken", "detail": "connection closed"}"#;
        assert!(matches!(told(failure), Told::Failure { error: Failed::Broken, .. }));
        assert!(serde_json::from_str::<Told>(r#"{"error": "odd", "detail": ""}"#).is_err());
    }
}
