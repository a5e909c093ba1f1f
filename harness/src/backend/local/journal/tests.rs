use serde_json::json;

use super::*;
use crate::backend::local::again::{Helper, again, run_id};

fn create(folder: &Path, run: &str) -> Journal {
    let header = Header::of_self(run, "pinning", 64, "/tmp/run").expect("a header");
    Journal::create(folder, header).expect("a journal")
}

fn only_reading(folder: &Path) -> Reading {
    let (mut readings, unreadable) = Journal::open_all(folder).expect("the folder can be read");
    assert!(unreadable.is_empty(), "{unreadable:?}");
    assert_eq!(readings.len(), 1);
    readings.remove(0)
}

#[test]
fn what_is_open_is_read_back_last_first() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let journal = create(folder.path(), "k3x9");
    let first = journal.intent(&json!({"delete": "a\nb"})).expect("written");
    let second = journal.intent(&json!({"delete": "c"})).expect("written");
    let third = journal.intent(&json!({"scale": 2})).expect("written");
    journal.done(second).expect("written");
    let me = Identity::of_self().expect("own identity");
    journal.process(me).expect("written");

    let reading = only_reading(folder.path());
    let open = vec![(third, json!({"scale": 2})), (first, json!({"delete": "a\nb"}))];
    assert_eq!(reading.open_intents(), open);
    assert_eq!(journal.open_intents(), open);
    assert_eq!(reading.processes(), [me]);
    assert_eq!(&reading.header, journal.header());
    assert!(!reading.torn && reading.owner_alive());

    assert!(matches!(journal.done(second), Err(Error::NoSuchIntent { id: 2, .. })), "done is done");
    assert!(matches!(journal.close(), Err(Error::StillOpen { open: 2, .. })), "nothing is forgotten");
    journal.done(first).and_then(|()| journal.done(third)).expect("written");
    journal.close().expect("closed");
    assert_eq!(Journal::open_all(folder.path()).expect("readable").0.len(), 0);
}

#[test]
fn what_a_killed_creator_left_is_removed_by_the_next() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (dead, alive) = (folder.path().join(".a.1.new"), folder.path().join(".b.2.new"));
    fs::write(&dead, "0000 {}").and_then(|()| fs::write(&alive, "0000 {}")).expect("written");
    let lock = File::open(&alive).expect("open");
    flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("locked");
    create(folder.path(), "k3x9");
    assert!(!dead.exists() && alive.exists(), "who is at it just now is left alone");
}

#[test]
fn a_run_has_one_journal() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let journal = create(folder.path(), "k3x9");
    let again = Journal::create(folder.path(), journal.header().clone());
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
}

#[tokio::test]
async fn a_torn_last_line_does_not_count_and_is_not_in_the_way() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let journal = create(folder.path(), "k3x9");
    let path = journal.path().to_owned();
    let kept = journal.intent(&json!(1)).expect("written");
    let whole = fs::read(&path).expect("readable").len();
    journal.intent(&json!("torn")).expect("written");
    drop(journal);
    let text = fs::read(&path).expect("readable");
    for cut in whole + 1..text.len() {
        fs::write(&path, &text[..cut]).expect("torn");
        let reading = only_reading(folder.path());
        assert!(reading.torn, "cut at {cut}");
        assert_eq!(reading.open_intents(), [(kept, json!(1))], "cut at {cut}");
    }
    let healer = heal(&only_reading(folder.path())).await;
    let next = healer.intent(&json!("after")).expect("written");
    let reading = only_reading(folder.path());
    assert!(!reading.torn);
    assert_eq!(reading.open_intents(), [(next, json!("after")), (kept, json!(1))]);
}

#[test]
fn damage_before_the_end_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let journal = create(folder.path(), "k3x9");
    let path = journal.path().to_owned();
    journal.intent(&json!("one")).and_then(|_| journal.intent(&json!("two"))).expect("written");
    let text = fs::read_to_string(&path).expect("readable").replace("one", "eno");
    fs::write(&path, text).expect("damaged");
    let (readings, unreadable) = Journal::open_all(folder.path()).expect("the folder can be read");
    assert!(readings.is_empty());
    let told = unreadable[0].error.to_string();
    assert_eq!(told, format!("the journal {} is damaged in line 2: the checksum is wrong", path.display()));
}

async fn heal(reading: &Reading) -> Journal {
    again("the lock", || match reading.heal() {
        Ok(Some(journal)) => Ok(journal),
        Ok(None) => Err("somebody has it".to_owned()),
        Err(error) => Err(error.to_string()),
    })
    .await
}

#[tokio::test]
async fn the_living_are_not_healed_and_only_one_heals_the_dead() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let journal = create(folder.path(), "k3x9");
    let intent = journal.intent(&json!("undo me")).expect("written");
    let reading = only_reading(folder.path());
    assert!(reading.heal().expect("lockable").is_none(), "its owner holds it");
    drop(journal);

    let healer = heal(&reading).await;
    assert!(reading.heal().expect("lockable").is_none(), "somebody heals it already");
    assert_eq!(healer.open_intents(), [(intent, json!("undo me"))]);
    // A second healer opens the file, the first is done and removes it, the second gets the lock.
    healer.done(intent).and_then(|()| healer.close()).expect("healed");
    drop(healer);
    assert!(reading.heal().expect("lockable").is_none(), "it is healed");
}

#[test]
fn an_owner_of_another_boot_or_start_is_dead() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let alive = create(folder.path(), "k3x9").header().clone();
    assert!(alive.owner_alive());
    let rebooted = Header { boot_id: "another".into(), ..alive.clone() };
    assert!(!rebooted.owner_alive());
    let supervisor = Identity { start: alive.supervisor.start + 1, ..alive.supervisor };
    assert!(!Header { supervisor, ..alive }.owner_alive(), "its pid was reused");
}

#[test]
fn room_is_reserved_before_anything_starts() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let journal = create(folder.path(), "k3x9");
    let found = fs::metadata(journal.path()).expect("it exists");
    assert!(found.blocks() * 512 >= ROOM, "{} blocks", found.blocks());
    assert!(found.len() < 1000, "and yet the file ends with its last line: {}", found.len());
    assert_eq!(found.mode() & 0o777, 0o600);
}

#[test]
fn where_nothing_can_be_written_nothing_is_done() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let gone = folder.path().join("gone");
    let header = Header::of_self("k3x9", "pinning", 64, "/tmp/run").expect("a header");
    let error = Journal::create(&gone, header).expect_err("no folder").to_string();
    let path = gone.join("k3x9.journal");
    assert_eq!(
        error,
        format!(
            "the journal {} cannot be created, so nothing was done: No such file or directory (os error 2)",
            path.display()
        )
    );
    assert!(Journal::open_all(&gone).expect("no folder, no journals").0.is_empty());
}

/// `ulimit -f` stands for a full disk: writing beyond it fails, half of a line may have been written before.
#[test]
fn a_full_disk_is_an_error_and_leaves_no_torn_line() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = run_id("full");
    let mut helper = Helper::start_after("trap '' XFSZ; ulimit -f 0", "full disk", &run, folder.path());
    let said = helper.says();
    assert!(said.contains(&run) && said.contains("so nothing was done: File too large"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0, "no half journal is left");

    let mut helper = Helper::start_after("trap '' XFSZ; ulimit -f 4", "full disk", &run, folder.path());
    let said = helper.says();
    assert!(said.contains("so nothing was done: File too large"), "{said}");
    let written: usize = said.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    let reading = only_reading(folder.path());
    assert!(!reading.torn, "the failed line was taken back");
    assert!(written > 0 && reading.open_intents().len() == written, "{written} of {reading:?}");
}
