//! The log: one JSON line per request on standard output.
//!
//! Requests only append to a buffer; a thread of its own writes it out every 50 ms and at the end. So a reader that stalls
//! stops no request: beyond 1 MiB lines are dropped, and the log says how many.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

const EVERY: Duration = Duration::from_millis(50);
const MOST: usize = 1 << 20;
/// How long the end of the process waits for the last lines to be taken.
const AT_END: Duration = Duration::from_millis(500);

/// A request as the log tells it.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// Milliseconds since the epoch, when the request was answered.
    pub ts: u128,
    pub service: &'a str,
    pub version: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    /// 499 when the caller went away before it was answered.
    pub status: u16,
    pub duration_ms: f64,
    pub request_id: &'a str,
    pub trace_id: &'a str,
    /// What the chaos switch did to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chaos: Option<&'a str>,
}

/// A change in the life of the process.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    pub ts: u128,
    pub service: &'a str,
    pub version: &'a str,
    pub event: &'a str,
    pub detail: &'a str,
}

pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// What the requests and the thread share.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    dropped: u64,
    closed: bool,
    finished: bool,
}

#[derive(Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    changed: Condvar,
}

impl Shared {
    /// A panic elsewhere leaves at worst half a line; the log goes on.
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines go; cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

impl Log {
    /// Opens the log over `out`. The [`Writer`] has to be closed, or the last lines are lost.
    pub fn open(out: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("log".into()).spawn(move || write_out(&for_thread, out))?;
        Ok((Self(Arc::clone(&shared)), Writer { shared }))
    }

    pub fn write(&self, line: &impl Serialize) {
        let mut buffer = self.0.buffer();
        if buffer.bytes.len() > MOST {
            buffer.dropped += 1;
            return;
        }
        let first = buffer.bytes.is_empty();
        // Writing plain structs of text and numbers into memory cannot fail.
        let _ = serde_json::to_writer(&mut buffer.bytes, line);
        buffer.bytes.push(b'\n');
        if first {
            self.0.changed.notify_all();
        }
    }
}

fn write_out(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let mut buffer = shared.buffer();
        while buffer.bytes.is_empty() && !buffer.closed {
            buffer = shared.changed.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        // Gather what comes in the next moment too: one write for many lines.
        if !buffer.closed {
            let waited = shared.changed.wait_timeout_while(buffer, EVERY, |buffer| !buffer.closed);
            buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let closed = buffer.closed;
        std::mem::swap(&mut batch, &mut buffer.bytes);
        let dropped = std::mem::take(&mut buffer.dropped);
        drop(buffer);

        if dropped > 0 {
            batch.extend_from_slice(format!("{{\"event\":\"dropped\",\"lines\":{dropped}}}\n").as_bytes());
        }
        // Whoever read the log may be gone; the service is not there for its log.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        if closed {
            shared.buffer().finished = true;
            shared.changed.notify_all();
            return;
        }
    }
}

/// The thread that writes the log out.
#[must_use = "the last lines are written when this is dropped"]
pub struct Writer {
    shared: Arc<Shared>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut buffer = self.shared.buffer();
        buffer.closed = true;
        self.shared.changed.notify_all();
        // A reader that takes nothing must not keep the process.
        let _ = self.shared.changed.wait_timeout_while(buffer, AT_END, |buffer| !buffer.finished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("page").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_out_when_the_log_is_closed() {
        let page = Page::default();
        let (log, writer) = Log::open(page.clone()).expect("thread");
        for n in 0..1000 {
            log.write(&n);
        }
        drop(writer);
        let written = String::from_utf8(page.0.lock().expect("page").clone()).expect("text");
        let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
        assert_eq!(written, expected);
    }

    /// A reader that takes nothing until it is told to.
    struct Stalled(std::sync::mpsc::Receiver<()>, Page);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_the_log_says_how_many() {
        let (go, wait) = std::sync::mpsc::channel();
        let page = Page::default();
        let (log, writer) = Log::open(Stalled(wait, page.clone())).expect("thread");
        let line = "x".repeat(1021);
        for _ in 0..5000 {
            log.write(&line);
        }
        drop(go);
        drop(writer);
        let written = String::from_utf8(page.0.lock().expect("page").clone()).expect("text");
        let kept = written.lines().filter(|l| l.starts_with("\"x")).count() as u64;
        let dropped: u64 = written
            .lines()
            .filter_map(|l| {
                l.strip_prefix("{\"event\":\"dropped\",\"lines\":")?.strip_suffix('}')?.parse::<u64>().ok()
            })
            .sum();
        assert!(dropped > 0 && kept + dropped == 5000, "{kept} kept, {dropped} dropped");
    }

    #[test]
    fn a_reader_that_takes_nothing_does_not_hold_up_the_end() {
        let (go, wait) = std::sync::mpsc::channel();
        let page = Page::default();
        let (log, writer) = Log::open(Stalled(wait, page.clone())).expect("thread");
        log.write(&1);
        drop(writer);
        assert!(page.0.lock().expect("page").is_empty(), "the end came first");
        drop(go);
    }
}
