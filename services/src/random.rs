//! Numbers that nobody can guess and no two calls share: for ids, and for the dice of the chaos switch.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The keyed hash of a counter: as even as needed, without a crate for it.
pub fn number() -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    KEY.hash_one(COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Evenly from 0 up to, not including, 1.
pub fn fraction() -> f64 {
    // An f64 holds 53 bits exactly.
    (number() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn fractions_are_spread_evenly() {
        let below = (0..10_000).filter(|_| super::fraction() < 0.25).count();
        // 2500 ± 8 standard deviations of 43.
        assert!((2150..2850).contains(&below), "{below} of 10000 below a quarter");
    }
}
