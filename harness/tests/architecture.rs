//! The rooms of `docs/architecture.md` are those of the code: each uses what the page says, and none in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Rooms = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_page_tells_what_uses_what() {
    assert_eq!(told(), built());
}

#[test]
fn nothing_is_used_in_a_circle() {
    let mut left = built();
    while !left.is_empty() {
        let free = left.iter().filter(|(_, uses)| !uses.iter().any(|room| left.contains_key(room)));
        let free = free.map(|(room, _)| room.clone()).collect::<Vec<_>>();
        assert!(!free.is_empty(), "these use each other in a circle: {left:?}");
        free.iter().for_each(|room| drop(left.remove(room)));
    }
}

/// What the page's table says.
fn told() -> Rooms {
    let page = std::fs::read_to_string(package().join("docs/architecture.md")).expect("the page");
    let rows = page.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
        let uses = cells[2].split(',').map(|room| room.trim().to_owned()).filter(|room| !room.is_empty());
        (cells[0].trim_matches('`').to_owned(), uses.collect())
    })
    .collect()
}

/// What the code does, tests left aside.
fn built() -> Rooms {
    let mut files = Vec::new();
    collect(&package().join("src"), &mut files);
    let mut rooms = Rooms::new();
    for (room, text) in &files {
        let uses = rooms.entry(room.clone()).or_default();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for named in lines.flat_map(|line| line.split("crate::").skip(1)) {
            let end = named.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(named.len());
            assert!(end > 0, "`use crate::{{...}}` hides what is used: {room}");
            if named[..end] != **room {
                uses.insert(named[..end].to_owned());
            }
        }
    }
    rooms
}

/// Every file with the room that it lies in.
fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the code") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let of_tests =
            ["tests", "fake", "fake_api", "fixture"].contains(&name.as_str()) || name.ends_with("_tests");
        if of_tests || name == "snapshots" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
            continue;
        }
        let within = path.strip_prefix(package().join("src")).expect("below the code");
        let room = within.components().next().expect("a name").as_os_str().to_string_lossy();
        let room = room.trim_end_matches(".rs");
        if path.extension().is_some_and(|extension| extension == "rs") && !["lib", "main"].contains(&room) {
            files.push((room.to_owned(), std::fs::read_to_string(&path).expect("a file of the code")));
        }
    }
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
