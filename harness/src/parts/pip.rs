//! Fetching a wheel by the machine's own pip, with whatever proxy or mirror that is set up for.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::lock::Pin;
use super::{Progress, on_path, spawn};
use crate::leash::{self, Leash};

/// The ways to call pip, in the order in which they are tried.
const WAYS: [&[&str]; 3] = [&["pip"], &["pip3"], &["python3", "-m", "pip"]];

/// How long pip may go on without a byte more on disk. Its own limits are shorter, so this is for one that hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(200);

/// Fetches the wheel into `folder`, or says of each way why not.
pub(super) fn download(
    pin: &Pin,
    path: Option<&OsStr>,
    folder: &Path,
    patience: Duration,
    progress: &dyn Fn(Progress),
) -> Result<PathBuf, Vec<String>> {
    let mut tried = Vec::new();
    for way in WAYS {
        let title = way.join(" ");
        let Some(program) = on_path(way[0], path) else {
            tried.push(format!("`{title}`: no `{}` on PATH", way[0]));
            continue;
        };
        match call(pin, &program, &way[1..], path, folder, patience, progress) {
            Ok(wheel) => return Ok(wheel),
            Err(why) => tried.push(format!("`{title}` ({}): {why}", program.display())),
        }
    }
    Err(tried)
}

fn call(
    pin: &Pin,
    program: &Path,
    arguments: &[&str],
    path: Option<&OsStr>,
    folder: &Path,
    patience: Duration,
    progress: &dyn Fn(Progress),
) -> Result<PathBuf, String> {
    let temporary = folder.join("pip");
    fs::create_dir_all(&temporary)
        .map_err(|error| format!("cannot write {}: {error}", temporary.display()))?;
    let mut command = leash::command(program);
    command
        .args(arguments)
        .args(pin.pip_arguments())
        .args(["--no-input", "--disable-pip-version-check", "--progress-bar", "off"])
        .args(["--retries", "2", "--timeout", "15", "--dest"])
        .arg(folder)
        // Bytes on their way lie where they can be counted, and go with the folder.
        .env("TMPDIR", &temporary)
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .env("PATH", path.map_or_else(OsString::new, OsString::from))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = spawn(&mut command).map_err(|error| format!("cannot start: {error}"))?;
    let _leash = Leash::of(&mut child);
    let said = collect(&mut child);
    let status = watch(pin, child, folder, patience, progress)?;
    if !status.success() {
        // A grandchild may hold the pipe open; what was said by then is enough.
        let said = said.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        return Err(format!("{status}: {}", last_words(&said)));
    }
    let wheel = folder.join(&pin.wheel);
    if wheel.is_file() { Ok(wheel) } else { Err(format!("ended well, but brought no {}", pin.wheel)) }
}

/// Waits for the child's end, tells how far it is, and ends it where nothing has moved for too long.
fn watch(
    pin: &Pin,
    mut child: Child,
    folder: &Path,
    patience: Duration,
    progress: &dyn Fn(Progress),
) -> Result<ExitStatus, String> {
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, end) = mpsc::channel();
    let waiter = thread::spawn(move || _ = sender.send(child.wait()));
    let mut moved = Instant::now();
    let mut bytes = 0;
    progress(Progress::Fetching { title: pin.title(), bytes, of: pin.wheel_bytes });
    let mut hung = false;
    let ended = loop {
        match end.recv_timeout(TICK) {
            Ok(ended) => break ended,
            Err(RecvTimeoutError::Disconnected) => return Err("lost sight of it".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = size_of(folder);
        if now != bytes {
            (bytes, moved) = (now, Instant::now());
            let bytes = bytes.min(pin.wheel_bytes);
            progress(Progress::Fetching { title: pin.title(), bytes, of: pin.wheel_bytes });
        } else if moved.elapsed() > patience && !hung {
            hung = true;
            // Not reaped before the channel says so, hence still that process.
            _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    };
    _ = waiter.join();
    if hung {
        return Err(format!("fetched nothing for {} s, ended", patience.as_secs()));
    }
    ended.map_err(|error| format!("cannot wait for it: {error}"))
}

fn collect(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, said) = mpsc::channel();
    if let Some(mut stderr) = child.stderr.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            _ = stderr.read_to_end(&mut bytes);
            _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
    }
    said
}

/// The last lines that matter, on one line.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("ERROR")).collect();
    let chosen = if errors.is_empty() { &lines } else { &errors };
    let last = chosen[chosen.len().saturating_sub(2)..].join("; ");
    if last.is_empty() { "it said nothing".to_owned() } else { last }
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_of(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
