//! The two ways of a worker's lines: orders to the input of its pod, reports out of its log, across breaks of the
//! connection.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Api, AttachParams, AttachedProcess, LogParams};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::chain;
use crate::load::Ear;

/// Between two tries to reach a log or an input again.
const AGAIN: Duration = Duration::from_millis(500);

/// Carries lines to the worker's input, each by a connection of its own: one that has broken is only seen when it is
/// too late for the line. All stay open to the end, since nobody says when a line has arrived.
pub(super) async fn carry(
    pods: Api<Pod>,
    pod: String,
    mut lines: mpsc::UnboundedReceiver<Vec<u8>>,
    over: CancellationToken,
) {
    let mut open: Vec<AttachedProcess> = Vec::new();
    while let Some(Some(line)) = over.run_until_cancelled(lines.recv()).await {
        loop {
            match told(&pods, &pod, &line).await {
                Ok(process) => break open.push(process),
                Err(error) => tracing::warn!(%pod, %error, "a load worker could not be told something"),
            }
            if !again(&over).await {
                return;
            }
        }
    }
    over.cancelled().await;
}

/// Waits for the next try; false where there is to be none.
async fn again(over: &CancellationToken) -> bool {
    let pause = tokio::time::sleep(AGAIN); // the back-off itself
    over.run_until_cancelled(pause).await.is_some()
}

async fn told(pods: &Api<Pod>, pod: &str, line: &[u8]) -> Result<AttachedProcess, String> {
    let only_input = AttachParams::default().container("worker").stdin(true).stdout(false).stderr(false);
    let mut process = pods.attach(pod, &only_input).await.map_err(|error| chain(&error))?;
    let mut input = process.stdin().ok_or("it has no input")?;
    input.write_all(line).await.map_err(|error| error.to_string())?;
    input.flush().await.map_err(|error| error.to_string())?;
    Ok(process)
}

/// Follows the worker's log to its end, across breaks of the connection.
pub(super) async fn follow(pods: Api<Pod>, pod: String, index: u32, ear: Ear, over: CancellationToken) {
    let mut heard = Heard { lines: 0, words: Vec::new() };
    loop {
        let read = heard.read(&pods, &pod, index, &ear);
        let Some(read) = over.run_until_cancelled(read).await else { return };
        let ended = match over.run_until_cancelled(pods.get_opt(&pod)).await {
            None => return,
            Some(Ok(None)) => Some("its pod is gone".to_owned()),
            // What it said last may still have to be read.
            Some(Ok(Some(found))) if read.is_ok() => found.status.and_then(|status| how_ended(&status)),
            Some(Ok(Some(_)) | Err(_)) => None,
        };
        if let Some(ended) = ended {
            heard.words.insert(0, ended);
            return ear.gone(index, heard.words.join("; "));
        }
        if let Err(error) = read {
            tracing::warn!(%pod, %error, "the log of a load worker broke off");
        }
        if !again(&over).await {
            return;
        }
    }
}

/// What was heard of a log so far.
struct Heard {
    lines: usize,
    /// What were no reports: complaints.
    words: Vec<String>,
}

impl Heard {
    async fn read(&mut self, pods: &Api<Pod>, pod: &str, index: u32, ear: &Ear) -> Result<(), String> {
        let params = LogParams { container: Some("worker".to_owned()), follow: true, ..LogParams::default() };
        let log = pods.log_stream(pod, &params).await.map_err(|error| chain(&error))?;
        let mut lines = log.lines();
        let mut number = 0;
        while let Some(line) = lines.try_next().await.map_err(|error| error.to_string())? {
            number += 1;
            if number <= self.lines {
                continue;
            }
            self.lines = number;
            if !ear.line(index, &line) {
                self.words.push(line);
            }
        }
        Ok(())
    }
}

/// Nothing as long as it runs.
fn how_ended(status: &PodStatus) -> Option<String> {
    if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let mut containers = status.container_statuses.iter().flatten();
    let ended = containers.find_map(|container| container.state.as_ref()?.terminated.as_ref());
    let how = ended.map(|ended| {
        let reason = ended.reason.as_deref().unwrap_or("ended");
        format!("{reason}, exit code {}", ended.exit_code)
    });
    Some(how.or(status.reason.clone()).unwrap_or_else(|| "its pod has ended".to_owned()))
}
