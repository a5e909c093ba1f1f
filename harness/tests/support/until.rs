//! The one loop in which the suites wait.

use std::time::{Duration, Instant};

/// Between two looks.
const BEAT: Duration = Duration::from_millis(20);

/// Looks until there is something; `last` says what was there instead.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(last) if began.elapsed() > limit => panic!("not {what} within {limit:?}: {last}"),
            Err(_) => std::thread::sleep(BEAT), // pacing
        }
    }
}
