//! A share of requests.

use std::fmt;

/// In millionths, as finely as Istio and Envoy tell shares apart; so two of them can be compared in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self::whole(100);

    pub const fn whole(percent: u32) -> Self {
        Self(percent * 10_000)
    }

    /// Of a number that was checked to lie between 0 and 100.
    pub fn new(percent: f64) -> Self {
        Self((percent * 10_000.0).round() as u32)
    }

    pub fn millionths(self) -> u32 {
        self.0
    }

    pub fn value(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.value())
    }
}
