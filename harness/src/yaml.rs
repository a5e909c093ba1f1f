//! YAML as a tree that knows the place of every value, read strictly and with all problems at once.
//!
//! [`read`] and [`parse`] give the documents of a file as [`Node`]s. What only one reader of YAML would take for a
//! boolean or a number (`yes`, `0777`) is a problem here, so that a file means the same to `kubectl` and to us.
//! [`Fields`] reads a map field by field; what nobody asked for is an unknown field.

mod fields;
mod reader;
mod units;

use std::fmt;
use std::path::Path;

use meshquake_xds::object::{Object, Places};
use meshquake_xds::source::{Place, Problem, Problems};

pub use fields::Fields;
pub use units::parse_duration;

/// A value and where it was written.
///
/// A list or a map that is the value of a key has the place of the key: there a missing field belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value; the order is the file's.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    /// Where the key was written.
    pub place: Place,
    pub node: Node,
}

/// The documents of a file, empty ones left out. Problems name it as `shown_as`.
pub fn read(file: &Path, shown_as: &str) -> Result<Vec<Node>, Problems> {
    let whole = Place::new(shown_as, 1);
    let problem = |title: String| Problems(vec![Problem::new(&whole, title)]);
    let size =
        std::fs::metadata(file).map_err(|error| problem(format!("cannot read the file: {error}")))?.len();
    if size > reader::MAX_BYTES {
        return Err(problem(format!("the file has {size} bytes, more than {}", reader::MAX_BYTES)));
    }
    let bytes = std::fs::read(file).map_err(|error| problem(format!("cannot read the file: {error}")))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, shown_as),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let place = Place::new(shown_as, u32::try_from(line).unwrap_or(u32::MAX));
            Err(Problems(vec![Problem::new(&place, "the file is not UTF-8 text")]))
        }
    }
}

/// The documents of a text, empty ones left out. Problems name it as `shown_as`.
pub fn parse(text: &str, shown_as: &str) -> Result<Vec<Node>, Problems> {
    reader::documents(text, shown_as)
}

/// The one document of a file that must hold exactly one.
pub fn read_one(file: &Path, shown_as: &str) -> Result<Node, Problems> {
    one(read(file, shown_as)?, shown_as)
}

/// The one document of a text that must hold exactly one.
pub fn parse_one(text: &str, shown_as: &str) -> Result<Node, Problems> {
    one(parse(text, shown_as)?, shown_as)
}

fn one(mut documents: Vec<Node>, shown_as: &str) -> Result<Node, Problems> {
    match documents.len() {
        1 => Ok(documents.remove(0)),
        0 => Err(Problems(vec![Problem::new(&Place::new(shown_as, 1), "the file is empty")])),
        _ => {
            let second = &documents[1].place;
            Err(Problems(vec![Problem::new(second, "a second document; one is allowed in this file")]))
        }
    }
}

impl Node {
    /// What it is, with its value where that is short: ``the text `5` ``, `a list`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Int(value) => format!("the number `{value}`"),
            Value::Float(value) => format!("the number `{value}`"),
            Value::Text(text) => format!("the text `{}`", shortened(text)),
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// The value as JSON, with the place of each of its parts under its JSON pointer.
    pub fn to_object(&self) -> Object {
        let mut places = Places::new(self.place.clone());
        self.collect_places("", &mut places);
        Object { value: self.to_json(), places }
    }

    /// Writes the places of all parts into `places`, under the pointer that this node has there.
    pub fn collect_places(&self, pointer: &str, places: &mut Places) {
        match &self.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let pointer = format!("{pointer}/{index}");
                    places.set(pointer.clone(), item.place.clone());
                    item.collect_places(&pointer, places);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let pointer = format!("{pointer}/{}", escape_pointer(&entry.key));
                    places.set(pointer.clone(), entry.place.clone());
                    entry.node.collect_places(&pointer, places);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// A key as one step of a JSON pointer.
pub fn escape_pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A value on one line and short enough for a message.
pub(crate) fn shortened(text: &str) -> String {
    const LIMIT: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > LIMIT {
        return format!("{}…", line.chars().take(LIMIT).collect::<String>());
    }
    if line.len() < text.trim_end().len() { format!("{line}…") } else { line.to_owned() }
}

#[cfg(test)]
mod tests;
