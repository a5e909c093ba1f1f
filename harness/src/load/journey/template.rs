//! Texts with placeholders: `/users/{user}`. A brace that opens no name is itself, so JSON needs no escapes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// What placeholders stand for in one execution: variables, then captures as they come.
pub type Values = BTreeMap<String, serde_json::Value>;

static PLACEHOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}").expect("a valid expression"));

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Template {
    /// Literal text, and the name that follows it; the last part has none.
    parts: Vec<(String, Option<String>)>,
}

impl Template {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|(_, name)| name.as_deref())
    }

    /// The text with values as they are.
    pub fn fill(&self, values: &Values) -> String {
        self.fill_with(values, |value, into| into.push_str(value))
    }

    /// The text with values that cannot leave their place in a path or query.
    pub fn fill_path(&self, values: &Values) -> String {
        self.fill_with(values, |value, into| {
            for byte in value.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        into.push(char::from(byte));
                    }
                    _ => into.push_str(&format!("%{byte:02X}")),
                }
            }
        })
    }

    fn fill_with(&self, values: &Values, write: impl Fn(&str, &mut String)) -> String {
        let mut filled = String::new();
        for (text, name) in &self.parts {
            filled.push_str(text);
            match name.as_ref().and_then(|name| values.get(name)) {
                Some(serde_json::Value::String(value)) => write(value, &mut filled),
                Some(value) => write(&value.to_string(), &mut filled),
                None => {}
            }
        }
        filled
    }
}

impl From<String> for Template {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut end = 0;
        for found in PLACEHOLDER.find_iter(text) {
            let name = found.as_str().trim_matches(['{', '}']).to_owned();
            parts.push((text[end..found.start()].to_owned(), Some(name)));
            end = found.end();
        }
        parts.push((text[end..].to_owned(), None));
        Self { parts }
    }
}

impl From<Template> for String {
    fn from(template: Template) -> String {
        let part = |(text, name): (String, Option<String>)| match name {
            Some(name) => format!("{text}{{{name}}}"),
            None => text,
        };
        template.parts.into_iter().map(part).collect()
    }
}

/// Fills the texts in a JSON value; a text that is one placeholder becomes the value itself, with its type.
pub fn fill_json(json: &serde_json::Value, values: &Values) -> serde_json::Value {
    use serde_json::Value;
    match json {
        Value::String(text) => {
            let template = Template::from(text.as_str());
            match template.parts.as_slice() {
                [(before, Some(name)), (after, None)] if before.is_empty() && after.is_empty() => {
                    values.get(name).cloned().unwrap_or(Value::Null)
                }
                _ => Value::String(template.fill(values)),
            }
        }
        Value::Array(items) => items.iter().map(|item| fill_json(item, values)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), fill_json(value, values))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        Values::from([
            ("user".into(), json!(7)),
            ("name".into(), json!("a/b c")),
            ("rich".into(), json!({"x": [1]})),
        ])
    }

    #[test]
    fn fills_placeholders_and_leaves_other_braces() {
        for (text, filled) in [
            ("/u/{user}", "/u/7"),
            ("{user}{user}", "77"),
            (r#"{"user": {user}, "o": {}}"#, r#"{"user": 7, "o": {}}"#),
            ("{1}{ user }{}", "{1}{ user }{}"),
            ("{rich}", r#"{"x":[1]}"#),
            ("", ""),
        ] {
            assert_eq!(Template::from(text).fill(&values()), filled);
            assert_eq!(String::from(Template::from(text)), text);
        }
    }

    #[test]
    fn a_path_keeps_its_segments() {
        assert_eq!(Template::from("/n/{name}?q={name}").fill_path(&values()), "/n/a%2Fb%20c?q=a%2Fb%20c");
    }

    #[test]
    fn json_keeps_the_type_of_a_lone_placeholder() {
        let filled = fill_json(&json!({"id": "{user}", "text": "u{user}", "list": ["{rich}"]}), &values());
        assert_eq!(filled, json!({"id": 7, "text": "u7", "list": [{"x": [1]}]}));
    }
}
