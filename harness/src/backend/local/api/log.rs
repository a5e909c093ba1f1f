//! The log of a pod: its last lines, and what it writes from now on.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::path::Target;
use super::read::key;
use super::status::Failure;
use super::{Api, Query, on};
use crate::backend::local::logs;
use crate::backend::local::store::{Error, Store};

/// How often a followed file is looked at: the process writes into it directly, nobody tells us.
const LOOK: Duration = Duration::from_millis(50);

pub async fn log(api: &Api, target: &Target, query: &Query) -> Result<Response, Failure> {
    let key = key(target).ok_or_else(|| Failure::bad("the path names no pod"))?;
    let path = (api.log_of)(&key.namespace, &key.name, query.container.as_deref())
        .ok_or_else(|| Failure::from(Error::NotFound(key.clone())))?;
    let unreadable = |e: std::io::Error| Failure::not_found(format!("no log at {}: {e}", path.display()));
    let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
    let begin = logs::begin(&path).map_err(unreadable)?;
    file.seek(SeekFrom::Start(begin)).await.map_err(unreadable)?;
    let mut written = Vec::new();
    file.read_to_end(&mut written).await.map_err(unreadable)?;
    let start = query.tail_lines.map_or(0, |count| tail(&written, count));
    let first = Bytes::from(written.split_off(start));
    if !on(query.follow.as_ref()) {
        return Ok(first.into_response());
    }
    let follower = Follower { file, store: api.store.clone(), key, ticks: tokio::time::interval(LOOK) };
    let more = stream::unfold(follower, |mut f| async { f.next().await.map(|bytes| (bytes, f)) });
    let lines = stream::once(async { first }).chain(more).map(Ok::<_, std::convert::Infallible>);
    Ok(Body::from_stream(lines).into_response())
}

struct Follower {
    file: tokio::fs::File,
    store: Store,
    key: crate::backend::local::store::Key,
    ticks: tokio::time::Interval,
}

impl Follower {
    /// What was written since; the end once the pod is gone and everything has been read.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let gone = self.store.get(&self.key).is_none();
            let mut more = Vec::new();
            self.file.read_to_end(&mut more).await.ok()?;
            if !more.is_empty() {
                return Some(more.into());
            }
            if gone {
                return None;
            }
            self.ticks.tick().await;
        }
    }
}

/// The offset at which the last `count` lines begin.
fn tail(text: &[u8], count: usize) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    if count == 0 {
        return text.len();
    }
    let breaks = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    breaks.map(|(at, _)| at + 1).nth(count - 1).unwrap_or(0)
}

/// The last lines of a log file behind its first `from` bytes, for messages about a process that died. At most
/// 16 kB are looked at.
pub async fn last_lines(path: &Path, from: u64, count: usize) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024).max(from))).await?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).await?;
    let start = tail(&text, count);
    Ok(String::from_utf8_lossy(&text[start..]).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log() {
        for (text, count, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\n", 5, "a\n"),
            ("", 3, ""),
            ("a\nb\n", 0, ""),
        ] {
            assert_eq!(&text[tail(text.as_bytes(), count)..], expected, "{text:?} {count}");
        }
    }
}
