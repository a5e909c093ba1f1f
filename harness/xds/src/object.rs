//! A Kubernetes object as JSON, with the place where each of its values was written.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::source::Place;

/// An object and its origin. Nothing is checked yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub value: Value,
    pub places: Places,
}

impl Object {
    pub fn api_version(&self) -> &str {
        text(self.value.get("apiVersion"))
    }

    pub fn kind(&self) -> &str {
        text(self.value.get("kind"))
    }

    pub fn name(&self) -> &str {
        text(self.metadata("name"))
    }

    /// The namespace as written, or empty.
    pub fn namespace(&self) -> &str {
        text(self.metadata("namespace"))
    }

    /// Where the value under a JSON pointer was written.
    pub fn place(&self, pointer: &str) -> &Place {
        self.places.at(pointer)
    }

    /// `Kind namespace/name`, for messages.
    pub fn title(&self) -> String {
        match self.namespace() {
            "" => format!("{} {}", self.kind(), self.name()),
            namespace => format!("{} {namespace}/{}", self.kind(), self.name()),
        }
    }

    /// A reader that starts at the whole object.
    pub fn root(&self) -> Node<'_> {
        Node { object: self, pointer: String::new(), value: &self.value }
    }

    fn metadata(&self, field: &str) -> Option<&Value> {
        self.value.get("metadata")?.get(field)
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// A value inside an object that knows where it was written.
///
/// It reads leniently: whoever wants to know what is wrong has asked [`crate::fields::check`] before.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    object: &'a Object,
    pointer: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// The field of that name, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<Node<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(self.child(name, value))
    }

    /// The value under a path of names, `spec.template.metadata`.
    pub fn path(&self, names: &str) -> Option<Node<'a>> {
        names.split('.').try_fold(self.clone(), |node, name| node.get(name))
    }

    /// The items of the list in a field; none where it is absent.
    pub fn items(&self, name: &str) -> Vec<Node<'a>> {
        let Some(list) = self.get(name) else { return Vec::new() };
        let items = list.value.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().enumerate().map(|(index, value)| list.child(&index.to_string(), value)).collect()
    }

    /// The entries of the map in a field, in the order in which they were written.
    pub fn entries(&self, name: &str) -> Vec<(&'a str, Node<'a>)> {
        self.get(name).map(|map| map.fields()).unwrap_or_default()
    }

    /// The fields of this value, in the order in which they were written.
    pub fn fields(&self) -> Vec<(&'a str, Node<'a>)> {
        let Some(map) = self.value.as_object() else { return Vec::new() };
        map.iter().map(|(key, value)| (key.as_str(), self.child(key, value))).collect()
    }

    /// A map of texts, for instance labels.
    pub fn texts(&self, name: &str) -> BTreeMap<String, String> {
        let entries = self.entries(name).into_iter();
        entries.map(|(key, value)| (key.to_owned(), value.as_str().to_owned())).collect()
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.value.get(name).and_then(Value::as_str)
    }

    pub fn as_str(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.value.get(name).and_then(Value::as_i64)
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.value.get(name).and_then(Value::as_f64)
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.value.get(name).and_then(Value::as_bool)
    }

    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The JSON pointer of this value in its object.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    pub fn place(&self) -> &'a Place {
        self.object.place(&self.pointer)
    }

    /// An item of this list.
    pub fn item(&self, index: usize, value: &'a Value) -> Node<'a> {
        self.child(&index.to_string(), value)
    }

    fn child(&self, name: &str, value: &'a Value) -> Node<'a> {
        // Every look into an object comes by here, and hardly a name needs the escapes.
        let mut pointer = String::with_capacity(self.pointer.len() + 1 + name.len());
        pointer.push_str(&self.pointer);
        pointer.push('/');
        if name.contains(['~', '/']) {
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        } else {
            pointer.push_str(name);
        }
        Node { object: self.object, pointer, value }
    }
}

/// JSON pointer to place; the root (`""`) is always known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    root: Place,
    known: BTreeMap<String, Place>,
}

impl Places {
    pub fn new(root: Place) -> Self {
        Self { root, known: BTreeMap::new() }
    }

    pub fn set(&mut self, pointer: impl Into<String>, place: Place) {
        self.known.insert(pointer.into(), place);
    }

    /// The place of the value itself, or of its nearest known parent.
    pub fn at(&self, pointer: &str) -> &Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.known.get(pointer) {
                return place;
            }
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => return &self.root,
            }
        }
    }

    /// Every known pointer with its place, the root first as `""`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Place)> {
        std::iter::once(("", &self.root))
            .chain(self.known.iter().map(|(pointer, place)| (pointer.as_str(), place)))
    }
}
