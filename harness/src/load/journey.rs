//! A journey: what a user of the system does, as data. Files become checked values in `parse`; the worker gets them
//! as JSON within its plan.

mod parse;
mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use regex::Regex;
use serde::{Deserialize, Serialize};

pub use parse::Journeys;
pub use template::{Template, Values, fill_json};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    pub name: String,
    pub about: String,
    /// How often it is chosen, against the other journeys of a load.
    pub weight: u32,
    /// Pause after each step that names none of its own.
    pub think: Duration,
    /// Drawn from the seed for each execution.
    pub variables: BTreeMap<String, Draw>,
    pub steps: Vec<Step>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// A whole number between two, both included.
    Int(i64, i64),
    OneOf(Vec<serde_json::Value>),
}

impl Draw {
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> serde_json::Value {
        match self {
            Draw::Int(low, high) => rng.random_range(*low..=*high).into(),
            Draw::OneOf(values) => values[rng.random_range(0..values.len())].clone(),
        }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub method: Method,
    pub path: Template,
    pub headers: BTreeMap<String, Template>,
    pub body: Option<Body>,
    /// Kept from the answer under a name, for the steps after it.
    pub capture: BTreeMap<String, Capture>,
    pub check: Check,
    /// Pause after it.
    pub think: Option<Duration>,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const ALL: [(&'static str, Method); 5] = [
        ("get", Method::Get),
        ("post", Method::Post),
        ("put", Method::Put),
        ("patch", Method::Patch),
        ("delete", Method::Delete),
    ];
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    Text(Template),
    /// Placeholders in its texts are filled in; a text that is one placeholder becomes the value with its type.
    Json(serde_json::Value),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capture {
    /// A JSON pointer into the body.
    Json(String),
    Header(String),
    /// The first group, or the whole match where there is no group.
    Regex(Expression),
}

/// What an answer must be like; without any of it, a status below 400.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub status: Vec<u16>,
    pub body: Option<BodyCheck>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyCheck {
    Equals(String),
    Contains(String),
    Regex(Expression),
    OneOf(Vec<String>),
    /// JSON pointers and the values expected there.
    Json(BTreeMap<String, serde_json::Value>),
}

/// A regular expression that serialises as its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression(pub Regex);

impl TryFrom<String> for Expression {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> String {
        expression.0.as_str().to_owned()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Check {
    /// Why an answer does not pass, if it does not. The body of a text answer may end in line breaks.
    pub fn fault(&self, status: u16, body: &str) -> Option<String> {
        let status_passes = if self.status.is_empty() { status < 400 } else { self.status.contains(&status) };
        if !status_passes {
            return Some(format!("status {status}"));
        }
        let why = self.body.as_ref()?.fault(body)?;
        Some(format!("check: body {why}"))
    }
}

impl BodyCheck {
    fn fault(&self, body: &str) -> Option<String> {
        let text = body.trim_end_matches(['\r', '\n']);
        match self {
            BodyCheck::Equals(wanted) => {
                (text != wanted.trim_end_matches(['\r', '\n'])).then(|| "is not the expected text".into())
            }
            BodyCheck::Contains(part) => (!body.contains(part)).then(|| format!("does not contain `{part}`")),
            BodyCheck::Regex(expression) => {
                (!expression.0.is_match(text)).then(|| format!("does not match `{}`", expression.0))
            }
            BodyCheck::OneOf(wanted) => {
                let known = wanted.iter().any(|wanted| text == wanted.trim_end_matches(['\r', '\n']));
                (!known).then(|| format!("is none of the {} expected texts", wanted.len()))
            }
            BodyCheck::Json(wanted) => {
                let Ok(json) = serde_json::from_str::<serde_json::Value>(body) else {
                    return Some("is not JSON".into());
                };
                wanted.iter().find_map(|(pointer, wanted)| match json.pointer(pointer) {
                    Some(found) if found == wanted => None,
                    Some(_) => Some(format!("has another value at `{pointer}` than {wanted}")),
                    None => Some(format!("has nothing at `{pointer}`")),
                })
            }
        }
    }
}

impl Capture {
    /// The value in an answer, or why there is none.
    pub fn take(&self, headers: &http::HeaderMap, body: &str) -> Result<serde_json::Value, String> {
        let found = match self {
            Capture::Json(pointer) => {
                let json = serde_json::from_str::<serde_json::Value>(body)
                    .map_err(|_| "capture: body is not JSON".to_owned())?;
                json.pointer(pointer).cloned().ok_or_else(|| format!("nothing at `{pointer}`"))
            }
            Capture::Header(name) => headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(serde_json::Value::from)
                .ok_or_else(|| format!("no header `{name}`")),
            Capture::Regex(expression) => expression
                .0
                .captures(body)
                .and_then(|groups| groups.get(1).or_else(|| groups.get(0)))
                .map(|found| found.as_str().into())
                .ok_or_else(|| format!("no match of `{}`", expression.0)),
        };
        found.map_err(|why| format!("capture: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &[u16], body: Option<BodyCheck>) -> Check {
        Check { status: status.to_vec(), body }
    }

    #[test]
    fn a_status_passes_below_400_unless_named() {
        for (named, status, passes) in [
            (&[][..], 200, true),
            (&[], 302, true),
            (&[], 404, false),
            (&[404], 404, true),
            (&[404], 200, false),
        ] {
            assert_eq!(check(named, None).fault(status, "").is_none(), passes, "{named:?} {status}");
        }
    }

    #[test]
    fn bodies_are_checked_in_each_way() {
        let expression = Expression::try_from("^v[12]$".to_owned()).expect("valid");
        let json = |pointer: &str, value: serde_json::Value| {
            BodyCheck::Json(BTreeMap::from([(pointer.to_owned(), value)]))
        };
        let table = [
            (BodyCheck::Equals("v1".into()), "v1\n", None),
            (BodyCheck::Equals("v1".into()), "v2", Some("check: body is not the expected text")),
            (BodyCheck::Contains("1".into()), "v2", Some("check: body does not contain `1`")),
            (BodyCheck::Regex(expression.clone()), "v2\r\n", None),
            (BodyCheck::Regex(expression), "v3", Some("check: body does not match `^v[12]$`")),
            (BodyCheck::OneOf(vec!["a".into(), "b".into()]), "b", None),
            (BodyCheck::OneOf(vec!["a".into()]), "b", Some("check: body is none of the 1 expected texts")),
            (json("/a/0", 1.into()), r#"{"a": [1]}"#, None),
            (json("/a", 1.into()), r#"{"a": 2}"#, Some("check: body has another value at `/a` than 1")),
            (json("/b", 1.into()), r#"{"a": 2}"#, Some("check: body has nothing at `/b`")),
            (json("/b", 1.into()), "no", Some("check: body is not JSON")),
        ];
        for (wanted, body, fault) in table {
            assert_eq!(check(&[200], Some(wanted)).fault(200, body).as_deref(), fault, "{body}");
        }
    }

    #[test]
    fn captures_take_from_json_headers_and_text() {
        let headers = http::HeaderMap::from_iter([(
            http::header::LOCATION,
            http::HeaderValue::from_static("/orders/9"),
        )]);
        let take = |capture: Capture, body: &str| capture.take(&headers, body);
        let expression = |text: &str| Capture::Regex(Expression::try_from(text.to_owned()).expect("valid"));
        assert_eq!(take(Capture::Json("/id".into()), r#"{"id": 9}"#), Ok(9.into()));
        assert_eq!(take(Capture::Header("location".into()), ""), Ok("/orders/9".into()));
        assert_eq!(take(expression("id=([0-9]+)"), "id=12"), Ok("12".into()));
        assert_eq!(take(expression("[0-9]+"), "id=12"), Ok("12".into()));
        assert_eq!(take(Capture::Json("/x".into()), "{}"), Err("capture: nothing at `/x`".into()));
        assert_eq!(take(Capture::Header("x-no".into()), ""), Err("capture: no header `x-no`".into()));
    }
}
