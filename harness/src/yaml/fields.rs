//! A map read field by field: each is asked for once, and what nobody asked for is unknown.

use meshquake_xds::source::{Problem, Problems};

use super::{Entry, Node, Value};
use crate::problem::nearest;

/// The fields of a map that have not been asked for yet.
#[must_use = "call `finish`, or unknown fields pass unseen"]
pub struct Fields<'n> {
    node: &'n Node,
    /// What the map describes, for messages: ``world.yaml``, ``an objective``.
    what: String,
    entries: &'n [Entry],
    asked: Vec<&'static str>,
    unadvertised: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// `None`, with a problem, when the node is no map.
    pub fn of(node: &'n Node, what: impl Into<String>, problems: &mut Problems) -> Option<Self> {
        let what = what.into();
        match &node.value {
            Value::Map(entries) => {
                Some(Self { node, what, entries, asked: Vec::new(), unadvertised: Vec::new() })
            }
            _ => {
                let problem =
                    Problem::new(&node.place, format!("{what} must be a map of fields, found {node}"));
                problems.push(problem);
                None
            }
        }
    }

    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The field, or a problem that says it is missing.
    pub fn required(&mut self, name: &'static str, problems: &mut Problems) -> Option<&'n Node> {
        let found = self.optional(name);
        if found.is_none() {
            problems.push(Problem::new(&self.node.place, format!("{} lacks the field `{name}`", self.what)));
        }
        found
    }

    /// The field, if it is there and not null.
    pub fn optional(&mut self, name: &'static str) -> Option<&'n Node> {
        self.asked.push(name);
        self.entry(name).map(|entry| &entry.node).filter(|node| !node.is_null())
    }

    /// A field that is known, but not named among what is allowed.
    pub fn unadvertised(&mut self, name: &'static str) -> Option<&'n Node> {
        self.unadvertised.push(name);
        self.entry(name).map(|entry| &entry.node)
    }

    /// Exactly one of several fields.
    pub fn one_of(
        &mut self,
        names: &[&'static str],
        problems: &mut Problems,
    ) -> Option<(&'static str, &'n Node)> {
        let found = self.at_most_one_of(names, problems);
        if found.is_none() && names.iter().all(|name| self.entry(name).is_none()) {
            let problem = Problem::new(
                &self.node.place,
                format!("{} lacks one of the fields {}", self.what, list(names)),
            );
            problems.push(problem);
        }
        found
    }

    /// One of several fields that exclude each other, or none.
    pub fn at_most_one_of(
        &mut self,
        names: &[&'static str],
        problems: &mut Problems,
    ) -> Option<(&'static str, &'n Node)> {
        self.asked.extend(names);
        let mut found = names.iter().filter_map(|name| Some((*name, self.entry(name)?)));
        let (name, first) = found.next()?;
        if let Some((other, second)) = found.next() {
            let problem = Problem::new(
                &second.place,
                format!("`{other}` and `{name}` exclude each other in {}", self.what),
            )
            .help(format!("`{name}` was written at {}", first.place));
            problems.push(problem);
            return None;
        }
        (!first.node.is_null()).then_some((name, &first.node))
    }

    /// Reports every field that nobody asked for, with the nearest one that exists.
    pub fn finish(self, problems: &mut Problems) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) || self.unadvertised.contains(&key) {
                continue;
            }
            let mut known = self.asked.clone();
            known.sort_unstable();
            known.dedup();
            let mut problem =
                Problem::new(&entry.place, format!("unknown field `{}` in {}", entry.key, self.what))
                    .allowed(list(&known));
            if let Some(near) = nearest(&entry.key, known.iter().copied()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            problems.push(problem);
        }
    }

    fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }
}

/// `` `a`, `b`, `c` ``
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
