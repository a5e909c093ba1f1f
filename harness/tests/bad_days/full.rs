//! A disk that is full in the middle of a run: the load stops, the fault is taken back, and the end says what was kept.

use std::fs;
use std::process::{Command, Stdio};

use crate::bed::{AFTERLIFE, Bed, PATIENCE, beside_others, cannot_run, skipped};
use crate::killed::long;
use crate::support;
use crate::until::until;

/// Room for the beginning of a run: the first events, and some seconds of samples.
const ROOM: &str = "128k";

/// `unshare` with mounts of its own, as root or as somebody who may become root among them; `None` where neither can
/// be had.
pub fn with_own_mounts() -> Option<Command> {
    let options = ["-m", "-rm"].into_iter();
    let mut usable = options.filter(|option| {
        let tried = Command::new("unshare").args([option, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    let Some(option) = usable.next() else {
        skipped("there is no `unshare` that may mount a file system of its own");
        return None;
    };
    let mut command = Command::new("unshare");
    command.arg(option);
    Some(command)
}

#[test]
fn a_disk_that_runs_full_during_a_fault() {
    if cannot_run() {
        return;
    }
    let Some(mut command) = with_own_mounts() else { return };
    let _shared = beside_others();
    let bed = Bed::new();
    let world = support::root().join("services/deploy/pinning");
    let scenario = bed.write("full.yaml", &long().replace("WORLD", &world.display().to_string()));
    for folder in ["disk", "kept"] {
        fs::create_dir(bed.path(folder)).expect("a folder");
    }
    // What lies on the small disk goes with it, so it is copied at the end.
    let script =
        format!("mount -t tmpfs -o size={ROOM} tmpfs disk && \"$@\"; code=$?; cp -r disk/. kept; exit $code");
    let meshquake = bed.meshquake(&["run"]);
    command.args(["sh", "-c", &script, "sh"]).arg(support::MESHQUAKE).arg("run").arg(scenario);
    command.args(["--reports", "disk"]).current_dir(bed.path("")).stdin(Stdio::null());
    command.envs(meshquake.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = fs::File::create(bed.path("said")).expect("a file for what it says");
    command.stdout(said.try_clone().expect("one more handle")).stderr(said);
    let mut child = command.spawn().expect("unshare starts");
    let told = || fs::read_to_string(bed.path("said")).unwrap_or_default();
    let status = until("ended", PATIENCE, || child.try_wait().expect("looked at").ok_or_else(told));
    let told = told();
    assert_eq!(status.code(), Some(1), "{told}");
    for part in [
        "the run cannot be written down any more, so it was ended",
        "No space left on device",
        "no report could be written; kept are",
        "`meshquake report disk/",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    bed.only_left(&[], AFTERLIFE);

    // What was kept is good for reports where there is room.
    let kept =
        fs::read_dir(bed.path("kept")).expect("a folder").next().expect("a run").expect("an entry").path();
    assert!(!kept.join("report.html").exists(), "half a report looks like a whole one");
    bed.ends(&["report", &kept.display().to_string()], 0);
    let report = fs::read_to_string(kept.join("report.md")).expect("a report");
    assert!(report.contains("faulty"), "{report}");
}
