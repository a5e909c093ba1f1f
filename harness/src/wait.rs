//! The one loop that waits: until a condition holds, with a limit and the last state seen.
//!
//! Conditions are checked often and may wait long; nobody sleeps and hopes.

use std::fmt;
use std::time::{Duration, Instant};

/// What a check found.
pub enum Seen<T> {
    /// The condition holds.
    Done(T),
    /// Not yet, and this is how it looks.
    NotYet(String),
    /// It never will.
    Never(String),
}

/// The condition did not come about.
#[derive(Debug, thiserror::Error)]
pub struct NotReached {
    pub what: String,
    pub waited: Duration,
    pub last: String,
    /// The check itself gave up before the limit.
    pub gave_up: bool,
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = self.waited.as_secs_f64();
        if self.gave_up {
            write!(f, "{} will not come about ({waited:.1} s waited): {}", self.what, self.last)
        } else {
            write!(f, "{} not reached within {waited:.1} s; last seen: {}", self.what, self.last)
        }
    }
}

/// Polls `check` every few milliseconds (ever more slowly, up to 50 ms) until it is done or `limit` has passed.
pub async fn until<T, F>(what: impl Into<String>, limit: Duration, mut check: F) -> Result<T, NotReached>
where
    F: AsyncFnMut() -> Seen<T>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let last = match check().await {
            Seen::Done(value) => return Ok(value),
            Seen::Never(last) => {
                return Err(NotReached { what: what.into(), waited: started.elapsed(), last, gave_up: true });
            }
            Seen::NotYet(last) => last,
        };
        if started.elapsed() >= limit {
            return Err(NotReached { what: what.into(), waited: started.elapsed(), last, gave_up: false });
        }
        tokio::time::sleep(pause.min(limit.saturating_sub(started.elapsed()))).await; // pacing
        pause = (pause * 3 / 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_the_check_found() {
        let mut left = 3;
        let found = until("three tries", Duration::from_secs(60), async || {
            left -= 1;
            if left == 0 { Seen::Done("there") } else { Seen::NotYet(format!("{left} left")) }
        })
        .await;
        assert_eq!(found.expect("reached"), "there");
    }

    #[tokio::test]
    async fn a_limit_says_what_was_seen_last() {
        let error =
            until::<(), _>("the moon", Duration::from_millis(5), async || Seen::NotYet("clouds".into()))
                .await
                .expect_err("never reached");
        assert!(error.to_string().starts_with("the moon not reached within "), "{error}");
        assert!(error.to_string().ends_with("last seen: clouds"), "{error}");
    }

    #[tokio::test]
    async fn a_check_may_give_up_before_the_limit() {
        let error =
            until::<(), _>("it", Duration::from_secs(600), async || Seen::Never("exited with 1".into()))
                .await
                .expect_err("gave up");
        assert!(error.gave_up && error.to_string().contains("exited with 1"), "{error}");
    }
}
