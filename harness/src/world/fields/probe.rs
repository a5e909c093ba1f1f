//! Asks a type of `k8s-openapi` which fields it has, by deserialising it from something that says yes to everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Path of an object to the names of its fields: `.spec.ports[]` to `name`, `port`, ….
pub(super) type Known = BTreeMap<String, BTreeSet<String>>;

/// Every object inside of `T`, with its fields.
pub(super) fn fields_of<T: DeserializeOwned>(api_version: &str, kind: &str) -> Known {
    let mut known = Known::new();
    let probe = Probe { path: String::new(), known: &mut known, root: (api_version, kind) };
    T::deserialize(probe).unwrap_or_else(|error| panic!("{kind} cannot be asked: {error}"));
    known
}

struct Probe<'k> {
    path: String,
    known: &'k mut Known,
    root: (&'k str, &'k str),
}

#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl serde::de::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Probe<'_> {
    fn at(&mut self, path: String) -> Probe<'_> {
        Probe { path, known: self.known, root: self.root }
    }

    fn text(&self) -> &str {
        match self.path.as_str() {
            ".apiVersion" => self.root.0,
            ".kind" => self.root.1,
            path if path.ends_with("Timestamp") || path.ends_with("Time") || path.ends_with(".time") => {
                "2026-01-01T00:00:00Z"
            }
            // A text, and base64 as well.
            _ => "AAAA",
        }
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_str(self.text())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.known.insert(self.path.clone(), fields.iter().map(|field| (*field).to_owned()).collect());
        visitor.visit_map(Names { probe: &mut self, names: fields, current: "" })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_seq(Once { probe: &mut self, done: false })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_map(Names { probe: &mut self, names: &["*"], current: "" })
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_bool(true)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_i32(1)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_i64(1)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_bytes(b"1")
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

/// A map that has each of the names once.
struct Names<'p, 'k> {
    probe: &'p mut Probe<'k>,
    names: &'static [&'static str],
    current: &'static str,
}

impl<'de> MapAccess<'de> for Names<'_, '_> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        let Some((first, rest)) = self.names.split_first() else { return Ok(None) };
        (self.current, self.names) = (first, rest);
        seed.deserialize(serde::de::value::StrDeserializer::new(first)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        let path = format!("{}.{}", self.probe.path, self.current);
        seed.deserialize(self.probe.at(path))
    }
}

/// A list of one.
struct Once<'p, 'k> {
    probe: &'p mut Probe<'k>,
    done: bool,
}

impl<'de> SeqAccess<'de> for Once<'_, '_> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failed> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let path = format!("{}[]", self.probe.path);
        seed.deserialize(self.probe.at(path)).map(Some)
    }
}
