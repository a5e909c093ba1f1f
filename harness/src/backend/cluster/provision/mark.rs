//! What we know of a cluster that we make, on this machine: its mark, its kubeconfig, and the lock of whoever works on it.
//!
//! The mark is written before the cluster is begun. So a cluster that an interrupted try left half-made is known as
//! ours, and may be removed; one without a mark and without our record inside is somebody else's, and is not touched.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::maker::Maker;
use crate::wait::{self, Seen};

#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", .path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// How far a cluster has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its nodes are being made.
    Begun,
    /// Its API answers.
    Answers,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub stage: Stage,
    pub digest: String,
}

/// Where all of it lies.
#[derive(Clone, Debug)]
pub struct Desk {
    folder: PathBuf,
    title: String,
}

impl Desk {
    pub fn new(folder: &Path, maker: Maker, cluster: &str) -> Self {
        Self { folder: folder.to_owned(), title: format!("{}-{cluster}", maker.name()) }
    }

    fn path(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}.{end}", self.title))
    }

    /// Our own kubeconfig: the person's current context is never changed.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// A file for a tool to read.
    pub fn file(&self, end: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path(end);
        write(&path, text.as_bytes())?;
        Ok(path)
    }

    pub fn mark(&self) -> Option<Mark> {
        serde_json::from_slice(&fs::read(self.path("json")).ok()?).ok()
    }

    pub fn set(&self, stage: Stage, digest: &str) -> Result<(), Error> {
        let mark = Mark { stage, digest: digest.to_owned() };
        let text = serde_json::to_vec(&mark).unwrap_or_default();
        write(&self.path("json"), &text)
    }

    /// The cluster is gone, and so is what was noted of it. The lock's file stays: somebody may be waiting for it.
    pub fn clear(&self) {
        for end in ["json", "kubeconfig", "config.yaml", "istio.yaml"] {
            // What is not there needs no removing.
            let _ = fs::remove_file(self.path(end));
        }
    }

    /// Waits until nobody else works on the cluster.
    pub async fn lock(&self, limit: Duration, tell: &(dyn Fn(String) + Sync)) -> Result<File, LockError> {
        let path = self.path("lock");
        let failed = |source| LockError::File(Error { path: path.clone(), source });
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        let mut told = false;
        let what = format!("the lock of the cluster `{}`", self.title);
        wait::until(what, limit, async || match file.try_lock() {
            Ok(()) => Seen::Done(()),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    tell(format!("another meshquake works on the cluster `{}`; waiting", self.title));
                }
                told = true;
                Seen::NotYet("somebody else holds it".into())
            }
            Err(TryLockError::Error(error)) => Seen::Never(error.to_string()),
        })
        .await?;
        Ok(file)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(transparent)]
    File(Error),
    #[error(transparent)]
    Held(#[from] wait::NotReached),
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    fs::write(draft.path(), bytes).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    draft.persist(path).map(drop).map_err(|error| failed(error.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Desk::new(folder.path(), Maker::Kind, "x");
        let held = desk.lock(Duration::ZERO, &|_| {}).await.expect("free");
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |text: String| told.lock().expect("no panic").push(text);
        let error = desk.lock(Duration::from_millis(20), &tell).await.expect_err("held").to_string();
        assert!(error.contains("somebody else holds it"), "{error}");
        assert_eq!(
            *told.lock().expect("no panic"),
            ["another meshquake works on the cluster `kind-x`; waiting"]
        );
        drop(held);
        // Somebody's child between fork and exec may have it a moment longer.
        desk.lock(Duration::from_secs(60), &|_| {}).await.expect("free again");
    }

    #[test]
    fn marks_are_kept_until_the_cluster_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Desk::new(folder.path(), Maker::K3d, "x");
        assert_eq!(desk.mark(), None);
        desk.set(Stage::Begun, "abc").expect("written");
        assert_eq!(desk.mark(), Some(Mark { stage: Stage::Begun, digest: "abc".into() }));
        let other = Desk::new(folder.path(), Maker::Kind, "x");
        assert_eq!(other.mark(), None, "kind's cluster of the same name is another one");
        desk.clear();
        assert_eq!(desk.mark(), None);
    }
}
