//! Where workers run: as children of this process, or wherever a backend puts them.
//!
//! A worker reads lines (its plan, then orders) and writes lines (a report each second). Who hosts one carries both.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, LocalBoxFuture};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use super::client::Error;
use super::protocol::Report;

/// Starts workers.
pub trait Host: Send + Sync {
    /// All workers of a load, the first first. What they say goes to `ear` under their number.
    fn start(&self, count: u32, ear: Ear) -> LocalBoxFuture<'_, Result<Vec<Box<dyn Hosted>>, Error>>;

    /// A worker reports every second; one that is silent for longer than this is lost.
    fn silence(&self) -> Duration {
        Duration::from_secs(3)
    }

    /// Until all users of a worker wait for the start.
    fn ready(&self) -> Duration {
        Duration::from_secs(20)
    }

    /// Whether the workers run on this machine.
    fn is_here(&self) -> bool {
        false
    }

    /// Between telling the start and the start, so that all workers know it in time.
    fn notice(&self) -> Duration {
        Duration::from_millis(50)
    }
}

/// A worker that was started.
pub trait Hosted: Send {
    /// One line for its input. A worker that cannot be told is about to be noticed as gone.
    fn tell(&mut self, line: Vec<u8>) -> BoxFuture<'_, ()>;

    fn kill(&mut self);

    /// Nothing more will be told. Returns when it is gone; one that has finished ends by itself.
    fn end(self: Box<Self>) -> BoxFuture<'static, ()>;

    /// On this machine.
    fn pid(&self) -> Option<u32> {
        None
    }
}

/// Hears the workers of a load.
#[derive(Clone)]
pub struct Ear(pub(super) mpsc::UnboundedSender<(u32, Heard)>);

/// From a worker.
pub(super) enum Heard {
    Report(Box<Report>),
    /// Its output ended; the last lines of its standard error.
    Gone(String),
}

impl Ear {
    /// Whether the line was a report.
    pub fn line(&self, worker: u32, line: &str) -> bool {
        let Ok(report) = serde_json::from_str(line) else { return false };
        // The load may be over already.
        let _ = self.0.send((worker, Heard::Report(Box::new(report))));
        true
    }

    /// It says nothing any more.
    pub fn gone(&self, worker: u32, last_words: String) {
        let _ = self.0.send((worker, Heard::Gone(last_words)));
    }
}

/// Workers as children of this process: the `meshquake` binary and its hidden subcommand.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
}

impl Program {
    pub fn new(meshquake: impl Into<PathBuf>) -> Self {
        Self { path: meshquake.into(), args: vec!["load-worker".to_owned()] }
    }

    /// The one place that starts a child.
    fn spawn(&self) -> Result<Child, Error> {
        let mut command = tokio::process::Command::new(&self.path);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A terminal's Ctrl-C is for the harness; a worker ends by its input or by SIGTERM.
        command.process_group(0).kill_on_drop(true);
        command.spawn().map_err(|error| Error::Spawn(self.path.clone(), error))
    }

    fn worker(&self, index: u32, ear: Ear) -> Result<Own, Error> {
        let mut child = self.spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        tokio::spawn(async move {
            let last_words = tokio::spawn(async move {
                let mut text = String::new();
                if let Some(stderr) = &mut stderr {
                    let _ = stderr.take(16_384).read_to_string(&mut text).await;
                    // Whatever else it has to say must not block it.
                    let _ = tokio::io::copy(stderr, &mut tokio::io::sink()).await;
                }
                text
            });
            if let Some(stdout) = stdout {
                let mut lines = BufReader::new(stdout).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if !ear.line(index, &line) {
                        tracing::warn!(worker = index, line, "a load worker said something odd");
                    }
                }
            }
            ear.gone(index, last_words.await.unwrap_or_default());
        });
        Ok(Own { child, stdin })
    }
}

impl Host for Program {
    fn is_here(&self) -> bool {
        true
    }

    fn start(&self, count: u32, ear: Ear) -> LocalBoxFuture<'_, Result<Vec<Box<dyn Hosted>>, Error>> {
        let start = |index| Ok(Box::new(self.worker(index, ear.clone())?) as Box<dyn Hosted>);
        std::future::ready((0..count).map(start).collect()).boxed_local()
    }
}

/// A child. It is killed when this is dropped.
struct Own {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Hosted for Own {
    fn tell(&mut self, line: Vec<u8>) -> BoxFuture<'_, ()> {
        async move {
            if let Some(stdin) = &mut self.stdin {
                let _ = stdin.write_all(&line).await;
            }
        }
        .boxed()
    }

    fn kill(&mut self) {
        let _ = self.child.start_kill();
    }

    fn end(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.stdin = None;
            let _ = self.child.wait().await;
        }
        .boxed()
    }

    fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::protocol::Totals;

    #[test]
    fn reports_are_heard_and_complaints_are_not() {
        let (ear, mut heard) = mpsc::unbounded_channel();
        let ear = Ear(ear);
        let reports = [
            Report::Ready,
            Report::Second(Box::default()),
            Report::Finished(Totals::default()),
            Report::CutShort(Totals::default()),
            Report::Failed { why: "no".to_owned() },
        ];
        for report in reports {
            let line = serde_json::to_string(&report).expect("serialises");
            assert!(ear.line(1, &line), "{line}");
            assert!(matches!(heard.try_recv(), Ok((1, Heard::Report(_)))), "{line}");
        }
        assert!(!ear.line(1, "thread 'main' panicked") && heard.try_recv().is_err());
    }
}
