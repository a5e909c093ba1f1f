//! `events.jsonl` read back, also where a crash cut it off.

use std::path::Path;

use super::super::Error;
use super::Story;
use crate::event::{Header, Record, SCHEMA};

/// The events of a run, in the order in which they were written.
pub struct Told {
    pub header: Header,
    pub records: Vec<Record>,
    /// The last line, where a crash cut it short: it is left out.
    pub cut_at: Option<usize>,
}

impl Told {
    /// A last line that was cut short is no error; any other bad line is.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let bad = |line: usize, reason: String| Error::Line { path: path.to_owned(), line, reason };
        let empty = || Error::Empty { path: path.to_owned() };
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
        let (_, first) = lines.next().ok_or_else(empty)?;
        let header = match serde_json::from_slice::<Header>(first) {
            Ok(header) => header,
            Err(_) if !whole(first) => return Err(empty()),
            Err(error) => return Err(bad(1, error.to_string())),
        };
        if header.schema != SCHEMA {
            return Err(Error::Schema { path: path.to_owned(), found: header.schema, known: SCHEMA });
        }
        let mut records = Vec::new();
        let mut cut_at = None;
        for (index, line) in lines {
            match serde_json::from_slice::<Record>(line) {
                Ok(record) => records.push(record),
                Err(_) if !whole(line) => cut_at = Some(index + 1),
                Err(error) => return Err(bad(index + 1, error.to_string())),
            }
        }
        Ok(Self { header, records, cut_at })
    }
}

impl Story {
    pub fn read(path: &Path) -> Result<Self, Error> {
        let Told { header, records, cut_at } = Told::read(path)?;
        let mut story = Self::fold(header, records).ok_or_else(|| Error::Empty { path: path.to_owned() })?;
        if let Some(line) = cut_at {
            story
                .warnings
                .push(format!("the record of the run was cut off in the middle of its line {line}"));
        }
        Ok(story)
    }
}

fn whole(line: &[u8]) -> bool {
    line.ends_with(b"\n")
}
