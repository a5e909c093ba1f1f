//! Readers of events and samples: console, junit, markdown, html. They never call back into a run.
//!
//! ```text
//! events.jsonl ──► Story ──┬─► junit.xml
//!                          ├─► report.md
//!                          └─► report.html
//! ```
//! The files depend on the events alone, so writing them again gives the same bytes.

mod chart;
pub mod console;
mod flags;
mod html;
mod junit;
mod markdown;
pub mod numbers;
mod sentence;
pub mod story;
#[cfg(test)]
mod tests;
pub mod text;

use std::path::{Path, PathBuf};

pub use story::Story;

use crate::event::EVENTS;
use crate::verdict::Verdict;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}:{line} is no event of a run: {reason}")]
    Line { path: PathBuf, line: usize, reason: String },
    #[error("{path} was written with schema {found}, this meshquake reads {known}")]
    Schema { path: PathBuf, found: u32, known: u32 },
    #[error("{path} holds no run: it has no event that says how it began")]
    Empty { path: PathBuf },
}

/// Writes every report into the run's folder, from its events.
pub fn write(folder: &Path) -> Result<Story, Error> {
    let story = Story::read(&folder.join(EVENTS))?;
    for (name, text) in render(&story) {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| {
            // Half a report looks like a whole one.
            let _gone = std::fs::remove_file(&path);
            Error::Write { path, source }
        })?;
    }
    Ok(story)
}

/// The files of a report: name and content.
pub fn render(story: &Story) -> [(&'static str, String); 3] {
    [
        ("junit.xml", junit::render(story)),
        ("report.md", markdown::render(story)),
        ("report.html", html::render(story)),
    ]
}

/// The one quotable sentence of a run.
pub fn sentence(story: &Story) -> String {
    sentence::compose(story)
}

/// A shape for each verdict, so that nothing depends on colour.
const fn shape(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "✔",
        Verdict::Failed => "✖",
        Verdict::Inconclusive => "?",
        Verdict::NotSteady | Verdict::NotInjected => "◇",
        Verdict::Aborted => "■",
        Verdict::Refused | Verdict::Error => "▲",
    }
}
