//! Where events go as they happen: into the run's folder, and to whoever listens.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::{EVENTS, Event, Header, Record, SCHEMA};
use crate::clock::now;

#[derive(Debug, thiserror::Error)]
#[error("the events cannot be written into {path}")]
pub struct Error {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Writes events down as they happen and passes them on to whoever listens.
#[derive(Clone)]
pub struct Events {
    file: Arc<Mutex<Sink>>,
    listener: Option<mpsc::UnboundedSender<Record>>,
}

struct Sink {
    file: File,
    path: PathBuf,
    /// The first failure; a full disk must not go unseen.
    failed: Option<std::io::Error>,
}

impl Events {
    pub fn create(folder: &Path, listener: Option<mpsc::UnboundedSender<Record>>) -> Result<Self, Error> {
        let path = folder.join(EVENTS);
        let header = Header { schema: SCHEMA, meshquake: env!("CARGO_PKG_VERSION").into() };
        let written = File::create(&path).and_then(|mut file| {
            writeln!(file, "{}", serde_json::to_string(&header)?)?;
            Ok(file)
        });
        match written {
            Ok(file) => Ok(Self { file: Arc::new(Mutex::new(Sink { file, path, failed: None })), listener }),
            Err(source) => Err(Error { path, source }),
        }
    }

    pub fn emit(&self, event: Event) {
        self.emit_at(now(), event);
    }

    pub fn emit_at(&self, at: i64, event: Event) {
        let record = Record { at, event };
        if let Ok(line) = serde_json::to_string(&record) {
            let mut sink = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if sink.failed.is_none()
                && let Err(error) = sink.file.write_all(format!("{line}\n").as_bytes())
            {
                sink.failed = Some(error);
            }
        }
        if let Some(listener) = &self.listener {
            // A listener that has gone does not matter: the file is the truth.
            let _ = listener.send(record);
        }
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning { text: text.into() });
    }

    /// Why not every event could be written.
    pub fn failure(&self) -> Option<String> {
        let sink = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        sink.failed.as_ref().map(|error| format!("{} could not be written: {error}", sink.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_remembered() {
        let sink = Sink {
            file: File::options().write(true).open("/dev/full").unwrap(),
            path: "x".into(),
            failed: None,
        };
        let events = Events { file: Arc::new(Mutex::new(sink)), listener: None };
        events.warn("something");
        assert!(events.failure().is_some());
    }
}
