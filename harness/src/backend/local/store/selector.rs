//! Label and field selectors, as the API's query parameters and the objects' specs write them.

use serde_json::Value;

/// One demand on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Demand {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// A conjunction of demands on labels, and perhaps an exact name. The empty selector selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    demands: Vec<Demand>,
    name: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("selector `{0}` is not understood")]
pub struct Error(String);

impl Selector {
    /// `labelSelector` and `fieldSelector` of a request.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, Error> {
        let mut selector = Self::default();
        for term in split(labels) {
            selector.demands.push(demand(term).ok_or_else(|| Error(term.to_owned()))?);
        }
        for term in split(fields) {
            match term.split_once('=') {
                Some(("metadata.name", name)) => {
                    selector.name = Some(name.trim_start_matches('=').to_owned());
                }
                _ => return Err(Error(term.to_owned())),
            }
        }
        Ok(selector)
    }

    /// A `LabelSelector` of a Deployment (`matchLabels`, `matchExpressions`).
    pub fn of_labels(selector: &Value) -> Self {
        let mut demands = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            demands.push(Demand::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            demands.push(match expression["operator"].as_str() {
                Some("NotIn") => Demand::NotIn(key, values),
                Some("Exists") => Demand::Exists(key),
                Some("DoesNotExist") => Demand::Missing(key),
                _ => Demand::In(key, values),
            });
        }
        Self { demands, name: None }
    }

    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &String| labels.get(key).and_then(Value::as_str);
        let named = self.name.as_deref().is_none_or(|name| object["metadata"]["name"] == name);
        named
            && self.demands.iter().all(|demand| match demand {
                Demand::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
                Demand::NotIn(key, values) => !label(key).is_some_and(|v| values.iter().any(|w| w == v)),
                Demand::Exists(key) => label(key).is_some(),
                Demand::Missing(key) => label(key).is_none(),
            })
    }
}

/// Cuts at commas that are not inside a set's parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
}

fn demand(term: &str) -> Option<Demand> {
    let set = |text: &str| -> Option<Vec<String>> {
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|v| v.trim().to_owned()).collect())
    };
    let key = |text: &str| text.trim().to_owned();
    if let Some((name, values)) = term.split_once(" notin ") {
        return Some(Demand::NotIn(key(name), set(values)?));
    }
    if let Some((name, values)) = term.split_once(" in ") {
        return Some(Demand::In(key(name), set(values)?));
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Some(Demand::NotIn(key(name), vec![key(value)]));
    }
    if let Some((name, value)) = term.split_once('=') {
        return Some(Demand::In(key(name), vec![key(value.trim_start_matches('='))]));
    }
    match term.strip_prefix('!') {
        Some(name) => Some(Demand::Missing(key(name))),
        None if term.contains([' ', '(', ')']) => None,
        None => Some(Demand::Exists(key(term))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_select() {
        let object = json!({"metadata": {"name": "a-1", "labels": {"app": "a", "version": "v1"}}});
        for (labels, fields, selected) in [
            ("", "", true),
            ("app=a", "", true),
            ("app==a,version!=v2", "", true),
            ("app in (a, b),version notin (v2,v3)", "", true),
            ("app,!tier", "", true),
            ("tier", "", false),
            ("app=b", "", false),
            ("", "metadata.name=a-1", true),
            ("", "metadata.name=a-2", false),
        ] {
            let selector = Selector::parse(labels, fields).unwrap();
            assert_eq!(selector.matches(&object), selected, "{labels} {fields}");
        }
        assert!(Selector::parse("a b", "").is_err());
        assert!(Selector::parse("", "status.phase=Running").is_err());
        let of_spec = Selector::of_labels(&json!({"matchLabels": {"app": "a"},
            "matchExpressions": [{"key": "version", "operator": "NotIn", "values": ["v2"]}]}));
        assert!(of_spec.matches(&object));
    }
}
