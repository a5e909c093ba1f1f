//! `meshquake` as a person calls it: a process of its own, timed from its start to its end.
//!
//! One that is under way when somebody asks for the end is asked as well, and waited for: it takes back what it began.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::{Bench, Error};

/// How long a command may take to take back what it began.
const UNDO_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at one that is under way.
const LOOK: Duration = Duration::from_millis(250);
/// As much of its words as a failure repeats.
const LINES: usize = 8;

/// A command that has done what it should.
pub struct Done {
    pub took: Duration,
    pub stdout: String,
}

/// Runs `meshquake` with these words, on the backend of the bench, unless somebody asks for the end. One that was
/// through with its work by then is done all the same, so that its world can be taken down.
pub async fn meshquake(bench: &Bench<'_>, words: &[&str]) -> Result<Done, Error> {
    watched(bench, words, |_| {}).await
}

/// The same, with a look at its process every now and then.
pub async fn watched(bench: &Bench<'_>, words: &[&str], mut look: impl FnMut(u32)) -> Result<Done, Error> {
    if bench.stop.is_asked() {
        return Err(Error::Stopped);
    }
    let (child, shown, began) = start(bench, words)?;
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let id = child.id();
    let output = child.wait_with_output();
    tokio::pin!(output);
    let mut looks = tokio::time::interval(LOOK);
    let ended = loop {
        tokio::select! {
            output = &mut output => break Some(output),
            _ = looks.tick() => id.into_iter().for_each(&mut look),
            () = bench.stop.asked() => {
                if let Some(pid) = pid {
                    // It may have ended in this moment.
                    let _ = rustix::process::kill_process(pid, Signal::TERM);
                }
                break tokio::time::timeout(UNDO_LIMIT, output).await.ok();
            }
        }
    };
    let Some(output) = ended else { return Err(Error::Stopped) };
    let output = output.map_err(|source| Error::Start { command: shown.clone(), source })?;
    match done(shown, began, &output) {
        Err(_) if bench.stop.is_asked() => Err(Error::Stopped),
        done => done,
    }
}

/// The same, and nobody can stop it: for what takes something down.
pub async fn to_its_end(bench: &Bench<'_>, words: &[&str]) -> Result<Done, Error> {
    let (child, shown, began) = start(bench, words)?;
    let output = child.wait_with_output().await;
    let output = output.map_err(|source| Error::Start { command: shown.clone(), source })?;
    done(shown, began, &output)
}

fn start(bench: &Bench<'_>, words: &[&str]) -> Result<(Child, String, Instant), Error> {
    let mut command = Command::new(&bench.program);
    command.args(words).args(["--backend", bench.plan.choice.name()]);
    if let Some(file) = &bench.plan.settings.file {
        command.arg("--config").arg(file);
    }
    // A terminal's Ctrl-C is ours to hand on.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let shown = format!("meshquake {}", words.join(" "));
    let began = Instant::now();
    match command.spawn() {
        Ok(child) => Ok((child, shown, began)),
        Err(source) => Err(Error::Start { command: shown, source }),
    }
}

fn done(command: String, began: Instant, output: &Output) -> Result<Done, Error> {
    let took = began.elapsed();
    if output.status.success() {
        return Ok(Done { took, stdout: String::from_utf8_lossy(&output.stdout).into_owned() });
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().collect::<Vec<_>>();
    let said = lines[lines.len().saturating_sub(LINES)..].join("\n");
    Err(Error::Command { command, status: output.status.to_string(), said })
}
