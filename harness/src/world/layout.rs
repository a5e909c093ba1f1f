//! How a world lies in namespaces: as it is written, or each of its apps in a namespace of its own.
//!
//! The second is a pure change of the rendered objects, whose values keep the places where they were written. What it
//! means stays the same: names, policies and identities follow the apps that moved.
//!
//! ```text
//! objects ──Homes::of──► which app goes where ──move──► objects in their namespaces, some in several copies
//! ```

mod follow;
mod homes;
mod hosts;
mod moved;
mod node;

use std::fmt;
use std::str::FromStr;

use crate::problem::{Problems, nearest};
use crate::yaml::Node;
use homes::Homes;

/// In which namespaces the objects of a world lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As they are written.
    #[default]
    Single,
    /// Each app in a namespace of its own, `<as written>-<app>`; what belongs to no app stays where it is.
    PerService,
}

impl Layout {
    /// The words that files and the command line use.
    pub const WORDS: [(&str, Layout); 2] = [("single", Layout::Single), ("per-service", Layout::PerService)];

    /// The objects in this layout. They have passed the check as they are written.
    pub(super) fn lay(self, objects: Vec<Node>) -> Result<Vec<Node>, Problems> {
        if self == Layout::Single {
            return Ok(objects);
        }
        let homes = Homes::of(&objects)?;
        let mut problems = Problems::default();
        let mut laid = moved::unwritten_namespaces(&objects, &homes);
        for object in objects {
            laid.extend(moved::move_out(object, &homes, &mut problems));
        }
        problems.into_result(laid)
    }

    /// The name of a world in this layout.
    pub(super) fn named(self, world: String) -> String {
        if self == Layout::Single { world } else { format!("{world} ({self})") }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Single => "single",
            Layout::PerService => "per-service",
        })
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if let Some((_, layout)) = Self::WORDS.iter().find(|(name, _)| *name == word) {
            return Ok(*layout);
        }
        let near = nearest(word, Self::WORDS.map(|(name, _)| name));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(format!("layouts are: `single`, `per-service`{near}"))
    }
}

#[cfg(test)]
mod tests;
