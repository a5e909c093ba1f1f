//! Whether a run stood still in its middle: a laptop that slept, a program that was stopped, a machine far too busy.
//!
//! Deadlines have passed by then without anybody there to keep them, so what was measured says nothing.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::verdict::{Cause, CauseKind};

/// Between two looks.
const BEAT: Duration = Duration::from_millis(500);
/// A look may be late by this much: small machines under load do that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks as long as it is polled.
#[derive(Default)]
pub struct Still {
    longest: Mutex<Duration>,
}

impl Still {
    pub async fn watch(&self) -> Infallible {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = clock::with_sleep();
        loop {
            beat.tick().await;
            let now = clock::with_sleep();
            let late = now.saturating_sub(last + BEAT);
            last = now;
            let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            *longest = late.max(*longest);
        }
    }

    /// That it stood still, if it did for too long.
    pub fn told(&self) -> Option<String> {
        let longest = *self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        (longest > PATIENCE).then(|| format!("the run stood still for {:.1} s", longest.as_secs_f64()))
    }

    /// Why the run decides nothing, if it stood still for too long.
    pub fn cause(&self) -> Option<Cause> {
        let text = format!(
            "{}, because this machine slept, this program was stopped, or others took all of the processors: what was \
             measured then says nothing",
            self.told()?
        );
        Some(Cause::new(CauseKind::Inconclusive, text))
    }
}
