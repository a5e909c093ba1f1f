//! A run's folder: its name, and how many old ones are kept.
//!
//! ```text
//! <id>/  events.jsonl  samples.om.gz  logs/  report.html  report.md  junit.xml
//! ```
//! The folder can be shared: no keys, no sockets, no environment in it.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::event::EVENTS;

#[derive(Debug, thiserror::Error)]
#[error("cannot write the run's folder {path}")]
pub struct Error {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Where everything is kept when nobody says otherwise: in `reports` beside the nearest `scenarios`, or else here, in a
/// folder whose name says whose it is.
pub fn home() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match here.ancestors().find(|folder| folder.join("scenarios").is_dir()) {
        Some(home) => home.join("reports"),
        None => here.join("meshquake-reports"),
    }
}

/// Where runs are kept in it.
pub fn default_root() -> PathBuf {
    home().join("runs")
}

pub struct Folder {
    pub id: String,
    pub path: PathBuf,
}

impl Folder {
    /// Makes a new one. Its name tells when and what; two at the same moment differ.
    pub fn create(root: &Path, scenario: &str) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        fs::create_dir_all(root).map_err(failed(root))?;
        let time = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        let name = scenario.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
        for attempt in 1.. {
            let id = if attempt == 1 { format!("{time}-{name}") } else { format!("{time}-{name}-{attempt}") };
            let path = root.join(&id);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { id, path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && attempt < 10_000 => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        unreachable!("the loop ends by returning")
    }
}

/// Removes the oldest runs beyond `keep`; only folders that hold the events of a run count. The run that has just ended
/// is none of them, even where the clock was set back and others look newer.
pub fn prune(root: &Path, keep: usize, ended: Option<&Path>) -> std::io::Result<Vec<PathBuf>> {
    let mut runs = match fs::read_dir(root) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    runs.retain(|path| path.join(EVENTS).is_file());
    // The name begins with the time.
    runs.sort_by_key(|run| (Some(run.as_path()) == ended, run.clone()));
    let surplus = runs.len().saturating_sub(keep);
    runs.truncate(surplus);
    for run in &runs {
        match fs::remove_dir_all(run) {
            // Another run that ended at the same time has removed it.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_at_one_moment_have_folders_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let one = Folder::create(root.path(), "a b").unwrap();
        let two = Folder::create(root.path(), "a b").unwrap();
        assert_ne!(one.path, two.path);
        assert!(one.id.contains("a-b"));
    }

    #[test]
    fn pruning_keeps_the_newest_and_leaves_strangers_alone() {
        let root = tempfile::tempdir().unwrap();
        for name in ["1", "2", "3", "stranger"] {
            fs::create_dir(root.path().join(name)).unwrap();
            if name != "stranger" {
                fs::write(root.path().join(name).join(EVENTS), "").unwrap();
            }
        }
        let ended = root.path().join("2");
        let removed = prune(root.path(), 2, Some(&ended)).unwrap();
        assert_eq!(removed, [root.path().join("1")]);
        // The clock was set back before "2" began.
        assert_eq!(prune(root.path(), 1, Some(&ended)).unwrap(), [root.path().join("3")]);
        assert!(ended.is_dir() && root.path().join("stranger").is_dir());
        assert_eq!(prune(root.path(), 0, None).unwrap(), [ended]);
        assert_eq!(prune(&root.path().join("none"), 1, None).unwrap(), Vec::<PathBuf>::new());
    }
}
