//! What a worker is told: whom to ask, what, how often, for how long. Nothing else reaches it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::journey::Journey;

/// A whole load; each worker of several gets the same plan with its own [`Share`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadPlan {
    /// `http://127.70.0.1:8000`, without a path.
    pub base: String,
    pub journeys: Vec<Journey>,
    pub seed: u64,
    pub mode: Mode,
    /// The load ends after this at the latest; earlier when it is told to stop.
    pub length: Duration,
    /// For each request that names no timeout of its own, and for how long an arrival waits for a free slot.
    pub timeout: Duration,
    /// After the end: how long to wait for journeys under way.
    pub drain: Duration,
    pub share: Share,
    /// How many examples of each kind of error are kept.
    pub samples_per_kind: usize,
    /// A test aid: makes this generator a bad one.
    pub hinder: Option<Hinder>,
    /// A test aid: each worker writes every latency, as it records it, to a file of its own in this folder.
    pub raw: Option<PathBuf>,
}

impl LoadPlan {
    pub fn new(base: impl Into<String>, journeys: Vec<Journey>, mode: Mode) -> Self {
        let timeout = Duration::from_secs(10);
        Self {
            base: base.into(),
            journeys,
            seed: 0,
            mode,
            length: Duration::from_secs(30),
            timeout,
            drain: timeout,
            share: Share::WHOLE,
            samples_per_kind: 3,
            hinder: None,
            raw: None,
        }
    }

    /// The part of worker `index` of `of`.
    pub fn part(&self, index: u32, of: u32) -> Self {
        Self { share: Share { index, of }, ..self.clone() }
    }

    /// How many executions this worker can have under way at once.
    pub fn slots(&self) -> u32 {
        match self.mode {
            Mode::Open { max_in_flight, .. } => self.share.of_count(max_in_flight).max(1),
            Mode::Closed { users } => self.share.of_count(users),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Arrivals come when the schedule says, however slow the answers are.
    Open { rate: Rate, pattern: Pattern, max_in_flight: u32 },
    /// Each user starts its next journey when the last one is over.
    Closed { users: u32 },
}

impl Mode {
    /// Open loop with the default bound: as many in flight as arrive within one timeout.
    pub fn open(rate: Rate, timeout: Duration) -> Self {
        let max_in_flight = (rate.per_second() * timeout.as_secs_f64()).ceil() as u32;
        Mode::Open { rate, pattern: Pattern::Even, max_in_flight: max_in_flight.max(1) }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// The same gap between all arrivals.
    #[default]
    Even,
    /// Exponentially distributed gaps, drawn from the seed: users who know nothing of each other.
    Poisson,
}

/// So many arrivals in so much time; exact, also where a second holds no whole number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub arrivals: u32,
    pub per: Duration,
}

impl Rate {
    pub const fn every_second(arrivals: u32) -> Self {
        Self { arrivals, per: Duration::from_secs(1) }
    }

    pub fn per_second(self) -> f64 {
        f64::from(self.arrivals) / self.per.as_secs_f64()
    }

    /// The rate of so many arrivals a second; one that is no whole number is kept to a 3600th. `None` unless above 0.
    pub fn of_per_second(arrivals: f64) -> Option<Self> {
        let (arrivals, seconds) =
            if arrivals.fract() == 0.0 { (arrivals, 1) } else { ((arrivals * 3600.0).round(), 3600) };
        let fits = arrivals >= 1.0 && arrivals <= f64::from(u32::MAX);
        fits.then(|| Self { arrivals: arrivals as u32, per: Duration::from_secs(seconds) })
    }

    /// When arrival `number` is due, counted from the start of the load.
    pub fn due(self, number: u64) -> Duration {
        let nanos = u128::from(number) * self.per.as_nanos() / u128::from(self.arrivals.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second())
    }
}

/// Which of the numbered executions belong to this worker: every `of`-th, from `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub index: u32,
    pub of: u32,
}

impl Share {
    pub const WHOLE: Share = Share { index: 0, of: 1 };

    pub fn has(self, number: u64) -> bool {
        number % u64::from(self.of.max(1)) == u64::from(self.index)
    }

    /// How many of the numbers below `count` are this worker's.
    pub fn of_count(self, count: u32) -> u32 {
        let of = self.of.max(1);
        count / of + u32::from(self.index < count % of)
    }
}

/// Makes a generator that cannot keep up, so that a test can see it found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hinder {
    /// Takes this many percent (1 to 99) of the CPU that the worker's one thread gets, 20 ms at a time, by computing
    /// on that thread. The system under test keeps its own CPU.
    Cpu { percent: u8 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_exactly() {
        let of = |arrivals| Rate::of_per_second(arrivals);
        assert_eq!(of(100.0), Some(Rate::every_second(100)));
        // 30 a minute: one every two seconds.
        assert_eq!(of(0.5).map(|rate| rate.due(1)), Some(Duration::from_secs(2)));
        assert_eq!(of(0.5).map(|rate| rate.to_string()).as_deref(), Some("0.5/s"));
        for none in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_rate_that_divides_no_second_stays_exact() {
        let thirds = Rate::every_second(3);
        assert_eq!(thirds.due(3), Duration::from_secs(1));
        assert_eq!(thirds.due(3_000_000), Duration::from_secs(1_000_000));
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        for count in 0..20 {
            for of in 1..5 {
                let parts = (0..of).map(|index| Share { index, of }.of_count(count)).sum::<u32>();
                assert_eq!(parts, count);
            }
        }
    }

    #[test]
    fn the_default_bound_is_what_arrives_in_one_timeout() {
        let mode = Mode::open(Rate::every_second(100), Duration::from_secs(2));
        assert!(matches!(mode, Mode::Open { max_in_flight: 200, .. }), "{mode:?}");
    }
}
