//! What the kernel says about processes, read from `/proc`: who they are, whose they are, and whether they still live.
//!
//! A pid alone is no name: it is reused. [`Identity`] is the pid with its start time, and whatever signals
//! or waits goes through a pidfd that was checked against it.
//!
//! ```ignore
//! let me = proc::Identity::of_self()?;
//! assert!(me.is_alive());
//! for process in proc::all() { println!("{} {}", process.pid, process.name); }
//! ```

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// The environment variable that names the run a process belongs to.
pub const RUN_VARIABLE: &str = "MESHQUAKE_RUN";
/// The environment variable that names the pod a process belongs to.
pub const POD_VARIABLE: &str = "MESHQUAKE_POD";
/// The environment variable that names the part of the pod, with a number of its own for each start.
pub const PART_VARIABLE: &str = "MESHQUAKE_PART";

/// One process and no other, however often its pid is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks from boot to the start of the process: field 22 of `/proc/<pid>/stat`.
    pub start: u64,
}

impl Identity {
    /// The identity of the process that has this pid now.
    pub fn of(pid: u32) -> Option<Self> {
        Stat::of(pid).map(|stat| stat.identity())
    }

    /// The identity of this process.
    pub fn of_self() -> io::Result<Self> {
        Self::of(std::process::id()).ok_or_else(|| io::Error::other("/proc/self/stat cannot be read"))
    }

    /// Whether the process still runs; one that has ended and was not yet reaped does not.
    pub fn is_alive(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && !stat.has_ended())
    }

    /// A handle to exactly this process, or nothing when it is gone.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The handle pins whoever has the pid; only now can the start time tell whether it is the right one.
            Ok(handle) => Ok((Self::of(self.pid) == Some(*self)).then_some(handle)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The kernel's form of a pid; nothing for numbers that cannot be one.
pub(super) fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The line of `/proc/<pid>/stat`, as far as it is needed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    pub name: String,
    pub state: char,
    pub parent: u32,
    pub session: u32,
    /// Processor time of all its threads, for itself and in the kernel.
    pub ticks: u64,
    pub start: u64,
}

impl Stat {
    /// The process that has this pid now, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name stands in brackets and may itself hold spaces and brackets, so the last bracket counts.
        let open = line.find('(')?;
        let close = line.rfind(')')?;
        let rest: Vec<&str> = line.get(close + 1..)?.split_ascii_whitespace().collect();
        let number = |at: usize| rest.get(at)?.parse::<u64>().ok();
        Some(Self {
            pid: line.get(..open)?.trim().parse().ok()?,
            name: line.get(open + 1..close)?.to_owned(),
            state: rest.first()?.chars().next()?,
            parent: rest.get(1)?.parse().ok()?,
            session: rest.get(3)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            start: number(19)?,
        })
    }

    /// Pid and start time.
    pub fn identity(&self) -> Identity {
        Identity { pid: self.pid, start: self.start }
    }

    /// Processor time since it began, in seconds.
    pub fn time(&self) -> f64 {
        self.ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Ended, perhaps not yet reaped.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// All processes that can be seen, by pid.
pub fn all() -> Vec<Stat> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().filter_map(Stat::of).collect()
}

/// A variable of the environment that a process was started with; nothing where it may not be read.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    variable_in(&environment, name)
}

pub(super) fn variable_in(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// The command line in one line, shortened; the bare name where there is none.
pub fn command_line(pid: u32) -> String {
    const LONGEST: usize = 80;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = arguments
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).escape_default().to_string())
        .collect();
    let line = if words.is_empty() {
        Stat::of(pid).map(|stat| stat.name).unwrap_or_default()
    } else {
        words.join(" ")
    };
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

/// Changes with each boot: pids and start times mean something only within one.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "4242 (a) (b c)) S 7 4242 4240 0 -1 4194304 1 0 0 0 3 4 0 0 20 0 1 0 987654 1 2 3";
        let stat = Stat::parse(line).expect("a whole line");
        let expected = Stat {
            pid: 4242,
            name: "a) (b c)".into(),
            state: 'S',
            parent: 7,
            session: 4240,
            ticks: 7,
            start: 987_654,
        };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("4242 (short) S 7"), None, "a line that is cut off is no process");
    }

    #[test]
    fn a_reused_pid_is_somebody_else() {
        let me = Identity::of_self().expect("own identity");
        assert!(me.is_alive());
        assert!(me.open().expect("own handle").is_some());
        let before_me = Identity { start: me.start - 1, ..me };
        assert!(!before_me.is_alive(), "same pid, other start time");
        assert!(before_me.open().expect("no error").is_none(), "no handle to a stranger");
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment = b"XMESHQUAKE_RUN=no\0MESHQUAKE_RUNNER=no\0MESHQUAKE_RUN=ab=1\0";
        assert_eq!(variable_in(environment, RUN_VARIABLE).as_deref(), Some("ab=1"));
        assert_eq!(variable_in(environment, POD_VARIABLE), None);
    }
}
