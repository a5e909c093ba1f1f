//! A pod's log: appended to by the pod itself, kept small by cutting off its oldest part, read while it grows.
//!
//! The writer has the file open for appending and knows nothing of us, so nothing may be moved or renamed. The
//! oldest part is cut off by punching a hole at the front: positions stay what they were, no line that is being
//! written is lost, and a reader that was there before goes on where it was.
//!
//! ```ignore
//! tokio::spawn(logs::keep_small(dirs.logs("k3x9")?, logs::LIMIT));
//! let mut log = Log::open(&path)?;
//! let chunk = log.read()?;  // whole lines since the last call; chunk.dropped says how many bytes were cut off
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

/// How much of a log is kept, at least half of it at any time.
pub const LIMIT: u64 = 10 * 1024 * 1024;
/// How often sizes are looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// Holes are made of whole blocks, of whatever size these are.
const BLOCK: u64 = 64 * 1024;
/// The most that one call of `read` returns.
const CHUNK: u64 = 1024 * 1024;

/// Keeps all `*.log` files of a folder below `limit`, as long as it is polled.
pub async fn keep_small(folder: PathBuf, limit: u64) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tick.tick().await;
        let folder = folder.clone();
        let looked = tokio::task::spawn_blocking(move || cut_all(&folder, limit)).await;
        if let Ok(Err(error)) = looked {
            tracing::warn!(%error, "logs are not kept small");
        }
    }
}

fn cut_all(folder: &Path, limit: u64) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            cut(&path, limit)?;
        }
    }
    Ok(())
}

/// Cuts off the oldest part of a log that has grown beyond the limit, leaving half of the limit.
pub fn cut(path: &Path, limit: u64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let end = file.metadata()?.len();
    let begin = first_data(&file, end)?;
    if end - begin <= limit {
        return Ok(());
    }
    let keep_from = (end - limit / 2) / BLOCK * BLOCK;
    match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, keep_from) {
        Ok(()) => Ok(()),
        // Without holes all of it goes: a disk that runs full is worse. The writer appends, so it goes on at 0.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(0),
        Err(error) => Err(error.into()),
    }
}

/// Where the log begins, behind what was cut off: for readers of their own, who would get zeros before that.
pub fn begin(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    first_data(&file, end)
}

fn first_data(file: &File, end: u64) -> io::Result<u64> {
    match seek(file, SeekFrom::Data(0)) {
        Ok(begin) => Ok(begin),
        Err(Errno::NXIO) => Ok(end),
        Err(Errno::INVAL) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// A log being read.
#[derive(Debug)]
pub struct Log {
    file: File,
    position: u64,
}

/// What was new.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Whole lines, unless the log ends within one and `read_to_end` was called.
    pub text: String,
    /// Bytes before `text` that were cut off unread.
    pub dropped: u64,
}

impl Log {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, position: 0 })
    }

    /// The next whole lines, up to 1 MiB; empty when there is nothing new.
    pub fn read(&mut self) -> io::Result<Chunk> {
        self.read_some(false)
    }

    /// The same, with a last line that has no end: for when the writer is gone.
    pub fn read_to_end(&mut self) -> io::Result<Chunk> {
        self.read_some(true)
    }

    fn read_some(&mut self, with_rest: bool) -> io::Result<Chunk> {
        let end = self.file.metadata()?.len();
        if end < self.position {
            // It was emptied, on a file system that knows no holes.
            self.position = 0;
        }
        let begin = first_data(&self.file, end)?;
        let mut dropped = begin.saturating_sub(self.position);
        self.position = self.position.max(begin);
        let mut bytes = vec![0; usize::try_from((end - self.position).min(CHUNK)).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, self.position)?;
        let mut skip = 0;
        if dropped > 0 {
            // The cut fell anywhere in a line, the rest of which says nothing.
            skip = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            dropped += skip as u64;
        }
        let ends_here = self.position + bytes.len() as u64 == end;
        let upto = match bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if with_rest && ends_here => bytes.len(),
            Some(last) => last + 1,
            // A line longer than a chunk is handed out in pieces rather than never.
            None if bytes.len() as u64 == CHUNK => bytes.len(),
            None => skip,
        };
        let upto = upto.max(skip);
        self.position += upto as u64;
        Ok(Chunk { text: String::from_utf8_lossy(&bytes[skip..upto]).into_owned(), dropped })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("a log");
        file.write_all(text.as_bytes()).expect("written");
    }

    #[test]
    fn whole_lines_are_read_once_as_they_come() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.log");
        write(&path, "one\ntw");
        let mut log = Log::open(&path).expect("open");
        assert_eq!(log.read().expect("readable"), Chunk { text: "one\n".into(), dropped: 0 });
        assert_eq!(log.read().expect("readable"), Chunk::default(), "half a line is no line");
        write(&path, "o\nthr");
        assert_eq!(log.read().expect("readable").text, "two\n");
        assert_eq!(log.read_to_end().expect("readable").text, "thr");
        assert_eq!(log.read_to_end().expect("readable"), Chunk::default());
    }

    #[test]
    fn a_log_that_is_too_long_loses_its_oldest_lines_and_says_how_much() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.log");
        let limit = 4 * BLOCK;
        let lines: String = (0..60_000).map(|number| format!("line {number}\n")).collect();
        write(&path, &lines);
        assert!(lines.len() as u64 > limit);
        let mut early = Log::open(&path).expect("open");
        cut_all(folder.path(), limit).expect("cut");
        write(&path, "last\n");

        let mut late = Log::open(&path).expect("open");
        let chunk = late.read().expect("readable");
        assert_eq!(chunk.dropped + chunk.text.len() as u64, lines.len() as u64 + 5, "all is accounted for");
        assert!(chunk.text.starts_with("line ") && chunk.text.ends_with("\nline 59999\nlast\n"));
        let kept = chunk.text.len() as u64;
        assert!(kept > limit / 2 - BLOCK && kept <= limit / 2 + BLOCK + 5, "{kept}");
        assert_eq!(early.read().expect("readable"), chunk, "who had it open before sees the same");
        cut(&path, limit).expect("nothing to cut");
        assert_eq!(Log::open(&path).expect("open").read().expect("readable"), chunk);
    }
}
