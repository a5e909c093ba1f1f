//! What processes take of the machine, memory and processor time, by what they are.
//!
//! Memory is PSS: of what several processes share each counts its part, so a sum is what all of them take together.

use std::collections::BTreeMap;
use std::fs;

use crate::backend::local::proc::{self, PART_VARIABLE, Stat};

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    App,
    Sidecar,
    /// The harness itself: client, supervisor, warden, load workers.
    Own,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    pub role: Role,
    /// Program and first argument: `meshquake supervise`.
    pub what: String,
    /// In bytes.
    pub memory: f64,
    /// Of a processor, in seconds, since it began.
    pub time: f64,
}

/// Processes at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census(pub Vec<Counted>);

impl Census {
    /// A process and all that it, or what it has started, has started; only of these roles.
    pub fn below(root: u32, roles: &[Role]) -> Self {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for stat in proc::all().iter().filter(|stat| !stat.has_ended()) {
            children.entry(stat.parent).or_default().push(stat.pid);
        }
        let mut counted = Vec::new();
        // With the role of its parent, which is its own where it does not say another.
        let mut open = vec![(root, Role::Own)];
        while let Some((pid, inherited)) = open.pop() {
            let part = proc::variable(pid, PART_VARIABLE);
            let role = part.as_deref().and_then(role_of).unwrap_or(inherited);
            open.extend(children.get(&pid).into_iter().flatten().map(|child| (*child, role)));
            if !roles.contains(&role) {
                continue;
            }
            // One that has ended meanwhile takes nothing.
            if let (Some(memory), Some(time)) = (memory(pid), time(pid)) {
                counted.push(Counted { role, what: what(&proc::command_line(pid)), memory, time });
            }
        }
        Self(counted)
    }

    /// Of apps, sidecars and the harness together.
    pub fn all_memory(&self) -> f64 {
        self.0.iter().map(|one| one.memory).sum()
    }

    pub fn memory(&self, role: Role) -> f64 {
        self.of(role).map(|one| one.memory).sum()
    }

    pub fn time(&self, role: Role) -> f64 {
        self.of(role).map(|one| one.time).sum()
    }

    /// The memory of each kind of program.
    pub fn by_program(&self) -> BTreeMap<&str, f64> {
        let mut programs = BTreeMap::new();
        for one in &self.0 {
            *programs.entry(one.what.as_str()).or_default() += one.memory;
        }
        programs
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &Counted> {
        self.0.iter().filter(move |one| one.role == role)
    }
}

/// The processor time of a process and of all its threads, in seconds.
pub fn time(pid: u32) -> Option<f64> {
    Stat::of(pid).map(|stat| stat.time())
}

fn memory(pid: u32) -> Option<f64> {
    pss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

/// The mark of a process says `sidecar.12`, with the number of its start.
fn role_of(part: &str) -> Option<Role> {
    match part.split('.').next() {
        Some("app") => Some(Role::App),
        Some("sidecar") => Some(Role::Sidecar),
        _ => None,
    }
}

fn what(command_line: &str) -> String {
    let mut words = command_line.split(' ');
    let program = words.next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    match words.next().filter(|word| !word.starts_with('-')) {
        Some(word) => format!("{program} {word}"),
        None => program.to_owned(),
    }
}

/// In bytes.
fn pss(rollup: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kilobytes) * 1024.0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_kernels_pages_are_read() {
        let rollup =
            "55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:   1804 kB\nPss:    164 kB\nPss_Dirty: 96 kB\n";
        assert_eq!(pss(rollup), Some(164.0 * 1024.0));
        assert_eq!(pss("Rss: 1 kB\n"), None);
        let own = std::process::id();
        assert!(time(own).is_some() && memory(own).is_some_and(|bytes| bytes > 1e5));
    }

    #[test]
    fn programs_are_named_shortly() {
        assert_eq!(what("/opt/bin/meshquake supervise"), "meshquake supervise");
        assert_eq!(what("/opt/bin/envoy -c /tmp/envoy.json"), "envoy");
        assert_eq!(what("init"), "init");
    }

    #[test]
    fn processes_are_counted_with_what_they_started_and_what_they_are() {
        // A child that says what it is, and a grandchild without a word of its own.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "cat; true"])
            .env_clear()
            .env(PART_VARIABLE, "app.7")
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let pid = child.id();
        let began = std::time::Instant::now();
        let found = loop {
            let census = Census::below(pid, &[Role::App]);
            // A child that is not yet its own program is still called like the shell.
            if census.0.iter().any(|one| one.what == "cat") || began.elapsed().as_secs() > 20 {
                break census;
            }
            std::thread::yield_now();
        };
        let none = Census::below(pid, &[Role::Own]);
        drop(child.stdin.take());
        child.wait().expect("it ends");
        assert!(found.0.len() == 2 && found.0.iter().all(|one| one.role == Role::App), "{found:?}");
        assert!(found.memory(Role::App) > 0.0 && found.all_memory() == found.memory(Role::App));
        assert_eq!(none, Census::default());
    }

    #[test]
    fn memory_adds_up_by_role_and_by_program() {
        let one = |role, what: &str, memory| Counted { role, what: what.into(), memory, time: 0.5 };
        let census = Census(vec![
            one(Role::Own, "meshquake supervise", 80.0),
            one(Role::Sidecar, "envoy", 20.0),
            one(Role::Sidecar, "envoy", 22.0),
            one(Role::App, "shop serve", 1.0),
        ]);
        assert_eq!((census.all_memory(), census.memory(Role::Sidecar)), (123.0, 42.0));
        assert_eq!(census.time(Role::Sidecar), 1.0);
        let programs: Vec<_> = census.by_program().into_iter().collect();
        assert_eq!(programs, [("envoy", 42.0), ("meshquake supervise", 80.0), ("shop serve", 1.0)]);
    }
}
