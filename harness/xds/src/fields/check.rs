//! Holds an object against the table of its kind: unknown, refused and wrong values, each with its place.

use std::fmt;

use serde_json::Value;

use super::{Field, Format, KindTable, Shape, Support, parse_duration};
use crate::object::{Node, Object};
use crate::source::{Place, Problem, Problems};

/// A field was given that cannot change any verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InertUse {
    pub place: Place,
    /// `VirtualService shop/reviews`.
    pub object: String,
    /// `spec.http[].match[].statPrefix`.
    pub field: String,
    pub why: &'static str,
}

/// Checks every field of an object; hands back the uses of inert ones.
pub fn check(object: &Object, table: &KindTable, problems: &mut Problems) -> Vec<InertUse> {
    let mut checker = Checker { object, table, problems, inert: Vec::new() };
    checker.object_fields(&object.root(), table.fields, &Path::root(), &["apiVersion", "kind"]);
    checker.inert
}

/// The name among `known` that a person most likely meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Where in the table we are: `spec.http[].fault`.
struct Path(String);

impl Path {
    fn root() -> Self {
        Self(String::new())
    }

    fn field(&self, name: &str) -> Self {
        Self(if self.0.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0) })
    }

    fn items(&self) -> Self {
        Self(format!("{}[]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Checker<'a> {
    object: &'a Object,
    table: &'a KindTable,
    problems: &'a mut Problems,
    inert: Vec<InertUse>,
}

impl Checker<'_> {
    fn object_fields(&mut self, node: &Node<'_>, fields: &[Field], path: &Path, more: &[&str]) {
        if !node.value().is_object() {
            return self.wrong_type(node, path, "a map of fields");
        }
        for (name, value) in node.fields() {
            if more.contains(&name) || value.value().is_null() {
                continue;
            }
            match fields.iter().find(|field| field.name == name) {
                Some(field) => self.field(&value, field, &path.field(name)),
                None => self.unknown(&value, name, fields, path),
            }
        }
        for field in fields.iter().filter(|field| field.required && node.get(field.name).is_none()) {
            let title = format!("{} needs the field `{}`", self.subject(path), field.name);
            self.problems.push(Problem::new(node.place(), title));
        }
    }

    fn field(&mut self, node: &Node<'_>, field: &Field, path: &Path) {
        match field.support {
            Support::Honoured => self.value(node, field.shape, path),
            Support::Inert(why) => {
                self.inert.push(InertUse {
                    place: node.place().clone(),
                    object: self.object.title(),
                    field: path.to_string(),
                    why,
                });
                self.value(node, field.shape, path);
            }
            Support::Refused(why) => {
                let title = format!("field `{path}` of {} is not supported", self.table.kind);
                self.problems.push(Problem::new(node.place(), title).help(why).beyond_local());
            }
        }
    }

    fn value(&mut self, node: &Node<'_>, shape: Shape, path: &Path) {
        match (shape, node.value()) {
            (Shape::Any, _) | (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Text(format), Value::String(text)) => self.text(node, format, text, path),
            (Shape::Integer { min, max }, Value::Number(number)) => match number.as_i64() {
                Some(value) if (min..=max).contains(&value) => {}
                Some(_) => self.out_of_range(node, path, &number.to_string(), &format!("{min} to {max}")),
                None => self.wrong_type(node, path, "a whole number"),
            },
            (Shape::Number { min, max }, Value::Number(number)) => {
                if !number.as_f64().is_some_and(|value| (min..=max).contains(&value)) {
                    self.out_of_range(node, path, &number.to_string(), &format!("{min} to {max}"));
                }
            }
            (Shape::Choice(allowed, refused), Value::String(word)) => {
                self.choice(node, word, allowed, refused, path);
            }
            (Shape::Object(fields), _) => self.object_fields(node, fields, path, &[]),
            (Shape::OneOf(fields), _) => {
                self.object_fields(node, fields, path, &[]);
                let given = node.fields().len();
                if node.value().is_object() && given != 1 {
                    let title = format!("{} takes exactly one field, found {given}", self.subject(path));
                    let problem = Problem::new(node.place(), title);
                    self.problems.push(problem.allowed(names(fields.iter().map(|field| field.name))));
                }
            }
            (Shape::List(shape), Value::Array(_)) => {
                let path = path.items();
                for (index, value) in node.value().as_array().into_iter().flatten().enumerate() {
                    self.value(&node.item(index, value), *shape, &path);
                }
            }
            (Shape::Map(shape), Value::Object(_)) => {
                for (key, value) in node.fields() {
                    self.value(&value, *shape, &path.field(key));
                }
            }
            (Shape::IntegerOrText, Value::Number(number)) if number.is_i64() => {}
            (Shape::IntegerOrText, Value::String(_)) => {}
            (Shape::Quantity, Value::Number(_)) => {}
            (Shape::Quantity, Value::String(text)) => {
                if !is_quantity(text) {
                    let title = format!("`{text}` in `{path}` is no quantity");
                    let problem = Problem::new(node.place(), title);
                    self.problems.push(problem.allowed("a number, perhaps with m, k, M, G, Ki, Mi, Gi"));
                }
            }
            (shape, _) => self.wrong_type(node, path, expected(shape)),
        }
    }

    fn text(&mut self, node: &Node<'_>, format: Format, text: &str, path: &Path) {
        let wrong = match format {
            Format::Any => None,
            Format::NotEmpty => text.is_empty().then(|| "a text that is not empty".to_owned()),
            Format::Duration => parse_duration(text).err().map(str::to_owned),
            Format::Regex => regex::Regex::new(text).err().map(|error| {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("a regular expression in RE2's syntax ({reason})")
            }),
            Format::Label => (!is_label(text))
                .then(|| "lower-case letters, digits and hyphens, at most 63 of them".to_owned()),
            Format::Host => (!is_host(text))
                .then(|| "a host name, short or fully qualified, perhaps with a leading `*`".to_owned()),
        };
        if let Some(allowed) = wrong {
            let title = format!("`{text}` does not fit `{path}`");
            self.problems.push(Problem::new(node.place(), title).allowed(allowed));
        }
    }

    fn choice(
        &mut self,
        node: &Node<'_>,
        word: &str,
        allowed: &[&'static str],
        refused: &[(&'static str, &'static str)],
        path: &Path,
    ) {
        if allowed.contains(&word) {
            return;
        }
        if let Some((_, why)) = refused.iter().find(|(name, _)| *name == word) {
            let title = format!("value `{word}` of `{path}` is not supported");
            let problem = Problem::new(node.place(), title).allowed(names(allowed.iter().copied()));
            return self.problems.push(problem.help(*why).beyond_local());
        }
        let title = format!("unknown value `{word}` in `{path}`");
        let problem = Problem::new(node.place(), title).allowed(names(allowed.iter().copied()));
        self.problems.push(match nearest(word, allowed.iter().copied()) {
            Some(name) => problem.help(format!("did you mean `{name}`?")),
            None => problem,
        });
    }

    fn unknown(&mut self, node: &Node<'_>, name: &str, fields: &[Field], path: &Path) {
        let title = format!("unknown field `{name}` in {}", self.subject(path));
        let allowed = fields.iter().filter(|field| !matches!(field.support, Support::Refused(_)));
        let problem = Problem::new(node.place(), title).allowed(names(allowed.map(|field| field.name)));
        self.problems.push(match nearest(name, fields.iter().map(|field| field.name)) {
            Some(name) => problem.help(format!("did you mean `{name}`?")),
            None => problem,
        });
    }

    fn wrong_type(&mut self, node: &Node<'_>, path: &Path, allowed: &str) {
        let title = format!("{} has a value of the wrong type", self.subject(path));
        let problem = Problem::new(node.place(), title).found(found(node.value()));
        self.problems.push(problem.allowed(allowed));
    }

    fn out_of_range(&mut self, node: &Node<'_>, path: &Path, value: &str, allowed: &str) {
        let title = format!("{value} is out of range for `{path}`");
        self.problems.push(Problem::new(node.place(), title).allowed(allowed));
    }

    fn subject(&self, path: &Path) -> String {
        match path.0.as_str() {
            "" => self.object.title(),
            path => format!("`{path}` of {}", self.table.kind),
        }
    }
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Any => "anything",
        Shape::Bool => "true or false",
        Shape::Text(Format::Duration) => "a duration such as `100ms` or `1.5s`",
        Shape::Text(_) => "a text (quote numbers and true or false)",
        Shape::Integer { .. } => "a whole number",
        Shape::Number { .. } => "a number",
        Shape::Choice(..) => "one word",
        Shape::Object(_) | Shape::OneOf(_) => "a map of fields",
        Shape::List(_) => "a list",
        Shape::Map(_) => "a map",
        Shape::IntegerOrText => "a number or a name",
        Shape::Quantity => "a quantity such as `100m` or `1Gi`",
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::String(text) => format!("the text `{text}`"),
        plain => format!("`{plain}`"),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_host(text: &str) -> bool {
    let rest = text.strip_prefix("*.").unwrap_or(text);
    text == "*"
        || (!rest.is_empty()
            && rest.len() <= 253
            && rest.trim_end_matches('.').split('.').all(|part| is_label(&part.to_lowercase())))
}

fn is_quantity(text: &str) -> bool {
    const UNITS: [&str; 15] =
        ["n", "u", "m", "", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let split = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e').unwrap_or(text.len());
    text[..split].parse::<f64>().is_ok() && UNITS.contains(&&text[split..])
}
