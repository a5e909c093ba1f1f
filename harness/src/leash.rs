//! Keeps helpers that start helpers of their own (cargo, pip) from outliving us, even after `kill -9`.
//!
//! PDEATHSIG reaches a child but not what the child has started: a killed cargo leaves its compilers behind. So a
//! helper runs in a process group of its own beside a watcher, and both hold our pipe. Whoever holds its other end
//! may let go or die in whatever way: the watcher reads the end of the pipe and kills the group, itself included. As
//! the watcher belongs to the group, nobody else can have got the group's number by then.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Becomes the helper itself, so that its pid, signals and exit are the child's.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null
(read -r _ <&3; kill -s KILL -- -$$) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// What a shell ends with when there is no such program, or it cannot be run.
const NOT_STARTED: [i32; 2] = [126, 127];

/// While this is there, the helper may run.
#[derive(Debug)]
pub struct Leash {
    _pipe: Option<ChildStdin>,
}

/// A program to be started on a leash; add arguments, environment and outputs, but no input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).arg("leash").arg(program).stdin(Stdio::piped()).process_group(0);
    command
}

impl Leash {
    /// Must be taken before the child is waited for, which would let go.
    pub fn of(child: &mut Child) -> Self {
        Self { _pipe: child.stdin.take() }
    }
}

/// Whether the program itself could not be started.
pub fn not_started(status: std::process::ExitStatus) -> bool {
    status.code().is_some_and(|code| NOT_STARTED.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn all_of_a_helper_ends_when_the_leash_is_let_go() {
        let script = "sleep 1000 & echo $!; wait";
        let mut child =
            command("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("started");
        let leash = Leash::of(&mut child);
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the pid of what it has started");
        let grandchild = PathBuf::from(format!("/proc/{}/stat", line.trim()));
        // A zombie that nobody reaps yet does not run any more.
        let runs = || std::fs::read_to_string(&grandchild).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(runs(), "{line}");
        assert!(child.try_wait().expect("waited").is_none());

        drop(leash);
        assert!(!child.wait().expect("waited").success());
        let began = Instant::now();
        while runs() {
            assert!(began.elapsed() < Duration::from_secs(20), "what the helper started still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_helper_ends_as_it_would_without_a_leash() {
        let status = |program: &str, args: &[&str]| {
            let mut child = command(program).args(args).stderr(Stdio::null()).spawn().expect("started");
            let _leash = Leash::of(&mut child);
            child.wait().expect("waited")
        };
        assert_eq!(status("sh", &["-c", "exit 7"]).code(), Some(7));
        assert!(not_started(status("/no/such/program", &[])));
    }
}
