//! Recorded runs of every kind, told by every reporter.

mod build;
mod cases;
mod console;
mod extremes;
mod files;
mod reading;

use std::path::{Path, PathBuf};

use super::*;
use cases::Case;

fn story(case: &Case) -> Story {
    read(&case.jsonl).unwrap()
}

fn read(jsonl: impl AsRef<[u8]>) -> Result<Story, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(EVENTS);
    std::fs::write(&path, jsonl).unwrap();
    Story::read(&path)
}

fn case(name: &str) -> &'static Case {
    cases::all().iter().find(|case| case.name == name).unwrap()
}

/// The recorded runs as files, for whoever wants to render or to read one: they are what the builder makes.
/// `MESHQUAKE_BLESS=1` writes them anew.
#[test]
fn the_fixtures_are_what_the_builder_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs");
    let bless = std::env::var_os("MESHQUAKE_BLESS").is_some();
    for case in cases::all().iter().filter(|case| !case.large) {
        let path = folder.join(case.name).join(EVENTS);
        if bless {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &case.jsonl).unwrap();
        }
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(file == case.jsonl, "{} differs: set MESHQUAKE_BLESS=1 once", path.display());
    }
}

/// The samples that are shown to whoever has no run yet: real ones, whose reports are what their events make today.
/// `MESHQUAKE_BLESS=1` writes them anew.
#[test]
fn the_samples_are_what_their_events_make() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/sample");
    for name in ["held", "failed"] {
        let own = folder.join(name);
        let story = Story::read(&own.join(EVENTS)).unwrap();
        assert_eq!(story.verdict.word(), name);
        if std::env::var_os("MESHQUAKE_BLESS").is_some() {
            write(&own).unwrap();
        }
        for (file, text) in render(&story) {
            let path = own.join(file);
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == text, "{} differs: set MESHQUAKE_BLESS=1 once", path.display());
            for private in private() {
                assert!(!text.contains(&private), "{} tells of {private}", path.display());
            }
        }
    }
}

/// Where people have their files, by custom and here.
fn private() -> Vec<String> {
    let here = [std::env::current_dir().ok(), std::env::home_dir(), Some(std::env::temp_dir())];
    let here = here.into_iter().flatten().filter(|path| path.parent().is_some());
    let here = here.map(|path| format!("{}/", path.display().to_string().trim_end_matches('/')));
    ["/home/", "/root", "/tmp/"].map(str::to_owned).into_iter().chain(here).collect()
}

/// Writes all reports where they can be looked at: `MESHQUAKE_LOOK=/folder cargo test -p meshquake look`.
#[test]
fn every_run_can_be_written_into_its_folder_twice_with_equal_bytes() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("MESHQUAKE_LOOK").map_or(temporary.path().to_owned(), PathBuf::from);
    for case in cases::all() {
        let folder = folder.join(case.name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(EVENTS), &case.jsonl).unwrap();
        let bytes = || {
            write(&folder).unwrap();
            ["junit.xml", "report.md", "report.html"].map(|name| std::fs::read(folder.join(name)).unwrap())
        };
        assert_eq!(bytes(), bytes(), "{}", case.name);
    }
}
