//! The one clock of events and samples: the time of day when a run begins, and from then on a clock that nobody sets.
//!
//! What happened in a run is told by comparing moments, so none of them may come from the time of day itself: that is
//! set in the middle of a run, by a person or by a time server, and it jumps when a laptop wakes up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// What this process goes by while runs are under way.
static HUNG_UP: Mutex<Option<HungUp>> = Mutex::new(None);

struct HungUp {
    at: Instant,
    time_of_day: i64,
    runs: usize,
}

/// As long as this is there, [`now`] goes on evenly. Several runs of a process share what the first has begun.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Steady(());

impl Steady {
    pub fn begin() -> Self {
        match &mut *hung_up() {
            Some(hung) => hung.runs += 1,
            none => *none = Some(HungUp { at: Instant::now(), time_of_day: time_of_day(), runs: 1 }),
        }
        Self(())
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        let mut hung_up = hung_up();
        if let Some(hung) = &mut *hung_up {
            hung.runs -= 1;
        }
        if hung_up.as_ref().is_some_and(|hung| hung.runs == 0) {
            *hung_up = None;
        }
    }
}

/// Milliseconds since the epoch. Outside of runs it is the time of day.
pub fn now() -> i64 {
    match &*hung_up() {
        Some(hung) => hung.time_of_day + i64::try_from(hung.at.elapsed().as_millis()).unwrap_or(i64::MAX / 2),
        None => time_of_day(),
    }
}

/// The reading of the clock that all processes of this machine share and nobody sets; it stands still while the machine
/// sleeps.
pub fn of_the_machine() -> Duration {
    reading(ClockId::Monotonic)
}

/// The reading of a clock that goes on while the machine sleeps.
pub fn with_sleep() -> Duration {
    reading(ClockId::Boottime)
}

fn reading(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    // Neither part is ever negative on that clock.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn time_of_day() -> i64 {
    Timestamp::now().as_millisecond()
}

fn hung_up() -> MutexGuard<'static, Option<HungUp>> {
    // Every change leaves it whole.
    HUNG_UP.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_the_time_of_day_and_never_back() {
        let before = time_of_day();
        let (first, second) = (Steady::begin(), Steady::begin());
        let began = now();
        drop(first);
        let later = now();
        drop(second);
        // The bound is for a machine whose clock is being set just now.
        assert!((began - before).abs() < 60_000, "{before}, then {began}");
        assert!(began <= later, "{began}, then {later}");
        assert!(of_the_machine() <= of_the_machine());
    }
}
