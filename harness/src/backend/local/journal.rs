//! Undo before do: what a run will have to take back is on disk before it is done.
//!
//! A journal is one file a run, `<state>/runs/<id>.journal`: room is reserved and synced before the first process
//! starts, then lines are appended, each with its checksum, so that a line torn by a crash is recognised. An
//! `intent` holds an undo that the journal itself does not understand; `done` says that it was taken back.
//! Whoever cannot write it must do nothing. The owner holds a lock on the file as long as it lives, and a healer
//! takes the same lock: many may read, one heals. Calls block until the disk has it: milliseconds, or more.
//!
//! ```ignore
//! let journal = Journal::create(&dirs.runs()?, header)?;
//! let intent = journal.intent(&serde_json::to_value(&undo)?)?; // on disk when this returns
//! // … do it, take it back …
//! journal.done(intent)?;
//! journal.close()?; // removes the file; refused while an intent is open
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, FlockOperation, RenameFlags, fallocate, flock, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::proc::{self, Identity};

mod read;
#[cfg(test)]
mod tests;

pub use read::{Reading, Unreadable};

const SUFFIX: &str = "journal";
const UNBORN: &str = "new";
/// Room that is reserved at once: more than an ordinary run ever writes.
const ROOM: u64 = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the journal {} cannot be {act}, so nothing was done: {source}", .path.display())]
    Write { path: PathBuf, act: &'static str, source: io::Error },
    #[error("the journal {} cannot be read: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the journal {} is damaged in line {line}: {why}", .path.display())]
    Damaged { path: PathBuf, line: usize, why: String },
    #[error("run {run} has a journal already: {}", .path.display())]
    Exists { run: String, path: PathBuf },
    #[error("the journal {} still has {open} undo(s) to do", .path.display())]
    StillOpen { path: PathBuf, open: usize },
    #[error("no intent {id} is open in the journal {}", .path.display())]
    NoSuchIntent { path: PathBuf, id: u64 },
}

/// Who runs what, and where: enough to find and end it all when the owner is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub run: String,
    pub world: String,
    pub supervisor: Identity,
    pub boot_id: String,
    /// The slice 127.R.0.0/16 of the run.
    pub slice: u8,
    pub runtime_dir: PathBuf,
    /// The version of meshquake that wrote it.
    pub version: String,
    pub created_ms: i64,
}

impl Header {
    /// A header of this process, at this time and boot.
    pub fn of_self(
        run: impl Into<String>,
        world: impl Into<String>,
        slice: u8,
        runtime_dir: impl Into<PathBuf>,
    ) -> io::Result<Self> {
        Ok(Self {
            run: run.into(),
            world: world.into(),
            supervisor: Identity::of_self()?,
            boot_id: proc::boot_id()?,
            slice,
            runtime_dir: runtime_dir.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_ms: jiff::Timestamp::now().as_millisecond(),
        })
    }

    /// Whether these pids and start times mean anything now.
    pub fn is_of_this_boot(&self) -> bool {
        proc::boot_id().is_ok_and(|boot| boot == self.boot_id)
    }

    /// Whether the supervisor that wrote this journal still runs.
    pub fn owner_alive(&self) -> bool {
        self.is_of_this_boot() && self.supervisor.is_alive()
    }
}

/// The name of an undo that is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Intent(pub u64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum Record {
    Header(Header),
    Process(Identity),
    Intent { id: Intent, undo: Value },
    Done { id: Intent },
}

/// A journal that this process may write: it holds the lock.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    header: Header,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    written: u64,
    reserved: u64,
    next: Intent,
    open: BTreeMap<Intent, Value>,
}

impl Journal {
    /// Writes the header and reserves room; all of that is on disk when this returns.
    pub fn create(folder: &Path, header: Header) -> Result<Self, Error> {
        let path = folder.join(format!("{}.{SUFFIX}", header.run));
        let failed = |act| {
            let path = path.clone();
            move |source| Error::Write { path, act, source }
        };
        if path.exists() {
            return Err(Error::Exists { run: header.run, path });
        }
        remove_unborn(folder);
        // Under another name until it is whole and locked: nobody ever reads half a header or heals a newborn.
        let unborn = folder.join(format!(".{}.{}.{UNBORN}", header.run, std::process::id()));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&unborn)
            .map_err(failed("created"))?;
        let born = (|| {
            flock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|error| failed("locked")(error.into()))?;
            let journal = Self {
                path: path.clone(),
                header: header.clone(),
                state: Mutex::new(State {
                    file,
                    written: 0,
                    reserved: 0,
                    next: Intent(1),
                    open: BTreeMap::new(),
                }),
            };
            journal.append(&Record::Header(header.clone()), Durable::Yes)?;
            publish(&unborn, &path).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists { run: header.run.clone(), path: path.clone() },
                _ => failed("named")(source),
            })?;
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("synced"))?;
            Ok(journal)
        })();
        if born.is_err() {
            // What is left is of no use to anybody; the error to report is the first one.
            let _removed = fs::remove_file(&unborn);
        }
        born
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Writes down how to take back what is about to be done. It is on disk when this returns; after an error
    /// the thing must not be done.
    pub fn intent(&self, undo: &Value) -> Result<Intent, Error> {
        let mut state = self.state();
        let id = state.next;
        self.append_to(&mut state, &Record::Intent { id, undo: undo.clone() }, Durable::Yes)?;
        state.next = Intent(id.0 + 1);
        state.open.insert(id, undo.clone());
        Ok(id)
    }

    /// Writes down that it was taken back.
    pub fn done(&self, id: Intent) -> Result<(), Error> {
        let mut state = self.state();
        if !state.open.contains_key(&id) {
            return Err(Error::NoSuchIntent { path: self.path.clone(), id: id.0 });
        }
        self.append_to(&mut state, &Record::Done { id }, Durable::Yes)?;
        state.open.remove(&id);
        Ok(())
    }

    /// Notes a child, whose session is then found even if it forgets its mark. Not synced: a process does not
    /// survive what an unsynced line does not survive.
    pub fn process(&self, process: Identity) -> Result<(), Error> {
        self.append(&Record::Process(process), Durable::No)
    }

    /// What is still to be taken back, last first.
    pub fn open_intents(&self) -> Vec<(Intent, Value)> {
        self.state().open.iter().rev().map(|(id, undo)| (*id, undo.clone())).collect()
    }

    /// Removes the journal. Refused while something is still to be taken back.
    pub fn close(&self) -> Result<(), Error> {
        let state = self.state();
        if !state.open.is_empty() {
            return Err(Error::StillOpen { path: self.path.clone(), open: state.open.len() });
        }
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Write { path: self.path.clone(), act: "removed", source })
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, record: &Record, durable: Durable) -> Result<(), Error> {
        self.append_to(&mut self.state(), record, durable)
    }

    fn append_to(&self, state: &mut State, record: &Record, durable: Durable) -> Result<(), Error> {
        let failed = |act| move |source| Error::Write { path: self.path.clone(), act, source };
        let line = read::line(record).map_err(|error| failed("written")(error.into()))?;
        state.reserve(line.len() as u64).map_err(failed("given room"))?;
        let whole = state.file.write_all(line.as_bytes());
        let whole = whole.and_then(|()| match durable {
            Durable::Yes => state.file.sync_all(),
            Durable::No => Ok(()),
        });
        if let Err(source) = whole {
            // Half a line must not be in the way of the next one. If even that fails, the reader still sees it.
            let _shortened = state.file.set_len(state.written);
            state.reserved = state.written;
            return Err(failed("written")(source));
        }
        state.written += line.len() as u64;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Durable {
    Yes,
    No,
}

impl State {
    fn reserve(&mut self, more: u64) -> io::Result<()> {
        if self.written + more <= self.reserved {
            return Ok(());
        }
        let room = ROOM.max(more);
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.written, room) {
            Ok(()) => self.reserved = self.written + room,
            // Not every file system can; each line is synced before anything is done, so only comfort is lost.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Removes what a `create` has left that was killed half-way. Who is at it just now holds the lock.
fn remove_unborn(folder: &Path) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let unborn = path.extension().is_some_and(|extension| extension == UNBORN);
        if unborn
            && let Ok(file) = File::open(&path)
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            // Creating and locking are two steps: an empty one may be about to be locked.
            && file.metadata().is_ok_and(|found| found.len() > 0)
        {
            // It is in nobody's way if it stays.
            let _removed = fs::remove_file(&path);
        }
    }
}

fn publish(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE) {
        // Run ids are random; the check that was made before is enough where the kernel cannot make it.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        other => Ok(other?),
    }
}

/// Takes over what a dead owner has left. Nothing when the owner lives or somebody else heals it already.
pub(super) fn take_over(reading: &Reading) -> Result<Option<Journal>, Error> {
    let path = &reading.path;
    let failed = |source| Error::Write { path: path.clone(), act: "locked", source };
    let file = match OpenOptions::new().append(true).read(true).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    }
    if file.metadata().map_err(failed)?.nlink() == 0 {
        // Whoever held the lock a moment ago has healed it.
        return Ok(None);
    }
    // What was read before the lock was taken may have grown since.
    let now = Reading::of(path)?;
    file.set_len(now.whole_bytes).map_err(failed)?;
    Ok(Some(Journal {
        path: path.clone(),
        header: now.header,
        state: Mutex::new(State {
            file,
            written: now.whole_bytes,
            reserved: now.whole_bytes,
            next: now.next,
            open: now.open,
        }),
    }))
}
