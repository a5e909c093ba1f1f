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
mod html;
mod junit;
mod markdown;
mod numbers;
mod sentence;
pub mod story;

use std::path::{Path, PathBuf};

pub use story::Story;

pub const EVENTS: &str = "events.jsonl";

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
    let files = [
        ("junit.xml", junit::render(&story)),
        ("report.md", markdown::render(&story)),
        ("report.html", html::render(&story)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Error::Write { path, source })?;
    }
    Ok(story)
}

/// The one quotable sentence of a run.
pub fn sentence(story: &Story) -> String {
    sentence::compose(story)
}
