//! TOML as the same tree that YAML is read into, so that unknown keys and wrong values are told alike.

use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem, Problems};
use crate::yaml::{Entry, Node, Value};

/// The tree of a text; problems name it as `shown_as`.
pub(super) fn parse(text: &str, shown_as: &str) -> Result<Node, Problems> {
    let reader = Reader { text, shown_as };
    match DeTable::parse(text) {
        Ok(table) => Ok(Node { place: Place::new(shown_as, 1), value: reader.table(table.get_ref()) }),
        Err(error) => {
            let place = reader.place(error.span().map_or(0, |span| span.start));
            Err(Problems(vec![Problem::new(&place, format!("this is no TOML: {}", error.message()))]))
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    shown_as: &'t str,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Place::new(self.shown_as, u32::try_from(line).unwrap_or(u32::MAX))
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let mut entries: Vec<(usize, Entry)> = table
            .iter()
            .map(|(key, value)| {
                let place = self.place(key.span().start);
                let node = Node { place: place.clone(), value: self.value(value.get_ref()) };
                (key.span().start, Entry { key: key.get_ref().to_string(), place, node })
            })
            .collect();
        // In the order of the file, which is that of the problems as well.
        entries.sort_by_key(|(at, _)| *at);
        Value::Map(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                // Beyond 64 bits nothing here makes sense: it is told as a text where a number is wanted.
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(value) => Value::Int(value),
                    Err(_) => Value::Text(number.as_str().to_owned()),
                }
            }
            DeValue::Float(number) => {
                number.as_str().parse().map_or_else(|_| Value::Text(number.as_str().to_owned()), Value::Float)
            }
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| Node {
                        place: self.place(item.span().start),
                        value: self.value(item.get_ref()),
                    })
                    .collect(),
            ),
            DeValue::Table(table) => self.table(table),
        }
    }
}
