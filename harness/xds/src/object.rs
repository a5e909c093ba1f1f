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
        self.text("/apiVersion")
    }

    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// The namespace as written, or empty.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
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

    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
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
