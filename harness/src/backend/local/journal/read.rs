//! Reading a journal that somebody else has written, perhaps not to the end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Error, Header, Intent, Journal, Record, SUFFIX, take_over};
use crate::backend::local::proc::Identity;

/// What a journal says.
#[derive(Debug, Clone)]
pub struct Reading {
    pub path: PathBuf,
    pub header: Header,
    /// A last line was being written when its writer died; it does not count.
    pub torn: bool,
    pub(super) open: BTreeMap<Intent, Value>,
    pub(super) next: Intent,
    pub(super) whole_bytes: u64,
    processes: Vec<Identity>,
}

/// A file that should be a journal and is none, and why.
#[derive(Debug)]
pub struct Unreadable {
    pub path: PathBuf,
    pub error: Error,
}

impl Journal {
    /// All journals of the folder by name, also those of runs that are still up. Locks nothing.
    pub fn open_all(folder: &Path) -> Result<(Vec<Reading>, Vec<Unreadable>), Error> {
        let failed = |source| Error::Read { path: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            Err(source) => return Err(failed(source)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == SUFFIX) {
                paths.push(path);
            }
        }
        paths.sort();
        let (mut readings, mut unreadable) = (Vec::new(), Vec::new());
        for path in paths {
            match Reading::of(&path) {
                Ok(reading) => readings.push(reading),
                // Closed since the folder was listed.
                Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => unreadable.push(Unreadable { path, error }),
            }
        }
        Ok((readings, unreadable))
    }
}

impl Reading {
    /// Reads one journal.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, Error> {
        let damaged = |line, why: String| Error::Damaged { path: path.to_owned(), line, why };
        let mut header = None;
        let (mut open, mut next, mut processes) = (BTreeMap::new(), Intent(1), Vec::new());
        let (mut whole_bytes, mut torn) = (0, false);
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let record = match record(line) {
                Ok(record) => record,
                Err(_) if whole_bytes + line.len() == text.len() => {
                    torn = true;
                    break;
                }
                Err(why) => return Err(damaged(index + 1, why)),
            };
            whole_bytes += line.len();
            match record {
                Record::Header(found) => header = Some(found),
                Record::Process(process) => processes.push(process),
                Record::Intent { id, undo } => {
                    next = Intent(id.0 + 1);
                    open.insert(id, undo);
                }
                Record::Done { id } => {
                    open.remove(&id);
                }
            }
        }
        let header = header.ok_or_else(|| damaged(1, "no header".into()))?;
        let path = path.to_owned();
        Ok(Self { path, header, torn, open, next, whole_bytes: whole_bytes as u64, processes })
    }

    /// Whether the supervisor that wrote it still runs.
    pub fn owner_alive(&self) -> bool {
        self.header.owner_alive()
    }

    /// What is still to be taken back, last first.
    pub fn open_intents(&self) -> Vec<(Intent, Value)> {
        self.open.iter().rev().map(|(id, undo)| (*id, undo.clone())).collect()
    }

    /// The children that were noted; none when the machine was started anew since.
    pub fn processes(&self) -> &[Identity] {
        if self.header.is_of_this_boot() { &self.processes } else { &[] }
    }

    /// Takes the journal over from its dead owner: undo what is open, note it done, close it.
    /// Nothing when the owner still lives, or when somebody else is healing or has healed it.
    pub fn heal(&self) -> Result<Option<Journal>, Error> {
        take_over(self)
    }
}

/// `<checksum> <json>\n`; JSON escapes line breaks, so a line is a record.
pub(super) fn line(record: &Record) -> serde_json::Result<String> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{} {json}\n", checksum(json.as_bytes())))
}

fn record(line: &[u8]) -> Result<Record, String> {
    let line = line.strip_suffix(b"\n").ok_or("the line has no end")?;
    let space = line.iter().position(|byte| *byte == b' ').ok_or("there is no checksum")?;
    let (sum, json) = (&line[..space], &line[space + 1..]);
    if sum != checksum(json).as_bytes() {
        return Err("the checksum is wrong".into());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Enough of a SHA-256 to tell a torn line from a whole one.
fn checksum(json: &[u8]) -> String {
    Sha256::digest(json).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
